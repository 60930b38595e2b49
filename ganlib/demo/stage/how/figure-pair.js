// Figure 10: `dcgan` and `vae` side by side: they reconstruct a digit, make samples, and interpolate.
//
// place.dataset: mode ("reconstruct", "sample" or "interpolate"), digit (JSON of the request that names it), vae and dcgan
// (JSON {psnr, milliseconds} of their reconstructions; dcgan also {done}, and absent until its search
// begins), seeds "1,2,…", t (0 to 1), ends (JSON).

const {gan: GAN, vae: VAE, start: START} = PAGE.pair;
const MODES = {reconstruct: "Reconstruct", sample: "Sample", interpolate: "Interpolate"};
const INK = PAGE.pair.inkSide, PEN_WIDTH = 2.4 / 28;  // of the field's side: a line of MNIST
const PAUSE = 900;  // milliseconds after a stroke, after which the drawing is taken as it is
const TILES = 7;  // of a strip

const SAID = {
  kinds: {[GAN]: "closest, by a search", [VAE]: "encoded and decoded"},
  original: "Original",
  yours: "draw your own here",
  another: "Another digit",
  inDraw: "Open in Draw",
  inExplore: "Move it in Explore",
  noise: "New noise",
  ends: "New ends",
  searching: (share) => `search: ${Math.round(100 * share)}%`,
  stopped: "The search has stopped.",
  later: "after the last stroke",
  search: "The server searches for the GAN’s closest picture.",
  result: (name, psnr) => `${name}: ${psnr.toFixed(1)} dB.`,
  grid: (name) => `16 samples of ${name}, of the same seeds`,
  between: {[GAN]: "between two seeds", [VAE]: "between two encoded digits"},
  t: "From the first picture to the second",
  mean: "Shown is the decoder’s mean. No pixel noise is drawn.",
};

/** A picture with its name and its numbers. */
class Tile {
  constructor(name, kind, colour) {
    this.canvas = make("canvas", {class: "how-grid", role: "img", "aria-label": name});
    this.value = make("div", {class: "how-pair-value"});
    this.element = make("section", {class: `how-card how-pair-tile how-pair-${colour}`},
                        make("h3", {}, name, make("small", {}, kind)), this.canvas, this.value);
    onSize(this.canvas, () => this.draw());
  }

  /** @param {boolean} crisp whether its pixels are seen as squares */
  show(sheet, n = 0, crisp = true) {
    Object.assign(this, {sheet, n, crisp});
    this.draw();
  }

  draw() {
    const context = this.sheet && squareOf(this.canvas);
    if (context) this.sheet.draw(context, this.n, 0, 0, this.canvas.clientWidth, this.crisp);
  }

  /** Show no picture, and why. */
  forget(words) {
    this.sheet = null;
    this.canvas.width = 1;  // which empties it, also where it is not shown
    this.value.textContent = words;
  }

  /** @param {{psnr: number, milliseconds: number}} answer */
  measured({psnr, milliseconds}) {
    this.value.replaceChildren(make("b", {}, `${psnr.toFixed(1)} dB`), make("span", {}, duration(milliseconds)));
  }
}

/** A digit, and what both models make of it. */
class Reconstruct {
  constructor(figure) {
    const {models} = PAGE.pair;
    Object.assign(this, {figure, asked: {start: START.digit}, answer: PAGE.pair.digit, latents: {}, ink: null, timer: 0, run: 0,
                         open: false, searchWire: new Wire(server)});
    this.original = new Tile(SAID.original, SAID.yours, "real");
    this.tiles = Object.fromEntries(models.map((name) => [name, new Tile(name, SAID.kinds[name], "fake")]));
    this.searching = new Waiting(figure.note, SAID.search);
    this.exploreButton = make("button", {type: "button", onclick: () => goTo("explore", {
      part: "sliders", model: VAE, point: this.latents[VAE]})}, SAID.inExplore);
    this.drawButton = make("button", {type: "button", onclick: () => goTo("draw", {
      model: GAN, drawing: this.answer.drawing, latent: this.latents[GAN] ?? null})}, SAID.inDraw);
    this.element = make("div", {class: "how-pair-panel"},
      make("div", {class: "how-pair-three"}, this.original.element, ...models.map((name) => this.tiles[name].element)),
      make("div", {class: "stage-bar"}, dice(SAID.another, () => this.another(), SAID.another),
           ...models.includes(GAN) ? [this.drawButton] : [], ...models.includes(VAE) ? [this.exploreButton] : []));
    this.pull = new Pull("how_reconstruct", figure.waiting, (answer, asked) => this.take(answer, asked));
    this.listen();
    this.take(this.answer, this.asked);
  }

