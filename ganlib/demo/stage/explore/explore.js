// The stage of Explore: which part is shown, which model, what is shared.

const PART_NAMES = {sliders: "Sliders", plane: "Plane", arithmetic: "Arithmetic"};

class Explore {
  constructor(root) {
    Object.assign(this, {root, parts: partsOf(root), part: "sliders", psi: 1, info: {classes: []}});
    const {parts} = this;
    this.wire = new Wire(server);
    this.failed = (trouble) => this.said(trouble.message, true);
    this.choice = new ModelChoice(parts.model, PAGE.models, () => this.load());
    this.sliders = new Sliders(parts, this);
    this.plane = new Plane(parts, this);
    this.sum = new Sum(parts, this);
    this.choosePart();
    this.choosePsi();
    this.share();
  }

  get model() {
    return this.choice.value;
  }

  /** What is shown now. */
  get shown() {
    return {sliders: this.sliders, plane: this.plane, arithmetic: this.sum}[this.part];
  }

  choosePart() {
    this.parts.parts.append(...PAGE.parts.map((part) => {
      const input = make("input", {type: "radio", name: "explore-part", value: part,
                                   onchange: () => this.open({part})});
      input.checked = part === this.part;
      return make("label", {}, input, PART_NAMES[part]);
    }));
  }

  choosePsi() {
    const output = make("output", {for: "explore-psi", class: "explore-right"});
    this.psiRange = make("input", {type: "range", id: "explore-psi", min: 0, max: 2, step: 0.05, oninput: () => {
      this.setPsi(Number(this.psiRange.value));
      this.shown.change();
    }});
    this.psiOutput = output;
    this.parts.forAll.append(
      make("div", {class: "stage-head"}, make("label", {for: "explore-psi"}, "Truncation ψ"), output), this.psiRange,
      make("p", {class: "stage-info"}, "Below 1: more typical pictures. Above 1: more unusual ones."));
    this.setPsi(1);
  }

  setPsi(psi) {
    this.psi = psi;
    this.psiRange.value = psi;
    this.psiOutput.textContent = psi.toFixed(2);
  }

  share() {
    const button = (label, title, onclick) => make("button", {type: "button", title, onclick}, label);
    this.toSliders = button("Open in Sliders", "Move this point by sliders", () => this.withPoint((point) => this.open({
      part: "sliders", point, amounts: [], psi: 1})));
    new LinkButton(this.parts.share, () => this.values(),
      button("Save picture", "A PNG file that knows how it was made", () => this.save()),
      button("Open in Interpolate", "Add this point to the path in Interpolate",
             () => this.withPoint((add) => goTo("interpolate", {model: this.model, add}))),
      this.toSliders);
  }

  /** Do something with the waypoint of the present point, once it is known. */
  withPoint(use) {
    if (this.shown.waypoint) use(this.shown.waypoint);
    else this.said("Wait until the picture is there.");
  }

  async save() {
    try {
      const {part, ...values} = this.shown.values();
      const data = {model: this.model, part, ...values, ...part === "plane" ? {class: values.class || "own"} : {}};
      const {png, name} = await this.wire.send("explore_save", data);
      download(new Blob([fromBase64(png)], {type: "image/png"}), name);
    } catch (trouble) {
      if (!(trouble instanceof Trouble)) throw trouble;
      this.failed(trouble);
    }
  }

  /** The values of a link: those of the part that is shown, and those of others that are not the default. */
  values() {
    const others = {
      point: this.sliders.point.value, amounts: this.sliders.amounts.some(Boolean) ? this.sliders.amounts : null,
      ...this.plane.corners.map(({value}) => value).join() === this.plane.defaults.join() ? {}
        : {corners: this.plane.values().corners},
      ...this.plane.at.join() === "0.5,0.5" ? {} : {at: this.plane.at}, class: this.plane.values().class,
      ...this.sum.fields.map(({value}) => value).join() === this.sum.defaults.join() ? {} : this.sum.values(),
      psi: this.psi === 1 ? null : this.psi};
    return {model: this.model, ...others, ...this.shown.values(), amounts: others.amounts, psi: others.psi};
  }

  /** Open a state; what it does not name stays as it is. */
  open(values) {
    const other = values.model && values.model !== this.loaded;
    if (values.model) this.choice.show(values.model);
    if (values.part) this.part = values.part;
    if (values.psi !== undefined) this.setPsi(values.psi);
    this.showPart();
    if (other) return this.load(values);
    this.put(values);
    this.shown.change();
    this.needNames();
  }

  put({point, amounts, corners, at, a, b, c, class: chosen}) {
    if (point) this.sliders.point.value = point;
    if (amounts) {
      this.sliders.amounts = this.sliders.amounts.map((_, i) => amounts[i] || 0);
      this.sliders.draw();
    }
    if (chosen !== undefined) this.plane.setClass(chosen || "own");
    if (corners !== undefined) this.plane.setCorners(corners || this.info.corners);
    if (at) this.plane.at = at;
    if (a !== undefined) this.sum.setPoints([a, b, c].map((value, i) => value ?? this.info.example[i]));
  }

  showPart() {
    this.root.dataset.shows = this.part;
    for (const input of this.parts.parts.querySelectorAll("input")) input.checked = input.value === this.part;
    const {parts} = this;
    parts.sliders.hidden = parts.forSliders.hidden = this.part !== "sliders";
    parts.plane.hidden = parts.forPlane.hidden = this.part !== "plane";
    parts.sum.hidden = this.part !== "arithmetic";
    this.toSliders.hidden = this.part === "sliders";
  }

  /** Another model: its classes and first seeds, then the state. */
  async load(values = {}) {
    const model = this.loaded = this.model;
    this.sliders.setNames(null);
    this.namesOf = null;
    try {
      const info = await this.wire.send("explore_model", {model});
      if (model !== this.model) return;
      this.info = info;
      this.sliders.point.setClasses(info.classes);
      this.plane.setModel(info);
      this.sum.setModel(info);
      this.put(values);
      this.shown.change();
      this.needNames();
    } catch (trouble) {
      if (!(trouble instanceof Trouble)) throw trouble;
      this.failed(trouble);
      this.loaded = null;
    }
  }

  /** Get the names of the sliders when they are shown for the first time. */
  async needNames() {
    const {model} = this;
    if (this.part !== "sliders" || this.namesOf === model) return;
    this.namesOf = model;
    try {
      const {sliders} = await this.wire.send("explore_directions", {model});
      if (model === this.model) this.sliders.setNames(sliders);
    } catch (trouble) {
      if (!(trouble instanceof Trouble)) throw trouble;
      this.failed(trouble);
      this.namesOf = null;
    }
  }

  /** A point in words. */
  words(text) {
    const {place, chosen} = readPoint(text), name = chosen === "" ? "" : this.info.classes[Number(chosen)];
    return (place.startsWith("z") ? "a found latent" : `seed ${place}`) + (name ? ` as ${name}` : "");
  }

  said(sentence, isWrong = false) {
    this.parts.note.textContent = sentence;
    this.parts.note.classList.toggle("stage-wrong", isWrong);
  }

  /** Say something to a screen reader, once a second at most. */
  aloud(sentence) {
    clearTimeout(this.speaking);
    this.speaking = setTimeout(() => { this.parts.aloud.textContent = sentence; }, 1000);
  }
}

const explore = new Explore(element.querySelector(".explore"));
explore.root.ganlab = explore;  // for tests
onState((values) => explore.open(values));
if (!explore.loaded) explore.load();
