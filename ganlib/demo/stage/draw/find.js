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
    Object.assign(this, {root, parts, draw, wire: new Wire(server), turn: 0, seed: 0, latent: null});
    parts.find.addEventListener("click", () => this.search(0));
    parts.again.addEventListener("click", () => this.search(this.next));
    parts.stop.addEventListener("click", () => this.stop());
    this.reset();
  }

  /** Forget what was found: the drawing, the model or the class has changed. */
  reset() {
    this.turn += 1;
    this.latent = null;
    this.busy(false);
    this.parts.again.hidden = true;
    this.parts.next.classList.add("draw-waiting");
    this.parts.result.textContent = "";
    for (const name of ["found", "difference"]) this.blank(this.parts[name]);
  }

  get next() {
    return (this.seed + 1) % (PAGE.maxSeed + 1);
  }

  blank(canvas) {
    putPicture(canvas, new ImageData(SIDE, SIDE));
  }

  busy(searching) {
    const {find, stop, progress, again} = this.parts;
    find.hidden = searching;
    stop.hidden = progress.hidden = !searching;
    if (searching) again.hidden = true;
  }

  async search(seed) {
    this.reset();
    const turn = this.turn;
    this.busy(true);
    this.parts.progress.value = 0;
    this.parts.stop.focus({preventScroll: true});
    await this.draw.settled();
    if (turn !== this.turn) return;
    const asked = this.draw.asked();
    if (!asked.drawing) return this.reset();
    Object.assign(this, {seed, drawing: asked.drawing});
    try {
      let answer = {done: false};
      while (!answer.done) {
        while (!isSeen(this.root)) {
          await sleep(200);
          if (!this.root.isConnected) return;
        }
        answer = await this.wire.call("draw_find", {...asked, seed}, async () => turn === this.turn);
        if (turn !== this.turn) return;
        this.show(answer, answer.done);
      }
    } catch (error) {
      if (turn === this.turn) this.reset();
      this.draw.note(error.message, true);
    }
  }

  /** Keep what was found so far. */
  stop() {
    this.turn += 1;
    this.finish(WORDS_OF_DRAWING.stopped);
  }

  /** @param {Object} answer of the server @param {boolean} last whether it is the result */
  show(answer, last) {
    const drawing = pictureOfText(this.drawing), [found] = picturesOf(answer);
    putPicture(this.parts.found, found);
    putPicture(this.parts.difference, differenceOf(drawing, found));
    this.latent = answer.latent;
    this.answer = answer;
    this.parts.progress.value = answer.share ?? 1;
    if (last) this.finish("");
  }

  finish(before) {
    const focused = document.activeElement === this.parts.stop;
    this.busy(false);
    if (focused) this.parts.find.focus({preventScroll: true});
    if (!this.latent) return;
    this.parts.result.textContent = `${before}${WORDS_OF_DRAWING.result(this.answer)} ${WORDS_OF_DRAWING.difference}`;
    this.parts.again.textContent = WORDS_OF_DRAWING.again(this.next);
    this.parts.again.hidden = false;
    this.parts.next.classList.remove("draw-waiting");
  }

  /** Show what a link names. */
  async open(latent) {
    this.reset();
    const turn = this.turn, {model, drawing} = this.draw.asked();
    if (!drawing) return;
    this.drawing = drawing;
    try {
      const answer = await this.wire.call("draw_found", {model, drawing, latent}, async () => turn === this.turn);
      if (answer && turn === this.turn) this.show(answer, true);
    } catch (error) {
      this.draw.note(error.message, true);
    }
  }
}
