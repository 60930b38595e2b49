// The stage: the values of a walk, its frames from the server, its files.

const FILES = [["gif", "GIF"], ...(PAGE.mp4 ? [["mp4", "MP4"]] : []), ["png", "strip"]];
const FILE_LIMIT = 300_000;  // milliseconds: a long walk may wait for others

class Walk {
  constructor(parts) {
    const {steps, method, psi} = PAGE.defaults;
    Object.assign(this, {parts, kept: {}, saving: new Wire(server, WORDS.noAnswer, FILE_LIMIT), steps, method, psi});
    this.waiting = new Waiting(parts.note);
    this.pull = new Pull("interpolate_walk", this.waiting, (answer, asked) => this.show(answer, asked));
    this.player = new Player(parts);
    this.cards = new Cards(parts.cards, () => {
      this.tell("");
      this.ask();
    }, (sentence) => this.tell(sentence, true));
    this.choice = new ModelChoice(parts.model, PAGE.models, (name) => this.useModel(name));
    this.setModel(this.choice.value);
    this.cards.open(defaultPoints());
    this.buildControls();
    this.buildShare();
    parts.waypoints.append(dice("Other seeds for all waypoints", () => this.cards.roll(), "New seeds"));
    parts.closed.addEventListener("change", () => this.ask());
  }

  buildControls() {
    const changed = (name) => (value) => {
      this[name] = value;
      this.ask();
    };
    this.fields = {
      steps: new NumberField({label: "Steps", info: WALK.steps, low: 2, high: PAGE.limits.steps, step: 1},
                             changed("steps")),
      psi: new NumberField({label: "Truncation ψ", info: WALK.psi, low: 0, high: PAGE.limits.psi, step: 0.05},
                           changed("psi")),
      method: new ChipField("Path", PAGE.paths, changed("method")),
    };
    this.parts.controls.append(...Object.values(this.fields).map(({element}) => element));
    this.showFields();
  }

  buildShare() {
    this.buttons = FILES.map(([kind, what]) => make("button", {
      type: "button", onclick: () => this.save(kind, what)}, `Save ${what}`));
    new LinkButton(this.parts.share, () => this.linked(), ...this.buttons);
    this.told = this.parts.share.querySelector(".stage-told");
    if (!PAGE.mp4) this.told.textContent = WALK.noMp4;
  }

  /** The walk's values, as the server takes them. */
  get values() {
    const {model, steps, method, psi} = this;
    const waypoints = this.cards.points.map(({text}) => text);
    return {model, waypoints, steps, method, closed: this.parts.closed.checked, psi};
  }

  /** @returns {Object<string, *>} what a link to the walk says */
  linked({waypoints, closed, ...others} = this.values) {
    return {...others, waypoints: waypoints.join(","), closed: closed ? 1 : 0};
  }

  showFields() {
    for (const [name, field] of Object.entries(this.fields)) field.show(this[name]);
  }

  /** Open a state: those of its values that are there. `add` is a waypoint for the present list. */
  open({model = this.model, waypoints, add, closed, ...others}) {
    this.offer(null);
    for (const name of Object.keys(this.fields)) if (name in others) this[name] = others[name];
    this.showFields();
    if (closed !== undefined) this.parts.closed.checked = closed;
    this.choice.show(model);
    if (model !== this.model) this.changeModel(model);
    if (waypoints) this.cards.open(pointsOf(waypoints));
    if (add) this.add(Point.parse(add));
    this.ask();
  }

  add(point) {
    const list = withPoint(this.cards.points, point);
    if (!list) return this.offer(point);
    this.cards.open(list);
    this.tell(list.some(({filler}) => filler) ? WALK.oneMore : "");
  }

  /** Offer which waypoint of a full list another one replaces; null: nothing. */
  offer(point) {
    const {offer} = this.parts;
    offer.hidden = !point;
    if (!point) return offer.replaceChildren();
    const close = (replaced) => {
      this.offer(null);
      if (replaced === null) return;
      this.cards.open(this.cards.points.map((old) => old === replaced ? point : old));
      this.cards.changed();
    };
    const button = (text, replaced) => make("button", {type: "button", onclick: () => close(replaced)}, text);
    offer.replaceChildren(
      make("p", {role: "status"}, WALK.full(PAGE.limits.waypoints)),
      make("div", {class: "stage-bar"}, ...this.cards.points.map((old, i) => button(`${i + 1}: ${old.title}`, old)),
           button("None", null)));
    offer.scrollIntoView({block: "nearest"});
  }

  useModel(name) {
    this.changeModel(name);
    this.ask();
  }

  /** The classes of a model of the Hub come with its first pictures. */
  setModel(name) {
    this.model = name;
    this.cards.classes = PAGE.classes[name] || [];
  }

  /** Open the waypoints that the model had when it was left; at first, those that it understands too: the seeds. */
  changeModel(name) {
    const before = this.model, {points} = this.cards;
    this.kept[before] = points;
    this.setModel(name);
    this.tell(points.some(({isFound}) => isFound) ? WALK.otherModel(before) : "");
    this.cards.open(this.kept[name] ?? this.withoutFound(points));
  }

  /** The seeds, without classes; default waypoints where they are less than two. */
  withoutFound(points) {
    const seeds = points.filter(({isFound}) => !isFound);
    const fillers = defaultPoints().filter(({place}) => !seeds.some((seed) => seed.place === place));
    while (seeds.length < 2) seeds.push(fillers.pop());
    return seeds.map(({place, filler}) => new Point(place, null, filler));
  }

  tell(sentence, wrong = false) {
    this.waiting.say(sentence, wrong);
  }

  /** Ask for the walk as it is now. */
  ask() {
    const {values} = this;
    if (!this.player.film) this.reserve(values.waypoints.length - !values.closed);
    this.pull.ask(values);
  }

  /** Keep the place of the film strip until it is there. */
  reserve(legs) {
    this.parts.film.style.setProperty("--interpolate-legs", legs);
  }

  /** While a slider moves, earlier walks are shown too, if they are past the same waypoints. */
  show(answer, values) {
    if (values.model !== this.model || values.waypoints.join() !== this.values.waypoints.join()) return;
    const film = new Film(picturesOf(answer), {...values, points: this.cards.points});
    this.player.open(film);
    this.reserve(0);
    this.cards.classes = answer.classes;
    this.cards.show(film, answer.labels);
    this.parts.facts.textContent = WALK.facts(film.pictures.length, values.model);
    Object.assign(root.dataset, {shown: linkQuery(this.linked(values)), frames: film.pictures.length});
  }

  async save(kind, what) {
    const disable = (disabled) => this.buttons.forEach((button) => Object.assign(button, {disabled}));
    disable(true);
    this.told.textContent = WALK.making(what);
    try {
      const answer = await this.saving.call("interpolate_file", {...this.values, kind});
      saveFile(answer);
      this.told.textContent = WALK.saved(answer.name);
    } catch (trouble) {
      if (!(trouble instanceof Trouble)) throw trouble;
      this.told.textContent = trouble.message;
    } finally {
      disable(false);
    }
  }
}

const root = element.querySelector(".interpolate");
const walk = root.ganlab = new Walk(partsOf(root));  // for tests
onState((values) => walk.open(values));
if (!walk.pull.busy) walk.ask();
