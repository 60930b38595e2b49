// Figure 5: the lab's training, one half step at a time. The server trains, the browser draws; a still of the untrained
// networks is in the page.
// place.dataset: discriminator and generator (their steps), map and points (checksums of what is drawn), frozen (the
// network that did not learn last, or ""), next (the network whose turn it is), busy ("true" until all that was asked
// for is drawn).

const LAYERS = ["real", "generated", "learned", "arrows"];
const MOVE = 260;  // milliseconds from one frame to the next
const TEN = 10;
const OTHER = {discriminator: "generator", generator: "discriminator"};
const SAID = {
  begin: "Neither network has learned yet. The discriminator begins.",
  discriminator: "The generator was frozen: the points stayed, and the map changed.",
  generator: "The discriminator was frozen: the map stayed, and the points moved.",
  both: (n) => `Both took turns, ${n} steps each. In each step the other one was frozen.`,
  several: "Both networks have learned, one after the other.",
  training: "The server is training.",
  end: "This training is at its longest. Press Reset to begin again.",
};

/** @returns {number} the steps of one network among these actions */
function stepsOf(actions, who) {
  return actions.reduce((sum, [each, n]) => sum + (each === who || each === "both" ? n : 0), 0);
}

/** @returns {boolean} whether these actions are the first ones of the others */
function begins(actions, others) {
  return JSON.stringify(actions) === JSON.stringify(firstActions(others, countOf(actions)));
}

/** @param {Numbers} array @returns {string} a checksum, FNV-1a */
function checksum(array) {
  let sum = 0x811c9dc5;
  for (const byte of new Uint8Array(array.buffer, array.byteOffset, array.byteLength)) {
    sum = Math.imul(sum ^ byte, 0x01000193) >>> 0;
  }
  return sum.toString(16);
}

/** One network: the button that trains it, its steps, its loss, and what happened to it last. */
class Half {
  /** @param {number} number in the algorithm @param {string} who @param {() => void} train */
  constructor(number, who, train) {
    const part = (name) => make("span", {class: `how-steps-${name}`});
    [this.steps, this.loss, this.fate, this.turn] = ["count", "loss", "fate", "turn"].map(part);
    this.element = make("button", {type: "button", class: `how-steps-half how-steps-${who}`, onclick: train},
      make("span", {class: "how-steps-name"}, make("b", {"aria-hidden": "true"}, String(number)), `Train the ${who}`),
      make("span", {class: "how-steps-numbers"}, this.steps, this.loss),
      make("span", {class: "how-steps-numbers"}, this.fate, this.turn));
  }

  /** @param {{steps: number, loss: ?number, fate: string, isNext: boolean}} now */
  show({steps, loss, fate, isNext}) {
    this.steps.textContent = `${steps.toLocaleString("en")} ${steps === 1 ? "step" : "steps"}`;
    this.loss.textContent = `loss ${loss === null ? "–" : loss.toFixed(3)}`;
    this.fate.textContent = fate;
    this.turn.textContent = isNext ? "next" : "";
    this.element.classList.toggle("how-steps-next", isNext);
    this.element.classList.toggle("how-steps-frozen", fate === "was frozen");
  }
}

class TwoSteps {
  constructor(place) {
    Object.assign(this, {place, film: null, goal: [], shown: [], isShown: false,
                         losses: {discriminator: null, generator: null}});
    this.view = new FilmView(LAYERS, () => this.colour());
    const half = (who, i) => [who, new Half(i + 1, who, () => this.train([[who, 1]]))];
    this.halves = Object.fromEntries(Object.keys(OTHER).map(half));
    const note = make("p", {class: "stage-note how-steps-told", role: "status"});
    this.waiting = new Waiting(note, SAID.training);
    this.pull = new Pull("how_steps", this.waiting, (answer, asked) => this.answered(answer, asked));
    this.bar = make("i", {class: "how-steps-bar"});
    place.append(
      make("div", {class: "how-steps-halves", role: "group", "aria-label": "One step"},
           this.halves.discriminator.element, this.halves.generator.element),
      make("div", {class: "how-steps-row"}, make("div", {class: "stage-bar"},
           make("button", {type: "button", onclick: () => this.train([["both", TEN]])}, `${TEN} of each`),
           make("button", {type: "button", onclick: () => this.reset()}, "Reset")), note),
      make("div", {class: "how-steps-picture"}, this.view.element, this.legend()));
    this.open();
  }