  another() {
    this.stop();
    this.pull.ask({index: Math.floor(Math.random() * PAGE.pair.count)});
  }

  /** Show what the server made of a picture. Of a drawing that goes on, the original stays as it is drawn. */
  async take(answer, asked) {
    const {vae} = answer, drawn = Boolean(asked.ink);
    Object.assign(this, {answer, asked, latents: vae ? {[VAE]: vae.latent} : {}});
    this.drop(this.ink ? SAID.later : "");
    this.original.value.textContent = answer.about;
    this.figure.keep({digit: JSON.stringify(drawn ? {drawing: answer.drawing} : asked)});
    const [original, mean] = await Promise.all([answer.picture, vae?.picture].map((png) => png && Sheet.of(png)));
    if (this.answer !== answer) return;
    if (!this.ink) this.original.show(original);
    this.normalised = original;
    if (vae) {
      this.tiles[VAE].show(mean);
      this.tiles[VAE].measured(vae);
      this.figure.keep({vae: JSON.stringify({psnr: vae.psnr, milliseconds: vae.milliseconds})});
    }
    if (!this.ink) this.search();
  }

  /** The GAN has no encoder: its latent is searched, a little with each request. */
  async search() {
    const tile = this.tiles[GAN], run = ++this.run, wanted = () => run === this.run && this.isShown;
    if (!tile || !this.isShown) return;
    const asked = this.asked.ink ? {drawing: this.answer.drawing} : this.asked;
    this.open = true;
    tile.value.textContent = SAID.searching(0);
    await this.searching.during(async () => {
      for (let done = false; !done && wanted();) {
        const found = await this.searchWire.call("how_search", asked, async () => wanted());
        const sheet = found && await Sheet.of(found.picture);
        if (!wanted()) return;
        ({done} = found);
        this.open = !done;
        tile.show(sheet);
        if (done) tile.measured(found);
        else tile.value.textContent = SAID.searching(found.share);
        this.figure.keep({dcgan: JSON.stringify({psnr: found.psnr, milliseconds: found.milliseconds, done})});
        if (done) this.latents[GAN] = found.latent;
      }
      if (wanted()) this.figure.tell([VAE, GAN].filter((name) => this.latents[name]).map((name) => SAID.result(
        name, JSON.parse(this.figure.place.dataset[name]).psnr)).join(" "));
    }, {again: () => this.search(), source: this, wanted});
    if (wanted() && !this.latents[GAN]) tile.value.textContent = SAID.stopped;
  }

  get isShown() {
    return this.figure.seen && this.figure.modes[this.figure.mode] === this;
  }

  /** Forget the search and what it found, which is of another picture. The server has its place for others. */
  drop(words) {
    delete this.latents[GAN];
    delete this.figure.place.dataset.dcgan;
    this.abandon();
    this.tiles[GAN]?.forget(words);
  }

  /** End the search that is under way, if one is. Its latest picture stays. */
  abandon() {
    this.run++;
    if (!this.open) return;
    this.open = false;
    this.tiles[GAN].value.textContent = SAID.stopped;
    this.searchWire.call("how_stop", {}).catch(() => {});
  }

  /** Forget the strokes, and end the search. */
  stop() {
    clearTimeout(this.timer);
    this.ink = null;
    this.abandon();
  }

