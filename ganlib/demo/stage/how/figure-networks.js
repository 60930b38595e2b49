// Figure 9: `mlp-gan` and `dcgan` on the same seeds, and which numbers of each layer one pixel depends on.
//
// place.dataset: seeds "1,2,…", seed (of the large pictures), pixel "row,column", reads (JSON: for each model how many
// numbers of each layer the pixel depends on), times (JSON: milliseconds for each model, once measured).

const SAID = {
  seeds: "New seeds",
  measure: "Measure",
  measuring: "The server makes pictures to measure the time.",
  grid: (name) => `${name}: 16 pictures. The arrow keys choose one.`,
  picture: (name) => `${name}: the chosen picture. The arrow keys choose a pixel.`,
  pixel: "Choose a pixel. Lit are the numbers that it depends on.",
  reads: (reads, of) => `This pixel depends on ${reads.toLocaleString("en")} of the last layer’s ${of.toLocaleString("en")} `
    + `numbers.`,
  shared: "All pixels share these weights.",
  own: "Each pixel has weights of its own.",
  time: (count) => `Time for ${count} pictures`,
  measured: (times) => `Median of ${Object.values(times).map(({runs}) => runs).join(" and ")} runs on this server.`,
  fid: "FID here is in the features of ganlib’s own digit classifier. ↑: higher is better; ↓: lower is better.",
};
const SIDE = 28;

/** One network: its pictures, and its layers. */
class Network {
  constructor(figure, name) {
    Object.assign(this, {figure, name, sheet: null, layers: []});
    this.grid = new PictureGrid(SAID.grid(name), (n) => figure.choose(n));
    this.picture = make("canvas", {class: "how-grid how-networks-picture", role: "application", tabindex: 0,
                                   "aria-label": SAID.picture(name)});
    this.flow = make("div", {class: "how-networks-flow", role: "img", "aria-label": `The layers of ${name}.`});
    this.words = make("p", {class: "stage-info"});
    this.element = make("section", {class: "how-card"},
                        make("h3", {}, name, make("small", {}, PAGE.networks.kinds[name])),
                        make("div", {class: "how-networks-pictures"}, this.grid.canvas, this.picture), this.flow, this.words);
    onSize(this.picture, () => this.draw());
    const at = ({offsetX, offsetY}) => figure.point(...[offsetY, offsetX].map(
      (place) => Math.max(0, Math.min(SIDE - 1, Math.floor(place / this.picture.clientWidth * SIDE)))));
    this.picture.addEventListener("click", at);
    this.picture.addEventListener("pointermove", (event) => event.pointerType === "mouse" && at(event));
    this.picture.addEventListener("keydown", (event) => {
      const step = {ArrowLeft: [0, -1], ArrowRight: [0, 1], ArrowUp: [-1, 0], ArrowDown: [1, 0]}[event.key];
      if (!step || event.ctrlKey || event.metaKey || event.altKey) return;
      event.preventDefault();
      figure.point(...figure.pixel.map((place, i) => Math.max(0, Math.min(SIDE - 1, place + step[i]))));
    });
  }

  draw() {
    const context = this.sheet && squareOf(this.picture);
    if (!context) return;
    const side = this.picture.clientWidth, cell = side / SIDE, [row, column] = this.figure.pixel;
    this.sheet.draw(context, this.figure.chosen, 0, 0, side, true);
    for (const [colour, width, out] of [["#0d0f16", 4, 1], ["#f97316", 2, 1]]) {
      [context.strokeStyle, context.lineWidth] = [colour, width];
      context.strokeRect(column * cell - out, row * cell - out, cell + 2 * out, cell + 2 * out);
    }
  }

  /** The layers as blocks, with the numbers lit that the pixel depends on. */
  drawLayers(layers) {
    if (this.layers.length !== layers.length) {
      this.layers = layers.map(({shape, columns}) => {
        const canvas = make("canvas", {class: "stage-pixels"}), [first, ...sides] = shape;
        const words = sides.length ? [sides.join("×"), make("br"), `×${first}`] : [first.toLocaleString("en")];
        const block = make("figure", {style: `flex-grow: ${Math.max(0.7, Math.sqrt(columns / 32)).toFixed(2)}`}, canvas,
                           make("figcaption", {}, ...words));
        return {canvas, block};
      });
      this.flow.replaceChildren(...this.layers.flatMap(({block}, i) => i ? [make("i", {}, "›"), block] : [block]));
    }
    layers.forEach(({rows, columns, cells}, i) => {
      const bytes = new Uint8Array(fromBase64(cells)), picture = new ImageData(columns, rows);
      bytes.forEach((level, n) => picture.data.set(lit(level / 255), 4 * n));
      putPicture(this.layers[i].canvas, picture);
    });
    const {reads, shape} = layers.at(-1);
    this.words.textContent = `${SAID.reads(reads, shape.reduce((a, b) => a * b))} `
      + `${PAGE.networks.shared[this.name] ? SAID.shared : SAID.own}`;
  }
}

