// Sliders: a point, moved along directions that have names.

const REST = 150;  // milliseconds without a change, after which the exact picture and those below are asked for

function signed(number) {
  return number > 0 ? `+${number.toFixed(1)}` : number.toFixed(1).replace("-", "\u2212");
}

class Sliders {
  /** @param {Object<string, HTMLElement>} parts @param {Explore} host */
  constructor(parts, host) {
    Object.assign(this, {parts, host, amounts: Array(PAGE.sliders).fill(0), focus: 0, below: "seeds", names: null,
                         rail: null, waypoint: null, drawn: 0});
    this.exact = new Pull("explore_sliders", host.waiting, (answer, data) => this.take(answer, data));
    this.rails = new Pull("explore_sliders", host.waiting, (answer, data) => this.takeRail(answer, data));
    this.point = new PointField("the point", host, () => this.change());
    this.list = make("div", {class: "explore-wait"});
    const reset = make("button", {type: "button", onclick: () => this.set(this.amounts.map(() => 0))}, "Reset");
    const random = make("button", {type: "button", onclick: () => this.set(this.amounts.map(
      () => Math.round(40 * Math.random() - 20) / 10))}, "Random");
    parts.forSliders.append(
      make("div", {class: "stage-head"}, make("span", {class: "stage-label"}, "Seed")), this.point.element,
      make("div", {class: "stage-head"}, make("span", {class: "stage-label"}, "Sliders"),
           make("div", {class: "stage-bar explore-right"}, reset, random)),
      this.list);
    const below = new Chips("Pictures below", EXPLORE.below, (value) => {
      this.below = value;
      this.settle(0);
    });
    below.show(this.below);
    parts.below.append(below.element);
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
      this.list.replaceChildren(make("p", {class: "stage-info"}, EXPLORE.measuring),
                                make("progress", {"aria-label": "Measuring the directions"}));
      return;
    }
    this.inputs = rows.map((row, i) => this.slider(row, i));
    const measured = rows.some(({correlation}) => correlation !== null);
    this.list.replaceChildren(...this.inputs.map(({element}) => element), make("p", {class: "stage-info"},
      `${measured ? EXPLORE.measured : EXPLORE.unnamed} ${EXPLORE.mixes}`));
    this.draw();
  }

  slider({name, correlation}, i) {
    const field = new NumberField({
      label: capital(name), low: -PAGE.maxAmount, high: PAGE.maxAmount, step: 0.1, ends: ENDS[name] || null,
      hint: correlation === null ? "" : EXPLORE.follows(correlation)}, (amount) => this.move(i, amount));
    for (const event of ["focus", "pointerdown"]) field.slider.addEventListener(event, () => this.grab(i));
    field.slider.addEventListener("pointerenter", () => this.prepare(i));
    return field;
  }

  draw() {
    this.inputs?.forEach((field, i) => field.show(this.amounts[i]));
  }

  set(amounts) {
    this.amounts = this.amounts.map((_, i) => amounts[i] || 0);
    this.rail = null;
    this.draw();
    this.change();
  }

  asked() {
    return {model: this.host.model, point: this.point.value, psi: this.host.psi, amounts: this.amounts.slice()};
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
    this.waypoint = null;
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
    this.rail = this.wanted = this.waypoint = null;
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
    if (data.model !== this.host.model) return;
    const pictures = picturesOf(answer);
    const {strip, ...asked} = data, isPresent = JSON.stringify(asked) === JSON.stringify(this.asked());
    if (isPresent || this.rail?.key !== this.key()) this.show(pictures.at(-1));
    if (isPresent) this.waypoint = answer.waypoint;
    if (data.point === this.point.value) this.point.tell(answer.labels[0]);
    if (strip === "seeds" && this.below === "seeds") {
      const own = Number(Point.parse(data.point).place), seeds = PAGE.others.filter((seed) => seed !== own);
      this.showStrip(pictures.slice(0, -1).map((picture, i) => ({
        picture, words: `seed ${seeds[i]}`, told: `Take seed ${seeds[i]}`, press: () => this.point.change(seeds[i])})));
    }
  }

  takeRail(answer, data) {
    const key = this.key(data, data.slider);
    if (key !== this.key()) return;
    this.rail = {key, pictures: picturesOf(answer).slice(0, -1)};
    if (this.below === "slider") this.showRail();
  }

  showRail() {
    const title = capital(this.names[this.focus].name), i = this.focus;
    const whole = PAGE.sweep.map((amount, at) => ({amount, picture: this.rail.pictures[at]}))
      .filter(({amount}) => Number.isInteger(amount));
    this.showStrip(whole.map(({amount, picture}) => ({
      picture, words: signed(amount).replace(".0", ""), told: `${title} ${signed(amount)}`, press: () => {
        this.inputs[i].show(amount);
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
    this.parts.large.setAttribute("aria-label", `The picture of ${this.host.words(this.point.point)}`
                                  + (words.length ? `, ${words.join(", ")}` : ""));
  }

  /** Show the values of a model, or of a state: those that are there. */
  put({point, amounts}, classes) {
    if (point !== undefined) this.point.show(point, classes);
    if (amounts) this.amounts = this.amounts.map((_, i) => amounts[i] || 0);
    this.draw();
  }
}
