// Fields: a choice of one as chips, a number with a slider, a dice.

/** A choice of one, as chips. */
class Chips {
  /**
   * @param {string} label for people who do not see it
   * @param {[string, string][]} choices values and their words
   * @param {(value: string) => void} changed
   */
  constructor(label, choices, changed) {
    const name = `${PAGE.tab}-${label}`.toLowerCase().replace(/[^a-z]+/g, "-");
    this.inputs = choices.map(([value]) => make("input", {type: "radio", name, value, onchange: () => changed(value)}));
    this.element = make("div", {class: "stage-chips", role: "radiogroup", "aria-label": label},
                        ...this.inputs.map((input, i) => make("label", {class: "stage-chip"}, input, choices[i][1])));
  }

  show(value) {
    for (const input of this.inputs) input.checked = input.value === value;
  }
}

/** Chips under a label, with a sentence on the chosen one. */
class ChipField {
  /**
   * @param {string} label
   * @param {Object<string, [string, string]>} choices the words of each value, and a sentence on it
   * @param {(value: string) => void} changed
   */
  constructor(label, choices, changed) {
    this.choices = choices;
    this.info = make("p", {class: "stage-info"});
    this.chips = new Chips(label, Object.entries(choices).map(([value, [words]]) => [value, words]), (value) => {
      this.show(value);
      changed(value);
    });
    this.element = make("div", {class: "stage-field stage-wide"},
                        make("div", {class: "stage-head"}, make("span", {class: "stage-label"}, label)),
                        this.chips.element, this.info);
  }

  show(value) {
    this.chips.show(value);
    this.info.textContent = this.choices[value][1];
  }
}

/** A number with a slider. */
class NumberField {
  /**
   * @param {{label: string, info: string, low: number, high: number, step: number, hint: string, ends: string[]}} field
   *     `hint` stands beside the label, `ends` at both ends of the slider
   * @param {(value: number) => void} changed
   */
  constructor({label, info = "", low, high, step, hint = "", ends = null}, changed) {
    const id = `${PAGE.tab}-${label}`.toLowerCase().replace(/[^a-z0-9]+/g, "-"), bounds = {min: low, max: high, step};
    this.slider = make("input", {type: "range", id, ...bounds, oninput: () => choose(this.slider)});
    this.box = make("input", {type: "number", class: "stage-number", "aria-label": `${label}, as a number`, ...bounds,
                              oninput: () => this.box.value && this.box.validity.valid && choose(this.box),
                              onblur: () => this.show(this.value)});
    const choose = (from) => {
      this.value = Number(from.value);
      if (from === this.slider) this.box.value = from.value;
      else this.slider.value = from.value;
      changed(this.value);
    };
    const [least, most] = (ends || []).map((end) => make("span", {"aria-hidden": "true"}, end));
    this.element = make("div", {class: "stage-field"},
                        make("div", {class: "stage-head"}, make("label", {for: id}, label),
                             hint ? make("small", {class: "stage-info"}, hint) : null, this.box),
                        ends ? make("div", {class: "stage-ends"}, least, this.slider, most) : this.slider,
                        info ? make("p", {class: "stage-info"}, info) : null);
  }

  show(value) {
    this.value = value;
    this.slider.value = this.box.value = String(value);
  }
}

/** A button with a dice. @param {string} label @param {string} words beside the dice, if any */
function dice(label, onclick, words = "") {
  const svg = document.createElementNS("http://www.w3.org/2000/svg", "svg");
  const add = (tag, attributes) => {
    const part = document.createElementNS(svg.namespaceURI, tag);
    for (const [name, value] of Object.entries(attributes)) part.setAttribute(name, value);
    svg.append(part);
  };
  svg.setAttribute("viewBox", "0 0 24 24");
  svg.setAttribute("aria-hidden", "true");
  add("rect", {x: 2, y: 2, width: 20, height: 20, rx: 5, fill: "#c2410c"});
  for (const [x, y] of [[7.5, 7.5], [16.5, 7.5], [12, 12], [7.5, 16.5], [16.5, 16.5]]) {
    add("circle", {cx: x, cy: y, r: 2, fill: "#fff"});
  }
  return make("button", {type: "button", class: "stage-dice", title: label, "aria-label": words ? null : label,
                         onclick}, svg, words);
}
