// The search for the generator's closest picture.

const REAL_COLOUR = [59, 130, 246], GENERATED_COLOUR = [249, 115, 22], DARK = [13, 15, 22];

/** @returns {ImageData} blue where only `drawing` has ink, orange where only `found` has it */
function differenceOf(drawing, found) {
  const picture = new ImageData(drawing.width, drawing.height);
  for (let i = 0; i < picture.data.length; i += 4) {
    const change = (found.data[i] - drawing.data[i]) / 255;
    const colour = change < 0 ? REAL_COLOUR : GENERATED_COLOUR;
    for (let c = 0; c < 3; c++) picture.data[i + c] = DARK[c] + Math.abs(change) * (colour[c] - DARK[c]);
    picture.data[i + 3] = 255;
  }
  return picture;
}

class Finder {
  /** @param {HTMLElement} root @param {Object<string, HTMLElement>} parts @param {Draw} draw */
  constructor(root, parts, draw) {
    Object.assign(this, {root, parts, draw, wire: new Wire(server), turn: 0, seed: 0, latent: null, searching: false,
                         pass: null});  // the last reconstruction by the model's encoder, if it has one
    parts.find.addEventListener("click", () => this.search(0));
    parts.again.addEventListener("click", () => this.search(this.next));
    parts.stop.addEventListener("click", () => this.finish(WORDS_OF_DRAWING.stopped));
    this.reset();
  }

  /** Forget what was found: the drawing, the model or the class has changed. */
  reset() {
    this.end();
    this.latent = null;
    if (this.pass && this.pass.model === this.draw.model && !this.draw.ink.empty) return this.putPass();
    this.pass = null;
    this.parts.caption.textContent = WORDS_OF_DRAWING.closest;
    this.parts.next.classList.add("draw-waiting");
    this.tell(WORDS_OF_DRAWING.about(this.draw.model));
    for (const name of ["found", "difference"]) this.blank(this.parts[name]);
  }

  /** @returns {?string} the latent of the picture that is shown */
  get shown() {
    return this.latent ?? this.pass?.latent ?? null;
  }

  /**
   * Show what the encoder and the generator make of a drawing, until a search has found something closer.
   * @param {string} drawing @param {?Object} encoded of the server; null for a model without an encoder
   */
  showPass(drawing, encoded) {
    if (!encoded) return this.forget();
    this.pass = {...encoded, drawing, model: this.draw.model};
    if (this.latent === null) this.putPass();
  }

  /** The last reconstruction is not that of the drawing. */
  forget() {
    if (!this.pass) return;
    this.pass = null;
    if (this.latent === null) this.reset();
  }

  putPass() {
    this.put(this.pass.drawing, this.pass);
    this.parts.caption.textContent = WORDS_OF_DRAWING.passed;
    this.tell(WORDS_OF_DRAWING.pass(this.pass.model));
    this.parts.again.hidden = true;
    this.parts.next.classList.remove("draw-waiting");
  }

  get next() {
    return (this.seed + 1) % (PAGE.maxSeed + 1);
  }

  blank(canvas) {
    putPicture(canvas, new ImageData(SIDE, SIDE));
  }

  tell(words) {
    if (this.parts.result.textContent !== words) this.parts.result.textContent = words;
  }

  busy(searching) {
    const {find, stop, progress} = this.parts;
    find.hidden = searching;
    stop.hidden = !searching;
    progress.classList.toggle("draw-busy", searching);
  }

  /** End the search that is under way, also on the server, where others may wait for its place. */
  end() {
    this.turn += 1;
    this.busy(false);
    if (this.searching) this.wire.call("draw_stop", {}).catch(() => {});
    this.searching = false;
  }

  async search(seed) {
    this.reset();
    const {turn} = this;
    this.busy(true);
    this.parts.progress.value = 0;
    this.parts.stop.focus({preventScroll: true});
    this.parts.search.scrollIntoView({block: "nearest", behavior: moves() ? "smooth" : "auto"});
    const drawing = await this.draw.drawing();
    if (turn !== this.turn) return;
    if (!drawing) return this.end();  // the note says why
    Object.assign(this, {seed, searching: true});
    const {model, chosen} = this.draw, asked = {model, class: chosen, drawing, seed};
    const done = await this.draw.waiting.during(() => this.follow(asked, turn), {
      again: () => this.search(seed), source: this, wanted: () => turn === this.turn});
    if (turn === this.turn && !done) this.finish(WORDS_OF_DRAWING.broken);
  }

  /** Ask for a search until it ends, and show how far it is. @returns {Promise<boolean>} whether it came to its end */
  async follow(asked, turn) {
    for (;;) {
      while (!isSeen(this.root)) {
        await sleep(200);
        if (!this.root.isConnected) return false;
      }
      const answer = await this.wire.call("draw_find", asked, async () => turn === this.turn);
      if (turn !== this.turn) return false;
      this.searching = !answer.done;
      this.show(asked.drawing, answer);
      if (!answer.done) continue;
      this.finish();
      return true;
    }
  }

  /** @param {string} drawing @param {Object} answer of the server */
  put(drawing, answer) {
    const [found] = picturesOf(answer);
    putPicture(this.parts.found, found);
    putPicture(this.parts.difference, differenceOf(pictureOfText(drawing), found));
  }

  /** @param {string} drawing @param {Object} answer of the server */
  show(drawing, answer) {
    this.put(drawing, answer);
    this.parts.caption.textContent = WORDS_OF_DRAWING.closest;
    this.latent = answer.latent;
    this.answer = answer;
    this.parts.progress.value = answer.share ?? 1;
  }

  /** Keep what was found so far. @param {string} why it has ended */
  finish(why = "") {
    const focused = document.activeElement === this.parts.stop;
    this.end();
    if (focused) this.parts.find.focus({preventScroll: true});
    const words = this.latent ? WORDS_OF_DRAWING.result(this.answer, this.pass)
      : this.pass ? WORDS_OF_DRAWING.pass(this.pass.model) : WORDS_OF_DRAWING.about(this.draw.model);
    this.tell(why ? `${why} ${words}` : words);
    if (!this.latent) return;
    this.parts.again.hidden = false;
    this.parts.again.textContent = WORDS_OF_DRAWING.again(this.next);
    this.parts.next.classList.remove("draw-waiting");
  }

  /** Show what a link names. */
  async open(latent) {
    this.reset();
    const {turn} = this, drawing = await this.draw.drawing(), {model} = this.draw;
    if (!drawing || turn !== this.turn) return;
    await this.draw.waiting.during(async () => {
      const answer = await this.wire.call("draw_found", {model, drawing, latent}, async () => turn === this.turn);
      if (turn !== this.turn) return;
      this.show(drawing, answer);
      this.finish();
    }, {again: () => this.open(latent), source: this, wanted: () => turn === this.turn});
  }
}
