// Sliders: a point, moved along directions that have names.

const REST = 150;  // milliseconds without a change, after which the exact picture and those below are asked for
const ENDS = {slant: ["left", "right"], weight: ["thin", "bold"], width: ["narrow", "wide"], height: ["low", "tall"],
              loop: ["small", "large"]};

function signed(number) {
  return number > 0 ? `+${number.toFixed(1)}` : number.toFixed(1).replace("-", "\u2212");
}

class Sliders {
  /** @param {Object<string, HTMLElement>} parts @param {Explore} host */
  constructor(parts, host) {
    Object.assign(this, {parts, host, amounts: Array(PAGE.sliders).fill(0), focus: 0, below: "seeds", names: null,
                         rail: null, waypoint: null, drawn: 0});
    this.exact = new Pull(host.wire, "explore_sliders", (answer, data) => this.take(answer, data), host.failed);
    this.rails = new Pull(host.wire, "explore_sliders", (answer, data) => this.takeRail(answer, data), host.failed);
    this.point = new PointField("the point", () => this.change());
    this.list = make("div", {class: "explore-wait"});
    const reset = make("button", {type: "button", onclick: () => this.set(this.amounts.map(() => 0))}, "Reset");
    const random = make("button", {type: "button", onclick: () => this.set(this.amounts.map(
      () => Math.round(40 * Math.random() - 20) / 10))}, "Random");
    parts.forSliders.append(
      make("div", {class: "stage-head"}, make("span", {class: "stage-label"}, "Seed")), this.point.element,
      make("div", {class: "stage-head"}, make("span", {class: "stage-label"}, "Sliders"),
           make("div", {class: "stage-bar explore-right"}, reset, random)),
      this.list);
    const choices = [["seeds", "Other seeds"], ["slider", "From \u22123 to 3"]];
    parts.below.append(...choices.map(([value, label]) => {
      const input = make("input", {type: "radio", name: "explore-below", value, onchange: () => {
        this.below = value;
        this.settle(0);
      }});
      input.checked = value === this.below;
      return make("label", {}, input, label);
    }));
    this.reserve();
  }

  /** Empty pictures, so that nothing moves when they come. */
  reserve() {
    this.parts.strip.replaceChildren(...PAGE.others.slice(0, 6).map(() => make(
      "button", {type: "button", disabled: true},
      make("canvas", {class: "stage-pixels", width: 28, height: 28}), "\u00a0")));
  }

  /** Show the sliders of a model. @param {{name: string, correlation: ?number}[]} rows null while they are fitted */
  setNames(rows) {
    this.names = rows;
    this.list.classList.toggle("explore-wait", !rows);
    if (!rows) {
      this.list.replaceChildren(make("p", {class: "stage-info"}, "Measuring what each direction changes…"),
                                make("progress", {"aria-label": "Measuring the directions"}));
      return;
    }
    this.inputs = rows.map((row, i) => this.slider(row, i));
    const measured = rows.some(({correlation}) => correlation !== null);
    const words = measured ? "r says how closely the measured change follows the slider. 1: exactly. 0: not at all."
      : "These are the directions in which the pictures change most. They have no measured names.";
    this.list.replaceChildren(...this.inputs.map(({element}) => element), make("p", {class: "stage-info"}, `${words} `
      + "While a slider moves, the browser may mix the two nearest pictures. When it rests, the model makes "
      + "the exact one."));
    this.draw();
  }

  slider({name, correlation}, i) {
    const id = `explore-slider-${i}`, title = name[0].toUpperCase() + name.slice(1);
    const range = make("input", {type: "range", id, min: -PAGE.maxAmount, max: PAGE.maxAmount, step: 0.1,
                                 oninput: () => this.move(i, Number(range.value)), onfocus: () => this.grab(i),
                                 onpointerdown: () => this.grab(i), onpointerenter: () => this.prepare(i)});
    const output = make("output", {for: id});
    const strength = correlation === null ? null
      : make("small", {title: "How closely the measured change follows the slider"}, `r = ${correlation.toFixed(2)}`);
    const [low, high] = (ENDS[name] || ["", ""]).map((end) => make("span", {"aria-hidden": "true"}, end));
    const element = make("div", {class: "explore-slider"}, make("label", {for: id}, title, strength), output,
                         make("div", {class: "explore-range"}, low, range, high));
    return {element, range, output, title};
  }

  draw() {
    this.inputs?.forEach(({range, output}, i) => {
      range.value = this.amounts[i];
      range.setAttribute("aria-valuetext", signed(this.amounts[i]));
      output.textContent = signed(this.amounts[i]);
    });
  }

  set(amounts) {
    this.amounts = this.amounts.map((_, i) => amounts[i] || 0);
    this.rail = null;
    this.draw();
    this.change();
  }

