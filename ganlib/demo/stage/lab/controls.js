// The controls of the settings, made from the page's table: each with a label, a value and a short explanation.

/** @typedef {{name: string, label: string, info: string, type: string, choices: [*, string][] | null, low: number,
 *             high: number, step: number, log: boolean, kinds: string[], targets: string[] | null}} Control */

const NOTCHES = 200;  // of a logarithmic slider

/** @param {Control} control @param {number} value @returns {number} the nearest value that is allowed */
function allowed(control, value) {
  const inside = Math.min(control.high, Math.max(control.low, value));
  return control.type === "whole" ? Math.round(inside) : Number(inside.toPrecision(6));
}

/** The least value of a logarithmic slider: 0 has no logarithm, so one step stands for it. */
function floorOf(control) {
  return control.low > 0 ? control.low : control.step || control.high / 1e4;
}

/** @returns {number} where on the slider a value is */
function toNotch(control, value) {
  if (!control.log) return value;
  if (value <= floorOf(control)) return value < floorOf(control) ? 0 : control.low > 0 ? 0 : 1;
  return NOTCHES * Math.log(value / floorOf(control)) / Math.log(control.high / floorOf(control));
}

/** @returns {number} the value at a place of the slider, to two digits where it is logarithmic */
function fromNotch(control, notch) {
  if (!control.log) return allowed(control, notch);
  if (notch <= 0) return control.low;
  if (notch >= NOTCHES) return control.high;
  const value = floorOf(control) * (control.high / floorOf(control)) ** (notch / NOTCHES);
  return allowed(control, Number(value.toPrecision(2)));
}

/** @returns {boolean} whether the target has this control */
function applies(control, target) {
  return control.kinds.includes(target.kind) && (!control.targets || control.targets.includes(target.name));
}

/** @returns {[HTMLElement, HTMLElement]} a button that opens a text, and the text under it */
function explained(control, id) {
  const text = make("p", {class: "stage-info", id: `${id}-info`, hidden: true}, control.info);
  const button = make("button", {type: "button", class: "stage-ask", title: control.info, "aria-expanded": "false",
                                 "aria-controls": `${id}-info`, "aria-label": `What is ${control.label}?`,
                                 onclick: () => {
                                   text.hidden = !text.hidden;
                                   button.setAttribute("aria-expanded", String(!text.hidden));
                                 }}, "?");
  return [button, text];
}

function choiceControl(control, id, change) {
  const select = make("select", {id, onchange: () => change(control.choices[select.selectedIndex][0])},
                      ...control.choices.map(([, label]) => make("option", {}, label)));
  return {inputs: [select], show: (value) => {
    select.selectedIndex = control.choices.findIndex(([name]) => name === value);
  }};
}

function numberControl(control, id, change) {
  const [low, high, step] = control.log ? [0, NOTCHES, 1] : [control.low, control.high, control.step || "any"];
  const slider = make("input", {type: "range", id, min: low, max: high, step});
  const box = make("input", {type: "number", class: "stage-number", min: control.low, max: control.high,
                             step: control.type === "whole" ? 1 : "any",
                             "aria-label": `${control.label}, as a number`});
  let shown = control.low;
  const show = (value) => {
    shown = value;
    slider.value = String(toNotch(control, value));
    slider.setAttribute("aria-valuetext", short(value));
    box.value = String(Number(value.toPrecision(6)));
  };
  const choose = (value) => {
    const found = allowed(control, value);
    if (found === shown) return show(shown);
    show(found);
    change(found);
  };
  slider.addEventListener("input", () => {
    box.value = String(fromNotch(control, Number(slider.value)));
  });
  slider.addEventListener("change", () => choose(fromNotch(control, Number(slider.value))));
  box.addEventListener("change", () => choose(Number.isFinite(box.valueAsNumber) ? box.valueAsNumber : shown));
  return {inputs: [slider, box], show};
}

/** One control with its label and explanation. @param {number} i makes its id unlike all others */
function controlField(control, i, change) {
  const id = `lab-${control.name}-${i}`, kind = control.type === "choice" ? choiceControl : numberControl;
  const {inputs, show} = kind(control, id, (value) => change(control.name, value));
  const [ask, text] = explained(control, id);
  const head = make("div", {class: "stage-head"}, make("label", {for: id}, control.label), ask, ...inputs.slice(1));
  const element = make("div", {class: "stage-field", "data-control": control.name}, head, inputs[0], text);
  return {name: control.name, applies: (target) => applies(control, target), element, show};
}

/** @returns {HTMLElement[]} the options of the targets, in their groups */
function targetOptions(targets) {
  const groups = [...new Set(targets.map(({group}) => group))];
  return groups.map((group) => make("optgroup", {label: group}, ...targets.filter((target) => target.group === group)
    .map(({name, label}) => make("option", {value: name}, label))));
}

/** The choice of the target, and the button to draw one again. @param {() => boolean} draws whether one can be drawn */
function targetField(targets, change, again, draws) {
  const select = make("select", {id: "lab-target", onchange: () => change("target", select.value)},
                      ...targetOptions(targets));
  const button = make("button", {type: "button", onclick: again, "data-part": "again"}, "Draw again");
  const show = (value) => {
    if (!draws()) {
      select.replaceChildren(...targetOptions(targets.filter(({name}) => name === value || !(name in SKETCHES))));
    }
    select.value = value;
    button.hidden = !(value in SKETCHES) || !draws();
  };
  const head = make("div", {class: "stage-head"}, make("label", {for: "lab-target"}, "Target: what is real"));
  const element = make("div", {class: "stage-field stage-wide", "data-control": "target"}, head,
                       make("div", {class: "stage-row"}, select, button));
  return {name: "target", applies: () => true, element, show};
}

class Controls {
  /**
   * @param {HTMLElement} place
   * @param {Object} page
   * @param {(name: string, value: *) => void} change is told the name and the new value of a setting
   * @param {() => void} again is called to draw the target once more
   */
  constructor(place, page, change, again) {
    this.page = page;
    this.hidden = new Set();
    this.draws = true;
    this.fields = [targetField(page.targets, change, again, () => this.draws),
                   ...page.controls.map((row, i) => controlField(row, i, change))];
    this.words = make("p", {class: "stage-info stage-wide", hidden: true});
    place.append(...this.fields.map(({element}) => element), this.words);
  }

  /** @returns {Object} the target of that name */
  target(name) {
    return this.page.targets.find((target) => target.name === name);
  }

  /** @returns {Control[]} those that the target has */
  of(target) {
    return this.page.controls.filter((control) => applies(control, this.target(target)));
  }

  /**
   * Show these settings, in the controls that their target has and that no link hides.
   * @param {string | null} recipe the recipe of a film that has no settings of the lab: only its target is shown
   */
  show(settings, recipe = null) {
    this.words.hidden = !recipe;
    this.words.textContent = recipe ? SENTENCES.recipe(recipe) : "";
    for (const {name, element, show, applies: has} of this.fields) {
      const on = name === "target" || !recipe && has(this.target(settings.target));
      element.hidden = !on || this.hidden.has(name);
      if (on) show(settings[name]);
    }
  }

  /** From the next settings on, leave out the targets that somebody draws, unless one of them is shown. */
  hideDrawing() {
    this.draws = false;
  }
}