  /** Strokes on the original: the VAE follows them, the search begins after the last one. */
  listen() {
    const {canvas} = this.original;
    canvas.classList.add("how-pair-field");
    let last = null;
    const place = ({offsetX, offsetY}) => [offsetX, offsetY].map((at) => at / canvas.clientWidth * INK);
    const line = (to) => {
      const context = this.ink.getContext("2d");
      Object.assign(context, {strokeStyle: "#fff", lineCap: "round", lineJoin: "round", lineWidth: PEN_WIDTH * INK});
      context.beginPath();
      context.moveTo(...last);
      context.lineTo(...to);
      context.stroke();
      last = to;
      this.original.draw();
      this.pull.ask({ink: inkOf(this.ink)});
    };
    canvas.addEventListener("pointerdown", (event) => {
      if (event.button !== 0 || !event.isPrimary) return;
      event.preventDefault();
      canvas.setPointerCapture(event.pointerId);
      clearTimeout(this.timer);
      if (!this.ink) {
        this.ink = scratch(INK, INK);
        this.ink.getContext("2d", {willReadFrequently: true}).fillRect(0, 0, INK, INK);
        this.original.show(new Sheet(this.ink), 0, false);
        this.figure.tell("");
        this.drop(SAID.later);
      }
      last = place(event);
      line(last.map((at) => at + 0.01));  // a dot
    });
    canvas.addEventListener("pointermove", (event) => last && this.ink && event.isPrimary && line(place(event)));
    const lift = () => {
      if (!last) return;
      last = null;
      this.timer = setTimeout(() => this.finish(), PAUSE);
    };
    canvas.addEventListener("pointerup", lift);
    canvas.addEventListener("pointercancel", lift);
  }

  /** The drawing is taken: it is shown scaled and centred, and the next stroke begins another one. */
  finish() {
    this.ink = null;
    if (this.pull.busy) return;  // the answer shows it
    this.original.show(this.normalised);
    this.search();
  }

  show() {
    this.original.draw();
    if (!this.latents[GAN]) this.search();
  }

  hide() {
    this.stop();
    clearTimeout(this.searching.timer);  // it does not say in another mode that it waits
    if (this.normalised) this.original.show(this.normalised);
  }
}

/** @returns {string} the ink of a field as bytes in base64, one for each pixel */
function inkOf(canvas) {
  const {data} = canvas.getContext("2d").getImageData(0, 0, canvas.width, canvas.height);
  let text = "";
  for (let i = 0; i < data.length; i += 4) text += String.fromCharCode(data[i]);
  return btoa(text);
}

/** Samples of the same seeds. */
class Samples {
  constructor(figure) {
    this.figure = figure;
    const {models} = PAGE.pair;
    this.grids = Object.fromEntries(models.map((name) => [name, new PictureGrid(SAID.grid(name))]));
    this.element = make("div", {class: "how-pair-panel"},
      make("div", {class: "how-pair-two"}, ...models.map((name) => make("section", {class: "how-card how-pair-fake"},
        make("h3", {}, name), this.grids[name].canvas))),
      make("div", {class: "stage-bar"}, dice(SAID.noise, () => this.draw(), SAID.noise)));
    this.pull = new Pull("how_compare", figure.waiting, (sheets, {seeds}) => this.open(sheets, seeds));
    this.open(PAGE.pair.sheets, START.seeds);
  }

  async open(sheets, seeds) {
    this.newest = sheets;
    const made = await sheetsOf(sheets);
    if (this.newest !== sheets) return;
    for (const [name, grid] of Object.entries(this.grids)) grid.show(made[name]);
    this.figure.keep({seeds: seeds.join(",")});
  }

  draw() {
    this.pull.ask({models: PAGE.pair.models, seeds: START.seeds.map(() => Number(randomSeed()))});
  }

  show() {}

  hide() {}
}

/** Paths: of the VAE between two encoded digits, of the GAN between two seeds. All their pictures are here at once. */
class Paths {
  constructor(figure) {
    this.figure = figure;
    const {models} = PAGE.pair;
    this.rows = models.map((name) => {
      const tile = new Tile(name, SAID.between[name], "fake"), strip = make("canvas", {
        class: "how-pair-strip", role: "img", "aria-label": `${name}: ${SAID.between[name]}`});
      tile.value.replaceWith(strip);
      onSize(strip, () => this.drawStrip(name, strip));
      return {name, tile, strip};
    });
    this.slider = make("input", {type: "range", min: 0, max: PAGE.pair.frames - 1, step: 1, "aria-label": SAID.t,
                                 value: (PAGE.pair.frames - 1) / 2, oninput: () => this.move()});
    this.element = make("div", {class: "how-pair-panel"},
      make("div", {class: "how-pair-two"}, ...this.rows.map(({tile}) => tile.element)),
      make("div", {class: "how-pair-t"}, this.slider, dice(SAID.ends, () => this.draw(), SAID.ends)));
    this.pull = new Pull("how_between", figure.waiting, (paths, ends) => this.open(paths, ends));
    this.open(PAGE.pair.paths, {digits: START.ends[0].map((start) => ({start})), seeds: START.ends[1]});
  }

