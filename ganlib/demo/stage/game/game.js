// The game: ten pictures, one at a time; no answer is shown before the last guess.

class Game {
  /** @param {HTMLElement} root @param {Wire} wire */
  constructor(root, wire) {
    Object.assign(this, {root, wire, parts: partsOf(root), turn: 0, round: null});
    this.reset();
    const {parts} = this;
    this.choice = new ModelChoice(parts.models, PAGE.models, () => this.start());
    parts.dots.append(...Array.from({length: PAGE.count}, () => make("li")));
    for (const guess of ["real", "generated"]) parts[guess].addEventListener("click", () => this.guess(guess));
    new LinkButton(parts.share, () => this.state);
    this.listen();
  }

  /** @returns {{model: string, round: number}} which names the round, in links and requests */
  get state() {
    return {model: this.choice.value, round: this.round};
  }

  reset() {
    Object.assign(this, {pictures: [], classes: null, guesses: [], answers: null});
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
    this.note(SENTENCES.loading);
    await this.attempt(async () => {
      const answer = await this.wire.call("game_round", this.state, async () => turn === this.turn);
      if (turn !== this.turn || !answer) return;
      Object.assign(this, {pictures: picturesOf(answer), classes: answer.classes});
      this.parts.about.textContent = answer.about;
      this.show();
      this.note("");
    }, turn, () => this.start(this.round));
  }

  guess(guess) {
    if (!this.playing) return;
    this.guesses.push(guess);
    this.show();
    if (!this.playing) this.finish();
  }

  async finish() {
    const {turn} = this;
    this.note(SENTENCES.checking);
    await this.attempt(async () => {
      const answers = await this.wire.call("game_answers", {...this.state, guesses: this.guesses});
      if (turn !== this.turn) return;
      this.answers = answers;
      showEnd(this.parts.end, answers, this.pictures, {
        openSeed: (seed) => goTo("generate", {model: this.choice.value, seed, count: 1, class: "any"}),
        again: () => this.again(), save: () => this.save()});
      this.show();
      this.note("");
      this.parts.end.focus({preventScroll: true});
      this.root.scrollIntoView({block: "start", behavior: moves() ? "smooth" : "auto"});
    }, turn, () => this.finish());
  }

  async again() {
    await this.start();
    this.parts.real.focus({preventScroll: true});
  }

  async save() {
    const {round, turn} = this;
    await this.attempt(async () => {
      const {png} = await this.wire.call("game_picture", this.state);
      download(new Blob([fromBase64(png)], {type: "image/png"}), `gan-game-${round}.png`);
    }, turn, () => this.save());
  }

  /** Do something; if it fails, show why, with a button that tries again. */
  async attempt(action, turn, again) {
    try {
      await action();
    } catch (error) {
      if (turn !== this.turn) return;
      const button = error.again === false && error.cause === "server" ? null
        : make("button", {type: "button", onclick: again}, SENTENCES.retry);
      this.note(error.message, true, button);
    }
  }

  note(sentence, wrong = false, button = null) {
    this.parts.note.replaceChildren(sentence, ...button ? [" ", button] : []);
    this.parts.note.classList.toggle("stage-wrong", wrong);
  }

  /** Show the present picture, or the end. */
  show() {
    const {parts, guesses, pictures, answers} = this, place = guesses.length;
    this.root.toggleAttribute("data-over", answers !== null);
    [parts.board.hidden, parts.end.hidden] = [answers !== null, answers === null];
    [...parts.dots.children].forEach((dot, i) => {
      dot.dataset.guess = guesses[i] ?? "";
      dot.toggleAttribute("data-now", this.playing && i === place);
    });
    parts.real.disabled = parts.generated.disabled = !this.playing;
    if (answers) {
      parts.aloud.textContent = SENTENCES.score(answers.you, answers.discriminator, answers.of);
    } else if (this.playing) {
      putPicture(parts.canvas, pictures[place]);
      parts.canvas.setAttribute("aria-label", SENTENCES.picture(place + 1, PAGE.count));
      parts.meant.textContent = this.classes ? SENTENCES.meant(this.classes[place]) : "";
      parts.aloud.textContent = SENTENCES.picture(place + 1, PAGE.count);
    } else if (!pictures.length) {
      parts.canvas.getContext("2d").clearRect(0, 0, parts.canvas.width, parts.canvas.height);
      parts.canvas.setAttribute("aria-label", SENTENCES.loading);
      parts.meant.textContent = "";
    }
  }

  /** R and G anywhere in the tab; the arrow keys where no other control uses them. */
  listen() {
    const keys = {r: "real", g: "generated", ArrowLeft: "real", ArrowRight: "generated"};
    const press = (event) => {
      if (!this.root.isConnected) return document.removeEventListener("keydown", press);
      const key = event.key.length === 1 ? event.key.toLowerCase() : event.key, {target} = event;
      if (!Object.hasOwn(keys, key) || !this.playing || !isSeen(this.root) || event.repeat) return;
      if (event.ctrlKey || event.altKey || event.metaKey) return;
      if (target.closest("input:not([type=radio]), textarea, select")) return;
      if (key.startsWith("Arrow") && target !== document.body && !this.parts.board.contains(target)) return;
      event.preventDefault();
      this.guess(keys[key]);
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
root.ganlab = {game, SENTENCES};  // for tests and for the curious
onState((values) => game.open(values));
if (game.round === null) game.start();
