// The game: ten pictures, one at a time; no answer is shown before the last guess.

class Game {
  /** @param {HTMLElement} root @param {Wire} wire */
  constructor(root, wire) {
    Object.assign(this, {root, wire, parts: partsOf(root), turn: 0, round: null, scores: readKept().scores});
    this.reset();
    const {parts} = this;
    this.waiting = new Waiting(parts.note);
    this.choice = new ModelChoice(parts.models, PAGE.models, () => this.start());
    parts.dots.append(...Array.from({length: PAGE.count}, () => make("li")));
    parts.rules.append(...SENTENCES.rules.map((rule) => make("li", {}, rule)));
    for (const guess of ["real", "generated"]) parts[guess].addEventListener("click", () => this.guess(guess));
    parts.back.addEventListener("click", () => this.back());
    new LinkButton(parts.share, () => this.state);
    parts.share.append(make("p", {class: "stage-info"}, SENTENCES.link));
    showScores(parts.scores, this.scores);
    this.listen();
  }

  /** @returns {{model: string, round: number}} which names the round, in links and requests */
  get state() {
    return {model: this.choice.value, round: this.round};
  }

  reset() {
    Object.assign(this, {pictures: [], classes: null, guesses: [], answers: null, refused: false});
  }

  get playing() {
    return this.pictures.length > 0 && this.guesses.length < PAGE.count;
  }

  /** @param {?number} round null for a new one */
  async start(round = null) {
    const turn = this.turn += 1;
    this.round = round ?? Math.floor(Math.random() * PAGE.rounds);
    this.reset();
    this.show();
    this.waiting.say("");
    await this.waiting.during(async () => {
      const answer = await this.wire.call("game_round", this.state, async () => turn === this.turn);
      if (turn !== this.turn || !answer) return;
      this.parts.about.textContent = answer.about ?? "";
      if (answer.refused) return this.refuse(answer);
      Object.assign(this, {pictures: picturesOf(answer), classes: answer.classes});
      this.resume();
      this.show();
    }, {again: () => this.start(this.round), wanted: () => turn === this.turn});
    if (turn === this.turn && this.pictures.length && !this.playing) this.finish();
  }

  /** Say why this model cannot play, and offer another. */
  refuse({refused, instead}) {
    this.refused = true;
    this.show();
    this.waiting.say(refused);
    if (instead === null) return;
    this.parts.note.append(" ", make("button", {type: "button", onclick: () => {
      this.choice.show(instead);
      this.again();
    }}, SENTENCES.instead(instead)));
  }

  /** Go on where the same round was before the page was loaded again. */
  resume() {
    const {model, round, guesses} = readKept();
    if (model !== this.choice.value || round !== this.round || !guesses.length) return;
    this.guesses = guesses.slice(0, PAGE.count);
    this.waiting.say(SENTENCES.resumed);
    this.parts.note.append(" ", make("button", {type: "button", onclick: () => this.again()}, SENTENCES.fresh));
  }

  keep() {
    writeKept({...this.state, guesses: this.answers ? [] : this.guesses, scores: this.scores});
  }

  guess(guess) {
    if (!this.playing) return;
    this.guesses.push(guess);
    this.turned();
    if (!this.playing) this.finish();
  }

  /** Take the last guess back. */
  back() {
    if (!this.playing || !this.guesses.length) return;
    this.guesses.pop();
    this.turned();
  }

  turned() {
    this.keep();
    this.waiting.say("");
    this.show();
  }

  async finish() {
    const {turn} = this;
    this.waiting.say(SENTENCES.checking);
    await this.waiting.during(async () => {
      const answers = await this.wire.call("game_answers", {...this.state, guesses: this.guesses});
      if (turn !== this.turn) return;
      this.waiting.say("");
      this.end(answers);
    }, {again: () => this.finish(), wanted: () => turn === this.turn});
  }

  /** @param {Object} answers of the server */
  end(answers) {
    const {you, discriminator, of} = answers;
    this.answers = answers;
    this.scores = [...this.scores, {...this.state, you, discriminator, of}].slice(-MAX_SCORES);
    this.keep();
    showScores(this.parts.scores, this.scores);
    showEnd(this.parts.end, answers, this.pictures, {
      openSeed: (seed) => goTo("generate", {model: this.choice.value, seed, count: 1, class: "any"}),
      again: () => this.again(), save: () => this.save(), link: () => this.state});
    this.show();
    this.parts.end.focus({preventScroll: true});
    this.root.scrollIntoView({block: "start", behavior: moves() ? "smooth" : "auto"});
  }

  async again() {
    await this.start();
    this.parts.real.focus({preventScroll: true});
  }

  async save() {
    const {turn} = this;
    await this.waiting.during(async () => {
      saveFile(await this.wire.call("game_picture", {...this.state, guesses: this.guesses}));
    }, {again: () => this.save(), wanted: () => turn === this.turn});
  }

  /** Show the present picture, or the end. */
  show() {
    const {parts, guesses, pictures, answers} = this, place = guesses.length;
    this.root.toggleAttribute("data-over", answers !== null);
    parts.board.hidden = parts.share.hidden = answers !== null || this.refused;
    parts.end.hidden = answers === null;
    [...parts.dots.children].forEach((dot, i) => {
      dot.dataset.guess = guesses[i] ?? "";
      dot.toggleAttribute("data-now", this.playing && i === place);
    });
    parts.real.disabled = parts.generated.disabled = !this.playing;
    parts.back.disabled = !this.playing || !place;
    parts.place.textContent = SENTENCES.place(Math.min(place + 1, PAGE.count), PAGE.count);
    if (answers) {
      parts.aloud.textContent = SENTENCES.score(answers.you, answers.discriminator, answers.of);
    } else if (this.playing) {
      putPicture(parts.canvas, pictures[place]);
      parts.canvas.setAttribute("aria-label", SENTENCES.picture(place + 1, PAGE.count));
      parts.meant.textContent = this.classes ? SENTENCES.meant(this.classes[place]) : "";
      parts.aloud.textContent = SENTENCES.picture(place + 1, PAGE.count);
    } else if (!pictures.length) {
      parts.canvas.getContext("2d").clearRect(0, 0, parts.canvas.width, parts.canvas.height);
      parts.canvas.setAttribute("aria-label", WORDS.loading);
      parts.meant.textContent = "";
    }
  }

  /** Keys of the game, where the board or nothing has the focus. */
  listen() {
    const keys = {r: () => this.guess("real"), ArrowLeft: () => this.guess("real"), g: () => this.guess("generated"),
                  ArrowRight: () => this.guess("generated"), Backspace: () => this.back()};
    const press = (event) => {
      if (!this.root.isConnected) return document.removeEventListener("keydown", press);
      const key = event.key.length === 1 ? event.key.toLowerCase() : event.key, {target} = event;
      if (!Object.hasOwn(keys, key) || !this.playing || !isSeen(this.root) || event.repeat) return;
      if (event.ctrlKey || event.altKey || event.metaKey) return;
      if (target !== document.body && !this.parts.board.contains(target)) return;
      event.preventDefault();
      keys[key]();
    };
    document.addEventListener("keydown", press);
  }

  open({model, round}) {
    this.choice.show(model);
    this.start(round ?? null);
  }
}

const root = element.querySelector(".game");
const game = new Game(root, new Wire(server));
root.ganlab = {game, SENTENCES, percent};  // for tests and for the curious
onState((values) => game.open(values));
if (game.round === null) {
  const {model, round, guesses} = readKept();
  if (guesses.length) game.open({model, round});
  else game.start();
}
