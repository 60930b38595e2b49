// Fields of the walk: a number with a slider, and a choice of one with an explanation.

/** A slider with its number. */
class NumberField {
  /**
   * @param {{label: string, info: string, low: number, high: number, step: number}} field
   * @param {(value: number) => void} changed
   */
  constructor({label, info, low, high, step}, changed) {
    const id = `${PAGE.tab}-${label.toLowerCase().replace(/[^a-z]+/g, "-")}`, bounds = {min: low, max: high, step};
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
    this.element = make("div", {class: "stage-field"},
                        make("div", {class: "stage-head"}, make("label", {for: id}, label), this.box),
                        this.slider, make("p", {class: "stage-info"}, info));
  }

  show(value) {
    this.value = value;
    this.slider.value = this.box.value = String(value);
  }
}

/** A choice of one, as chips, with a sentence on the chosen one. */
class ChipField {
  /**
   * @param {string} label
   * @param {Object<string, string>} choices a sentence on each value
   * @param {(value: string) => void} changed
   */
  constructor(label, choices, changed) {
    this.choices = choices;
    this.info = make("p", {class: "stage-info"});
    this.inputs = Object.keys(choices).map((value) => make("input", {
      type: "radio", name: `${PAGE.tab}-${label}`, value, onchange: () => {
        this.show(value);
        changed(value);
      }}));
    const chips = this.inputs.map((input) => make("label", {class: "stage-chip"}, input, input.value));
    this.element = make("div", {class: "stage-field stage-wide"},
                        make("div", {class: "stage-head"}, make("span", {class: "stage-label"}, label)),
                        make("div", {class: "stage-chips", role: "radiogroup", "aria-label": label}, ...chips),
                        this.info);
  }

  show(value) {
    for (const input of this.inputs) input.checked = input.value === value;
    this.info.textContent = this.choices[value];
  }
}
