// The stage: the values of a walk, its frames from the server, its files.

const WALK = {
  facts: (count, model) => `${count} pictures of ${model}. All are the generator’s own. Nothing is blended.`,
  oneMore: "A found latent replaces the default waypoints. Send another one, and the walk goes from one to the other.",
  otherModel: (model) => `Found latents belong to ${model}, so they were taken out.`,
  full: (most) => `A walk has at most ${most} waypoints. Choose the one that the new one replaces.`,
  making: (what) => `The server makes the ${what}.`,
  saved: (name) => `${name} is saved.`,
  noMp4: "This server cannot make an MP4. A GIF works everywhere.",
};
const FILES = [["gif", "GIF", "image/gif"], ...(PAGE.mp4 ? [["mp4", "MP4", "video/mp4"]] : []),
               ["png", "strip", "image/png"]];

class Walk {
  constructor(parts) {
    const {steps, method, psi} = PAGE.defaults;
    Object.assign(this, {parts, wire: new Wire(server), saving: new Wire(server), asked: 0, steps, method, psi});
    this.player = new Player(parts);
    this.cards = new Cards(parts.cards, () => {
      this.tell("");
      this.ask();
    });
    this.choice = new ModelChoice(parts.model, PAGE.models, (name) => this.useModel(name));
    this.setModel(this.choice.value);
    this.cards.open(defaultPoints());
    this.buildControls();
    this.buildShare();
    parts.dice.addEventListener("click", () => this.cards.roll());
    parts.closed.addEventListener("change", () => this.ask());
  }

  buildControls() {
    const changed = (name) => (value) => {
      this[name] = value;
      this.ask();
    };
    this.fields = {
      steps: new NumberField({label: "Steps", info: "Pictures from one waypoint to the next, both included.", low: 2,
                              high: PAGE.limits.steps, step: 1}, changed("steps")),
      psi: new NumberField({label: "Truncation ψ", info: "Below 1: more typical pictures. Above 1: more unusual ones.",
                            low: 0, high: PAGE.limits.psi, step: 0.05}, changed("psi")),
      method: new ChipField("Path", PAGE.paths, changed("method")),
    };
    this.parts.controls.append(...Object.values(this.fields).map(({element}) => element));
    this.showFields();
  }

  buildShare() {
    this.buttons = FILES.map(([kind, what, type]) => make("button", {
      type: "button", onclick: () => this.save(kind, what, type)}, `Save ${what}`));
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
    const before = this.model, same = model === before;
    this.choice.show(model);
    this.setModel(model);
    if (waypoints) this.cards.open(pointsOf(waypoints));
    else if (!same && add) this.cards.open(defaultPoints());
    else if (!same) this.leaveModel(before);
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
    const before = this.model;
    this.setModel(name);
    this.leaveModel(before);
    this.ask();
  }

  /** The classes of a model of the Hub come with its first pictures. */
  setModel(name) {
    this.model = name;
    this.cards.classes = PAGE.classes[name] || [];
  }

  /** Keep what another model understands too: the seeds, without classes. */
  leaveModel(before) {
    const {points} = this.cards, seeds = points.filter(({isFound}) => !isFound);
    if (seeds.length < points.length) this.tell(WALK.otherModel(before));
    const fillers = defaultPoints().filter(({place}) => !seeds.some((seed) => seed.place === place));
    while (seeds.length < 2) seeds.push(fillers.pop());
    this.cards.open(seeds.map(({place, filler}) => new Point(place, null, filler)));
  }

  tell(sentence, wrong = false) {
    this.parts.note.textContent = sentence;
    this.parts.note.classList.toggle("stage-wrong", wrong);
  }

  /** Ask for the walk as it is now. Of several in quick succession only the last one is asked for. */
  async ask() {
    const number = ++this.asked, {values} = this, {points} = this.cards;
    if (!this.player.film) this.reserve(points.length - !values.closed);
    try {
      const answer = await this.wire.call("interpolate_walk", values, async () => number === this.asked);
      // while a slider moves, earlier pictures are shown too, if they are of the same waypoints
      if (answer && this.hasPoints(values)) this.show(answer, values, points);
    } catch (trouble) {
      if (!(trouble instanceof Trouble)) throw trouble;
      if (number === this.asked) this.tell(trouble.message, true);
    }
  }

  hasPoints({model, waypoints}) {
    return model === this.model && waypoints.join() === this.values.waypoints.join();
  }

  /** Keep the place of the film strip until it is there. */
  reserve(legs) {
    this.parts.film.style.setProperty("--interpolate-legs", legs);
  }

  show(answer, values, points) {
    const film = new Film(picturesOf(answer), {...values, points});
    this.player.open(film);
    this.reserve(0);
    this.cards.classes = answer.classes;
    this.cards.show(film, answer.labels);
    this.parts.facts.textContent = WALK.facts(film.pictures.length, values.model);
    if (this.parts.note.classList.contains("stage-wrong")) this.tell("");
    Object.assign(root.dataset, {shown: linkQuery(this.linked(values)), frames: film.pictures.length});
  }

  async save(kind, what, type) {
    const disable = (disabled) => this.buttons.forEach((button) => Object.assign(button, {disabled}));
    disable(true);
    this.told.textContent = WALK.making(what);
    try {
      const {file, name} = await this.saving.call("interpolate_file", {...this.values, kind});
      download(new Blob([fromBase64(file)], {type}), name);
      this.told.textContent = WALK.saved(name);
    } catch (trouble) {
      if (!(trouble instanceof Trouble)) throw trouble;
      this.told.textContent = trouble.message;
    } finally {
      disable(false);
    }
  }
}

const root = element.querySelector(".interpolate");
root.walk = new Walk(partsOf(root));
root.walk.ask();
onState((values) => root.walk.open(values));
