// Figure 2: the numbers of a latent as bars, the generator's maps, and the picture, of dcgan.
// place.dataset: seed; changes (how many numbers differ from the seed's); chosen (the place of the number that the
// slider changes); kind (which of the first numbers is the largest); answers (how many the server gave).

const MAP_COLOURS = [[13, 15, 22], [124, 45, 18], [249, 115, 22], [255, 237, 213]];  // from 0 to the brightest
const BAR_LIMIT = 3.5;  // of a number that is changed here; hardly any number of noise is larger

function clip(value, low, high) {
  return Math.min(high, Math.max(low, value));
}

/** Give a map in shades of grey its colours. @param {ImageData} picture @returns {ImageData} the same one */
function heated(picture) {
  const {data} = picture, last = MAP_COLOURS.length - 1;
  for (let i = 0; i < data.length; i += 4) {
    const at = data[i] / 255 * last, low = Math.min(last - 1, Math.floor(at));
    const [from, to] = [MAP_COLOURS[low], MAP_COLOURS[low + 1]];
    for (let c = 0; c < 3; c++) data[i + c] = from[c] + (at - low) * (to[c] - from[c]);
  }
  return picture;
}

/** A part of a latent as bars, that are dragged or moved by keys. */
class LatentBars {
  /**
   * @param {string} label @param {[number, number]} span the first place, and the one after the last
   * @param {{latent: () => number[], weights: () => number[], chosen: () => number, choose: (place: number) => void,
   *     change: (place: number, value: number) => void}} host `weights` of the places, from 0, grey, to 1
   */
  constructor(label, [from, to], host) {
    Object.assign(this, {from, to, host, held: null});
    this.canvas = make("canvas", {class: "how-noise-bars", role: "slider", tabindex: 0, "aria-label": label,
      "aria-orientation": "vertical", "aria-valuemin": -BAR_LIMIT, "aria-valuemax": BAR_LIMIT,
      onpointerdown: (event) => this.grab(event), onpointermove: (event) => this.drag(event),
      onpointerup: () => this.drop(), onpointercancel: () => this.drop(), onkeydown: (event) => this.press(event),
      ontransitionend: () => this.draw()});
  }

  get rows() {
    return this.canvas.clientWidth < 480 ? 2 : 1;  // fingers need wide bars
  }

  get columns() {
    return Math.ceil((this.to - this.from) / this.rows);
  }

  /** @returns {{place: number, row: number, value: number}} under the pointer, in the row of the bar that is held */
  under({offsetX, offsetY}) {
    const {clientWidth: width, clientHeight: height} = this.canvas, tall = height / this.rows;
    const row = this.held?.row ?? clip(Math.floor(offsetY / tall), 0, this.rows - 1);
    const column = clip(Math.floor(offsetX / width * this.columns), 0, this.columns - 1);
    const place = this.from + row * this.columns + column;
    const value = BAR_LIMIT * (1 - 2 * (offsetY - row * tall) / tall);
    return {place: Math.min(place, this.to - 1), row, value: Math.round(20 * clip(value, -BAR_LIMIT, BAR_LIMIT)) / 20};
  }

  grab(event) {
    event.preventDefault();
    this.canvas.focus({preventScroll: true});
    this.canvas.setPointerCapture(event.pointerId);
    this.held = this.under(event);
    this.host.change(this.held.place, this.held.value);
  }

  drag(event) {
    if (this.held) this.host.change(this.held.place, this.under(event).value);
  }

  drop() {
    this.held = null;
  }

  press(event) {
    if (event.ctrlKey || event.altKey || event.metaKey) return;
    const now = clip(this.host.chosen(), this.from, this.to - 1), value = this.host.latent()[now];
    const steps = {ArrowUp: 0.2, ArrowDown: -0.2, PageUp: 1, PageDown: -1};
    const places = {ArrowLeft: now - 1, ArrowRight: now + 1, Home: this.from, End: this.to - 1};
    if (!(event.key in steps) && !(event.key in places)) return;
    event.preventDefault();
    if (event.key in places) this.host.choose(clip(places[event.key], this.from, this.to - 1));
    else this.host.change(now, Math.round(20 * clip(value + steps[event.key], -BAR_LIMIT, BAR_LIMIT)) / 20);
  }