  asked() {
    const known = this.names ? this.names.length : this.amounts.length;
    return {model: this.host.model, point: this.point.value, psi: this.host.psi, amounts: this.amounts.slice(0, known)};
  }

  /** What the pictures of a slider from end to end depend on. */
  key({model, point, psi, amounts} = this.asked(), focus = this.focus) {
    return JSON.stringify([model, point, psi, focus, amounts.map((amount, i) => i === focus ? null : amount)]);
  }

  /** A hand is on a slider: get its pictures from end to end. */
  grab(i) {
    this.focus = i;
    const key = this.key();
    if (!this.names || this.rail?.key === key || this.wanted === key) return;
    this.wanted = key;
    this.rails.ask({...this.asked(), strip: "slider", slider: i});
  }

  /** A mouse comes near a slider: its pictures are there when it is dragged. */
  prepare(i) {
    if (this.below === "seeds") this.grab(i);
  }

  move(i, amount) {
    this.amounts[i] = amount;
    this.draw();
    this.grab(i);
    if (this.rail?.key === this.key()) this.show(onLine(this.rail.pictures, this.onRail(amount)));
    else this.exact.ask(this.asked());
    this.settle();
  }

  onRail(amount) {
    return (amount + PAGE.maxAmount) / (2 * PAGE.maxAmount) * (PAGE.sweep.length - 1);
  }

  /** Another point, model or ψ. */
  change() {
    this.rail = this.wanted = null;
    this.exact.ask(this.asked());
    this.settle();
  }

  settle(wait = REST) {
    clearTimeout(this.resting);
    this.resting = setTimeout(() => {
      if (this.host.part !== "sliders") return;
      if (this.below === "slider" && this.names) {
        this.grab(this.focus);
        if (this.rail?.key === this.key()) this.showRail();
      }
      this.exact.ask({...this.asked(), ...this.below === "seeds" ? {strip: "seeds"} : {}});
    }, wait);
  }

  take(answer, data) {
    const pictures = picturesOf(answer);
    const isPresent = JSON.stringify(data.amounts) === JSON.stringify(this.asked().amounts);
    if (isPresent || this.rail?.key !== this.key()) this.show(pictures.at(-1));
    if (isPresent) this.waypoint = answer.waypoint;
    if (data.point === this.point.value) this.point.tell(answer.labels[0]);
    if (data.strip === "seeds" && this.below === "seeds") {
      const own = Number(readPoint(data.point).place), seeds = PAGE.others.filter((seed) => seed !== own);
      this.showStrip(pictures.slice(0, -1).map((picture, i) => ({
        picture, words: `seed ${seeds[i]}`, told: `Take seed ${seeds[i]}`, press: () => this.point.change(seeds[i])})));
    }
    this.host.said("");
  }

  takeRail(answer, data) {
    const key = this.key(data, data.slider);
    if (key !== this.key()) return;
    this.rail = {key, pictures: picturesOf(answer).slice(0, -1)};
    if (this.below === "slider") this.showRail();
  }

  showRail() {
    const {title} = this.inputs[this.focus], i = this.focus;
    const whole = PAGE.sweep.map((amount, at) => ({amount, picture: this.rail.pictures[at]}))
      .filter(({amount}) => Number.isInteger(amount));
    this.showStrip(whole.map(({amount, picture}) => ({
      picture, words: signed(amount).replace(".0", ""), told: `${title} ${signed(amount)}`, press: () => {
        this.move(i, amount);
      }})));
    this.parts.strip.setAttribute("aria-label", `${title} from \u22123 to 3`);
  }

  showStrip(rows) {
    const {strip} = this.parts, held = [...strip.children].indexOf(document.activeElement);
    strip.setAttribute("aria-label", "Six other seeds, same sliders");
    strip.replaceChildren(...rows.map(({picture, words, told, press}) => {
      const canvas = make("canvas", {class: "stage-pixels", "aria-hidden": "true"});
      putPicture(canvas, picture);
      return make("button", {type: "button", onclick: press, title: told, "aria-label": told}, canvas, words);
    }));
    if (held >= 0) strip.children[held]?.focus();
  }

  show(picture) {
    this.drawn++;
    putPicture(this.parts.large, picture);
    const words = (this.names || []).map(({name}, i) => [name, this.amounts[i]]).filter(([, amount]) => amount)
      .map(([name, amount]) => `${name} ${signed(amount)}`);
    this.parts.large.setAttribute("aria-label", `The picture of ${this.host.words(this.point.value)}`
                                  + (words.length ? `, ${words.join(", ")}` : ""));
  }

  values() {
    return {part: "sliders", point: this.point.value, amounts: this.amounts.slice(), psi: this.host.psi};
  }
}