  async open(paths, ends) {
    this.newest = paths;
    const made = await sheetsOf(paths);
    if (this.newest !== paths) return;
    this.sheets = made;
    this.figure.keep({ends: JSON.stringify(ends)});
    this.move();
    for (const {name, strip} of this.rows) this.drawStrip(name, strip);
  }

  move() {
    const n = Number(this.slider.value), t = n / (PAGE.pair.frames - 1);
    this.slider.setAttribute("aria-valuetext", `${Math.round(100 * t)}%`);
    for (const {name, tile} of this.rows) tile.show(this.sheets?.[name], n);
    this.figure.keep({t: String(t)});
  }

  /** Pictures of the path; at the ends of the VAE's, the two digits that were encoded. */
  drawStrip(name, strip) {
    const width = strip.clientWidth, tile = width / TILES, last = PAGE.pair.frames - 1;
    if (!width || !this.sheets) return;
    const context = sized(strip, width, tile), within = name === VAE ? TILES - 2 : TILES;
    context.clearRect(0, 0, width, tile);
    for (let i = 0; i < TILES; i++) {
      const step = i - (TILES - within) / 2, real = step < 0 || step >= within;
      const [sheet, n] = real ? [this.sheets.real, step < 0 ? 0 : 1]
        : [this.sheets[name], Math.round(step / (within - 1) * last)];
      sheet.draw(context, n, i * tile + 1, 1, tile - 2, false);
      [context.strokeStyle, context.lineWidth] = ["#3b82f6", 2];
      if (real) context.strokeRect(i * tile + 1, 1, tile - 2, tile - 2);
    }
  }

  draw() {
    const digits = [0, 1].map(() => ({index: Math.floor(Math.random() * PAGE.pair.count)}));
    this.pull.ask({digits, seeds: [0, 1].map(() => Number(randomSeed()))});
  }

  show() {}

  hide() {}
}

class Pair {
  constructor(place) {
    const {models, wrong, quality} = PAGE.pair;
    Object.assign(this, {place, seen: false});
    this.note = make("p", {class: "stage-note", role: "status"});
    this.waiting = new Waiting(this.note);
    this.modes = {reconstruct: new Reconstruct(this), sample: new Samples(this), interpolate: new Paths(this)};
    const chips = new Chips("Mode", Object.entries(MODES), (mode) => this.open(mode));
    place.append(chips.element, make("div", {class: "how-pair-panels"}, ...Object.values(this.modes).map(({element}) => element)),
                 this.note, ...wrong ? [make("p", {class: "stage-info"}, wrong)] : [],
                 numberTable([...models, "real"], quality),
                 ...models.includes(VAE) ? [make("p", {class: "stage-info"}, SAID.mean)] : []);
    chips.show("reconstruct");
    this.open("reconstruct");
  }

  open(mode) {
    const before = this.modes[this.mode];
    this.mode = mode;
    for (const [name, {element}] of Object.entries(this.modes)) element.toggleAttribute("data-shown", name === mode);
    this.keep({mode});
    if (!this.seen || before === this.modes[mode]) return;
    this.waiting.say("");
    before.hide();
    this.modes[mode].show();
  }

  /** Numbers of the figure, for tests. */
  keep(values) {
    Object.assign(this.place.dataset, values);
  }

  tell(sentence) {
    this.waiting.say(sentence);
  }

  show() {
    this.seen = true;
    this.modes[this.mode].show();
  }

  hide() {
    this.seen = false;
    this.modes[this.mode].hide();
  }
}

FIGURES.pair = (place) => new Pair(place);