  draw() {
    const {canvas, from, to, rows, columns} = this, latent = this.host.latent(), weights = this.host.weights();
    const width = canvas.clientWidth, height = canvas.clientHeight, chosen = this.host.chosen();
    if (!width) return;
    const context = sized(canvas, width, height), style = getComputedStyle(canvas), wide = width / columns;
    const tall = height / rows, ink = style.color, fake = style.getPropertyValue("--fake");
    context.clearRect(0, 0, width, height);
    for (let place = from; place < to; place++) {
      const row = Math.floor((place - from) / columns), x = (place - from) % columns * wide;
      const middle = (row + 0.5) * tall;
      const long = clip(latent[place] / BAR_LIMIT, -1, 1) * (tall / 2 - 2), weight = weights[place] ?? 0;
      if (place === chosen) {
        context.globalAlpha = 0.14;
        context.fillStyle = ink;
        context.beginPath();
        context.roundRect(x, row * tall + 1, wide, tall - 2, 3);
        context.fill();
      }
      const gap = Math.max(1, wide * 0.16);
      for (const [colour, alpha] of [[ink, (place === chosen ? 0.85 : 0.42) * (1 - weight)], [fake, weight]]) {
        context.globalAlpha = alpha;
        context.fillStyle = colour;
        context.fillRect(x + gap / 2, Math.min(middle, middle - long), wide - gap, Math.max(1, Math.abs(long)));
      }
    }
    context.globalAlpha = 0.35;
    context.fillStyle = ink;
    for (let row = 0; row < rows; row++) context.fillRect(0, (row + 0.5) * tall - 0.5, width, 1);
    const own = clip(chosen, from, to - 1);
    canvas.setAttribute("aria-valuenow", latent[own].toFixed(2));
    canvas.setAttribute("aria-valuetext", `Number ${own + 1}: ${latent[own].toFixed(2)}`);
  }
}

class NoiseFigure {
  constructor(place) {
    const {noise} = PAGE.figures;
    Object.assign(this, {place, choices: noise.choices, sharpness: noise.sharpness, seed: noise.seed, changes: {},
                         chosen: noise.kind, base: noise.latent});
    const host = {latent: () => this.latent, weights: () => this.weights, chosen: () => this.chosen,
                  choose: (at) => this.choose(at), change: (at, value) => this.change(at, value)};
    const end = noise.latent.length;
    this.bars = [
      new LatentBars("Numbers that choose a category", [0, noise.choices], host),
      new LatentBars("Numbers that set the details", [noise.choices, end], host)];
    this.kind = make("b", {class: "how-noise-kind"});
    this.maps = noise.maps.map(({height, width, of, count}) => ({
      tiles: Array.from({length: count}, () => make("canvas", {class: "stage-pixels", width, height})),
      words: [`${height}×${width}`, `${count} of ${of} maps`]}));
    this.picture = make("canvas", {class: "stage-pixels", width: noise.width, height: noise.height, role: "img"});
    this.input = seedField({value: this.seed, label: "Seed"}, (seed) => this.open(seed),
                           (sentence) => this.waiting.say(sentence, true), () => this.seed);
    this.undo = make("button", {type: "button", onclick: () => this.reset()}, "Undo");
    this.slider = make("input", {type: "range", id: "how-noise-number", min: -BAR_LIMIT, max: BAR_LIMIT, step: 0.05,
                                 oninput: () => this.change(this.chosen, Number(this.slider.value))});
    this.number = make("label", {for: "how-noise-number"});
    this.value = make("output", {for: "how-noise-number"});
    this.note = make("p", {class: "stage-note", role: "status"});
    place.append(make("div", {class: "how-noise"},
      make("div", {class: "stage-bar"}, make("label", {class: "how-noise-seed"}, "Seed ", this.input),
           dice("A new seed", () => this.open(randomSeed()), "New noise"), this.undo),
      make("div", {class: "how-noise-latent"},
           make("p", {class: "how-noise-head"}, `The largest of ${noise.choices} numbers chooses a category.`, this.kind),
           this.bars[0].canvas,
           make("p", {class: "how-noise-head"}, `${end - noise.choices} numbers set the details.`),
           this.bars[1].canvas,
           make("div", {class: "how-noise-slider"}, this.number, this.slider, this.value)),
      make("div", {class: "how-noise-flow"},
           ...this.maps.map(({tiles, words: [size, count]}) => make("figure", {},
             make("div", {class: "how-noise-tiles", role: "img", "aria-label": `${count} of ${size} numbers`}, ...tiles),
             make("figcaption", {}, make("b", {}, size), count))),
           make("figure", {}, this.picture, make("figcaption", {}, make("b", {}, `${noise.height}×${noise.width}`),
                                                 "picture"))),
      this.note));
    this.waiting = new Waiting(this.note, "The generator works.");
    this.pull = new Pull("how_noise", this.waiting, (answer, asked) => this.take(answer, asked));
    this.take(noise, {latent: this.seed, changes: {}});
    new ResizeObserver(() => this.draw()).observe(place);
  }