/** @returns {number[]} the colour of a number that a pixel depends on: from the ground to orange */
function lit(share) {
  return [[29, 249], [33, 115], [46, 22]].map(([from, to]) => Math.round(from + (to - from) * share)).concat(255);
}

class Networks {
  constructor(place) {
    const {start, models, wrong, costs, quality, timed} = PAGE.networks;
    Object.assign(this, {place, seeds: start.seeds, chosen: start.chosen, pixel: [start.row, start.column], wire: new Wire(server)});
    this.note = make("p", {class: "stage-note", role: "status"});
    this.waiting = new Waiting(this.note);
    this.waiting.say(SAID.pixel);
    this.pull = new Pull("how_reach", this.waiting, (answer) => this.drawReach(answer));
    this.compare = new Pull("how_compare", this.waiting, async (sheets, {seeds}) => {
      await this.open(sheets, seeds);
      this.ask();
    });
    this.networks = models.map((name) => new Network(this, name));
    this.measureButton = make("button", {type: "button", onclick: () => this.measure()}, SAID.measure);
    this.times = models.map(() => make("span", {}, "–"));
    const time = [make("span", {class: "how-networks-time"}, SAID.time(timed), this.measureButton), [...this.times, ""]];
    place.append(
      make("div", {class: "how-cards"}, ...this.networks.map(({element}) => element)),
      make("div", {class: "stage-bar"}, dice("New seeds", () => this.draw(), SAID.seeds),
           this.note),
      ...wrong ? [make("p", {class: "stage-info"}, wrong)] : [],
      numberTable([...models, "real"], [...costs, time, ...quality]),
      make("p", {class: "stage-info"}, SAID.fid));
    this.drawReach(PAGE.networks.reach);
    this.open(PAGE.networks.sheets, this.seeds);
  }

  get seed() {
    return this.seeds[this.chosen];
  }

  async open(sheets, seeds) {
    this.newest = sheets;
    const made = await sheetsOf(sheets);
    if (this.newest !== sheets) return;
    this.seeds = seeds;
    for (const network of this.networks) network.sheet = made[network.name];
    this.update();
  }

  update() {
    for (const network of this.networks) {
      network.grid.show(network.sheet, this.chosen);
      network.draw();
    }
    Object.assign(this.place.dataset, {seeds: this.seeds.join(","), seed: this.seed, pixel: this.pixel.join(",")});
  }

  choose(n) {
    this.chosen = n;
    this.update();
    this.ask();
  }

  point(row, column) {
    if (row === this.pixel[0] && column === this.pixel[1]) return;
    this.pixel = [row, column];
    this.update();
    this.ask();
  }

  ask() {
    this.pull.ask({seed: this.seed, row: this.pixel[0], column: this.pixel[1]});
  }

  drawReach(answer) {
    for (const network of this.networks) network.drawLayers(answer[network.name]);
    this.place.dataset.reads = JSON.stringify(Object.fromEntries(
      this.networks.map(({name}) => [name, answer[name].map(({reads}) => reads)])));
  }

  /** Other seeds. */
  draw() {
    this.compare.ask({models: PAGE.networks.models, seeds: this.seeds.map(() => Number(randomSeed()))});
  }

  async measure() {
    this.measureButton.disabled = true;
    this.waiting.say(SAID.measuring);
    await this.waiting.during(async () => {
      const found = await this.wire.call("how_measure", {});
      this.networks.forEach(({name}, i) => { this.times[i].textContent = duration(found[name].milliseconds); });
      this.waiting.say(SAID.measured(found));
      this.place.dataset.times = JSON.stringify(found);
    }, {again: () => this.measure(), source: "measure"});
    this.measureButton.disabled = false;
  }

  show() {
    if (this.networks[0]?.sheet) this.update();
  }

  hide() {}
}

FIGURES.networks = (place) => new Networks(place);