  legend() {
    return make("div", {class: "how-steps-legend"},
      filmEntry("real", "real"), filmEntry("fake", "generated"), filmEntry("arrow", "pull of D"),
      make("span", {class: "how-steps-scale"}, this.bar,
           make("span", {class: "how-steps-ends"}, ...["1", "½", "0"].map((end) => make("span", {}, end))),
           make("span", {class: "how-steps-map"}, "D(x)")));
  }

  /** Draw the untrained networks, which are in the page. */
  async open() {
    this.still = await readFilm(fromBase64(PAGE.twoSteps.still));
    this.film = this.still;
    this.tell();
    this.view.show(this.film, 0);
    this.note();
  }

  show() {
    this.isShown = true;
    this.view.redraw();
    if (!this.pull.busy) this.goOn();  // otherwise its answer does
  }

  /** Nothing more is asked for: the server trains to the end of the present request at most. */
  hide() {
    this.isShown = false;
    this.pull.next = null;
    this.view.stop();
  }

  /** Ask for what is left of the goal; the server goes on where it was. */
  goOn() {
    if (this.isShown && !this.pull.next && countOf(this.shown) < countOf(this.goal)) this.pull.ask({goal: this.goal});
  }

  /** @param {Action[]} actions to do after all that was asked for */
  train(actions) {
    const goal = actions.reduce((all, [who, n]) => withAction(all, who, n), this.goal), {twoSteps} = PAGE;
    if (countOf(goal) > twoSteps.steps || goal.length > twoSteps.actions) return this.waiting.say(SAID.end);
    this.goal = goal;
    this.place.dataset.busy = "true";
    this.pull.ask({goal});
  }

  answered({frame}, asked) {
    // without a frame the goal is not reached yet; another goal is of a training before Reset
    if (frame && begins(asked.goal, this.goal)) this.draw(frame, asked.goal);
    this.goOn();
  }

  /** @param {string} frame in base64 @param {Action[]} actions that led to it */
  draw(frame, actions) {
    const film = new Film(null), before = this.shown;
    film.opening = this.still.opening;
    film.add(fromBase64(frame));
    Object.assign(this, {film, shown: actions});
    this.tell(before);
    this.view.show(film, 0, MOVE, ["generated", "arrows", "probability"]);
    this.note();
  }

  reset() {
    this.pull.next = null;
    Object.assign(this, {goal: [], shown: [], film: this.still, losses: {discriminator: null, generator: null}});
    this.tell();
    this.view.show(this.film, 0, MOVE, ["generated", "arrows", "probability"]);
    this.note();
  }

  /** Say what has changed since the moment before, in the status line and on the buttons. @param {Action[]} before */
  tell(before = this.shown) {
    const {dataset} = this.place, {header} = this.film.last, done = {};
    for (const who of Object.keys(OTHER)) {
      done[who] = stepsOf(this.shown, who) - stepsOf(before, who);
      this.losses[who] = header[`${who}_loss`] ?? this.losses[who];  // a frozen network's loss is not computed
    }
    const learned = Object.keys(OTHER).filter((who) => done[who] > 0), [only] = learned;
    const frozen = learned.length === 1 ? OTHER[only] : "", next = frozen || "discriminator";
    for (const [who, half] of Object.entries(this.halves)) {
      const fate = who === frozen ? "was frozen" : done[who] > 0 ? "has learned" : "untrained";
      half.show({steps: stepsOf(this.shown, who), loss: this.losses[who], fate, isNext: who === next});
    }
    const both = done.discriminator === done.generator && done.generator > 1 ? SAID.both(done.generator) : SAID.several;
    this.waiting.say(frozen ? SAID[only] : learned.length ? both : SAID.begin);
    for (const who of Object.keys(OTHER)) dataset[who] = stepsOf(this.shown, who);
    Object.assign(dataset, {frozen, next});
  }

  /** Keep for tests what is drawn, and whether all that was asked for is. */
  note() {
    const {arrays, header} = this.film.last.pack;
    Object.assign(this.place.dataset, {map: checksum(arrays.probability), points: checksum(arrays.generated),
                                       busy: String(countOf(this.shown) < countOf(this.goal))});
    this.view.canvas.setAttribute("aria-label",
      `Real and generated points over the discriminator’s map. ${header.verdict}`);
  }

  colour() {
    const {heat} = coloursNow();
    this.bar.style.setProperty("--how-steps-heat", [0, CERTAIN / 4, CERTAIN / 2, 3 * CERTAIN / 4, CERTAIN]
      .map((shade) => pixelColour(heat[Math.round(shade)])).join(", "));
  }
}

FIGURES.steps = (place) => new TwoSteps(place);