  get latent() {
    return this.base.map((number, at) => this.changes[at] ?? number);
  }

  /** The shares of the kinds, as SoftChoice of ganlib/networks.py computes them. */
  get weights() {
    const first = this.latent.slice(0, this.choices);
    const scale = Math.sqrt(first.reduce((sum, z) => sum + z * z, 0) / first.length) || 1, most = Math.max(...first);
    const shares = first.map((z) => Math.exp(this.sharpness * (z - most) / scale));
    const sum = shares.reduce((total, share) => total + share, 0);
    return shares.map((share) => share / sum);
  }

  open(seed) {
    Object.assign(this, {seed, changes: {}});
    this.input.value = seed;
    this.ask();
  }

  reset() {
    this.changes = {};
    this.draw();
    this.ask();
  }

  choose(at) {
    this.chosen = at;
    this.draw();
  }

  change(at, value) {
    this.chosen = at;
    this.changes[at] = value;
    this.draw();
    this.ask();
  }

  ask() {
    this.pull.ask({latent: this.seed, changes: {...this.changes}});
  }

  take(answer, {latent, changes}) {
    if (latent === this.seed) {  // of a latent without changes, the answer has the numbers of its seed
      const own = answer.latent.map((number, at) => at in changes ? this.base[at] : number);
      if (latent !== this.shown) this.chosen = answer.kind;
      Object.assign(this, {base: own, shown: latent});
    }
    putPicture(this.picture, picturesOf(answer)[0]);
    const words = Object.keys(changes).length ? ", changed" : "";
    this.picture.setAttribute("aria-label", `The picture of seed ${latent}${words}`);
    answer.maps.forEach((maps, i) => picturesOf(maps).forEach(
      (picture, k) => putPicture(this.maps[i].tiles[k], heated(picture))));
    this.place.dataset.answers = this.pull.answers;
    this.draw();
  }

  draw() {
    const {weights, latent, chosen} = this, changed = Object.keys(this.changes).length, most = Math.max(...weights);
    const kind = weights.indexOf(most);
    for (const bars of this.bars) bars.draw();
    this.kind.textContent = `Category ${kind + 1}, ${percent(most)}`;
    this.number.textContent = `Number ${chosen + 1}`;
    this.slider.value = latent[chosen];
    this.value.textContent = latent[chosen].toFixed(2).replace("-", "\u2212");
    this.undo.disabled = !changed;
    Object.assign(this.place.dataset, {seed: this.seed, changes: changed, chosen, kind});
  }

  show() {
    this.draw();
  }

  hide() {}
}

FIGURES.noise = (place) => new NoiseFigure(place);
