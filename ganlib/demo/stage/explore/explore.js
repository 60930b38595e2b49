// The stage of Explore: which part is shown, which model, what is shared.

class Explore {
  constructor(root) {
    Object.assign(this, {root, parts: partsOf(root), part: "sliders", psi: 1, info: null, model: null, kept: {},
                         about: {...PAGE.about}, given: {}, wire: new Wire(server), fits: new Wire(server)});
    const {parts} = this;
    this.waiting = new Waiting(parts.note);
    this.choice = new ModelChoice(parts.model, PAGE.models, () => this.open({}));
    this.sliders = new Sliders(parts, this);
    this.plane = new Plane(parts, this);
    this.sum = new Sum(parts, this);
    this.chips = new Chips("What to do with the point", PAGE.parts.map((part) => [part, EXPLORE.parts[part]]),
                           (part) => this.open({part}));
    parts.parts.append(this.chips.element);
    this.psiField = new NumberField({label: "Truncation ψ", info: EXPLORE.psi, low: 0, high: PAGE.maxPsi, step: 0.05},
                                    (psi) => {
      this.psi = psi;
      this.shown.change();
    });
    parts.forAll.append(this.psiField.element);
    this.share();
  }

  /** What is shown now. */
  get shown() {
    return {sliders: this.sliders, plane: this.plane, arithmetic: this.sum}[this.part];
  }

  share() {
    const button = (label, title, onclick) => make("button", {type: "button", title, onclick}, label);
    this.toSliders = button("Open in Sliders", "Move this point by sliders",
                            () => this.withPoint((point) => this.open({point})));
    new LinkButton(this.parts.share, () => this.values(),
      button("Save picture", "A PNG file that knows how it was made", () => this.save()),
      button("Open in Interpolate", "Add this point to the path in Interpolate",
             () => this.withPoint((add) => goTo("interpolate", {model: this.model, add}))),
      this.toSliders);
  }

  /** Do something with the waypoint of the present point, once it is known. */
  withPoint(use) {
    if (this.shown.waypoint) use(this.shown.waypoint);
    else this.said(EXPLORE.wait);
  }

  save() {
    const asked = {model: this.model, part: this.part, ...this.all};
    this.waiting.during(async () => saveFile(await this.wire.call("explore_save", asked)), {again: () => this.save()});
  }

  /** The points of all parts: they belong to the model. */
  get points() {
    return {point: this.sliders.point.value, ...this.plane.points, ...this.sum.points};
  }

  /** The values of all parts. */
  get all() {
    return {...this.points, amounts: this.sliders.amounts, at: this.plane.at, psi: this.psi};
  }

  /** The values of a link: the point of the part that is shown, and what differs from the first values. */
  values() {
    const {first} = this.info, always = {sliders: ["point"], plane: ["corners", "at"], arithmetic: [..."abc"]}[this.part];
    const told = Object.entries(this.all).filter(([name, value]) => always.includes(name)
      || String(value) !== String(first[name]));
    return {model: this.model, part: this.part, ...Object.fromEntries(told)};
  }

  /** Open a state. What it does not name stays as it is, but a point alone is shown as it is: by sliders at rest. */
  open(values) {
    if (values.point !== undefined && !values.part) values = {part: "sliders", amounts: [], psi: 1, ...values};
    const {model = this.choice.value, part = this.part, psi = this.psi, ...given} = values;
    if (model !== this.choice.value) this.choice.show(model);
    Object.assign(this, {part, psi, given: model === this.wanted ? {...this.given, ...given} : given, wanted: model});
    this.psiField.show(psi);
    this.showPart();
    this.load();
  }

  /** What is known of the wanted model; then its values. */
  async load() {
    const {wanted} = this;
    if (!this.about[wanted]) {
      if (this.asking === wanted) return;  // its answer will open the newest values
      this.asking = wanted;
      const about = await this.waiting.during(() => this.wire.call("explore_model", {model: wanted}),
                                              {again: () => this.load(), wanted: () => this.wanted === wanted});
      if (this.asking === wanted) this.asking = null;
      if (!about) return;
      this.about[wanted] = about;
      if (this.wanted !== wanted) return;
    }
    if (this.model !== wanted) this.enter(wanted);
    this.put(this.given);
    this.given = {};
    this.shown.change();
    this.needNames();
  }

  /** Show another model: the points that it had when it was left, or its first ones. */
  enter(model) {
    if (this.model) this.kept[this.model] = this.points;
    Object.assign(this, {model, info: this.about[model]});
    const {amounts, at, psi, ...points} = this.info.first;
    this.put({...points, ...this.kept[model]}, this.info.classes);
    this.sliders.setNames(null);
    this.namesOf = null;
  }

  put(values, classes) {
    for (const part of [this.sliders, this.plane, this.sum]) part.put(values, classes);
  }

  showPart() {
    this.root.dataset.shows = this.part;
    this.chips.show(this.part);
    const {parts} = this;
    parts.sliders.hidden = parts.forSliders.hidden = this.part !== "sliders";
    parts.plane.hidden = parts.forPlane.hidden = this.part !== "plane";
    parts.sum.hidden = this.part !== "arithmetic";
    this.toSliders.hidden = this.part === "sliders";
  }

  /** Get the names of the sliders when they are shown for the first time. */
  async needNames() {
    const {model} = this;
    if (this.part !== "sliders" || this.namesOf === model) return;
    this.namesOf = model;
    try {
      const {sliders} = await this.fits.call("explore_directions", {model});
      if (model === this.model) this.sliders.setNames(sliders);
    } catch (trouble) {
      if (!(trouble instanceof Trouble)) throw trouble;
      this.namesOf = null;
      if (model === this.model) this.waiting.fail(trouble, () => this.needNames());
    }
  }

  /** A point in words. @param {Point} point */
  words({isFound, title, label}) {
    return (isFound ? "a found point" : title) + (label === null ? "" : ` as ${this.info.classes[label]}`);
  }

  said(sentence, isWrong = false) {
    this.waiting.say(sentence, isWrong);
  }

  /** Say something to a screen reader, once a second at most. */
  aloud(sentence) {
    clearTimeout(this.speaking);
    this.speaking = setTimeout(() => { this.parts.aloud.textContent = sentence; }, 1000);
  }
}

const root = element.querySelector(".explore");
const explore = root.ganlab = new Explore(root);  // for tests
onState((values) => explore.open(values));
if (!explore.wanted) explore.open({});
