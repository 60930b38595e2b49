// The best discriminator for the densities p of real samples and q of generated ones. ganlib/lessons.py computes the same.
//
// place.dataset: mean and width (of q), mode ("best" or "constant"), loss (of the discriminator), divergence (JSD), best
// (D* at −2, 0 and 2), steps (of q, while it learns).

const START = {mean: 2, width: 1}, REACH = 4, WIDTHS = [0.5, 2];
const SHOWN = 6, FAR = 14, CELL = 0.02;  // what the axis shows; how far the integrals reach, and how finely
const TALLEST = 0.85;  // density at the top
const LEFT = 6, RIGHT = 30, TOP = 20, BOTTOM = 24;
const SLICE = 12;  // milliseconds of a frame in which q takes steps that are not drawn
const RATE = 0.06, MOST_STEPS = 1500, NEAR = 1e-4;  // of q's gradient descent, which ends at such a divergence
const GRID = Array.from({length: 2 * FAR / CELL + 1}, (_, i) => -FAR + CELL * i);
const CELLS = GRID.map((_, i) => i === 0 || i === GRID.length - 1 ? CELL / 2 : CELL);  // the trapezoid rule

const density = (x, mean, width) => Math.exp(-(((x - mean) / width) ** 2) / 2) / (width * Math.sqrt(2 * Math.PI));
/** At least −100, as in torch's binary_cross_entropy: the best D rounds to 1 where q is very small. */
const log = (share) => Math.max(-100, Math.log(share));
const plogp = (p, q) => p > 0 ? p * Math.log(p / q) : 0;
const P = GRID.map((x) => density(x, 0, 1));  // of real samples

/** @param {(i: number) => number} value at each place of the grid */
function integral(value) {
  let sum = 0;
  for (let i = 0; i < CELLS.length; i++) sum += CELLS[i] * value(i);
  return sum;
}

class Optimum {
  constructor(place) {
    Object.assign(this, {place, ...START, mode: "best", steps: 0});
    this.plot = new Plot("The densities of real and generated samples, and the discriminator", 1.7,
                         (...given) => this.paint(...given));
    this.plot.onDrag((x) => {
      const share = (x - LEFT) / (this.plot.element.clientWidth - LEFT - RIGHT);
      this.move({mean: -SHOWN + 2 * SHOWN * share});
    });
    this.learning = new Motion(() => this.learn());
    const field = (name, label, low, high) => new NumberField({label, low, high, step: 0.05}, (value) =>
      this.move({[name]: value}, false));
    this.fields = {mean: field("mean", "Mean of q", -REACH, REACH), width: field("width", "Width of q", ...WIDTHS)};
    const modes = new Chips("Discriminator", [["best", "The best D"], ["constant", "A constant D = ½"]], (mode) => {
      this.learning.stop();
      Object.assign(this, {mode, steps: 0});
      this.tell();
      this.say();
    });
    modes.show(this.mode);
    const learn = make("button", {type: "button", class: "stage-primary", onclick: () => this.begin()}, "Let q learn");
    this.bars = {loss: this.bar("Loss of D", "how-optimum-loss"), divergence: this.bar("JSD of p and q", "how-optimum-jsd")};
    this.note = make("p", {class: "how-plot-note", role: "status"});
    place.append(this.plot.element,
                 make("div", {class: "how-optimum-bars"}, ...Object.values(this.bars).map(({row}) => row),
                      make("div", {class: "how-optimum-scale", "aria-hidden": "true"}, make("span", {}, "0"),
                           make("span", {}, "ln 2 = 0.693"))),
                 make("div", {class: "stage-bar how-plot-bar"}, modes.element, learn),
                 make("div", {class: "how-plot-fields"}, ...Object.values(this.fields).map(({element}) => element)),
                 this.note);
    this.move(START);
  }

  bar(label, look) {
    const fill = make("i", {class: look}), value = make("b", {});
    return {fill, value, row: make("div", {class: "how-optimum-row"}, make("span", {}, label),
                                   make("div", {class: "how-optimum-track"}, fill), value)};
  }

  /** Another q. @param {boolean} write whether the fields show it too */
  move({mean = this.mean, width = this.width}, write = true) {
    this.learning.stop();
    this.steps = 0;
    this.put(mean, width);
    if (write) this.write();
    this.tell();
    this.say();
  }

  /** Compute with another q. `tell` shows it. */
  put(mean, width) {
    this.mean = Math.min(REACH, Math.max(-REACH, mean));
    this.width = Math.min(WIDTHS[1], Math.max(WIDTHS[0], width));
    this.onGrid = GRID.map((x) => this.q(x));
    this.divergence = integral((i) => {
      const middle = (P[i] + this.onGrid[i]) / 2;
      return (plogp(P[i], middle) + plogp(this.onGrid[i], middle)) / 2;
    });
  }

  /** Its mean and width in the fields. */
  write() {
    for (const name of ["mean", "width"]) this.fields[name].show(Math.round(100 * this[name]) / 100);
  }

  p(x) {
    return density(x, 0, 1);
  }

  q(x) {
    return density(x, this.mean, this.width);
  }

  best(p, q) {
    return p + q > 0 ? p / (p + q) : 0.5;
  }

  /** D where the densities are p and q. */
  d(p, q) {
    return this.mode === "best" ? this.best(p, q) : 0.5;
  }

  dAt(x) {
    return this.d(this.p(x), this.q(x));
  }

  /** q learns by gradient descent on the minimax loss, the mean of log(1 − D), with D as it is at each step. */
  begin() {
    this.move({});
    this.learning.start();
  }

  /** In each frame one step. Where nothing shall move: several, and nothing is shown before the last of all. */
  learn() {
    const end = performance.now() + (moves() ? 0 : SLICE);
    let more;
    do more = this.descend(); while (more && performance.now() < end);
    if (more && !moves()) return true;
    this.write();
    this.tell();
    return more;
  }

  /** One step of q, which is not shown. Gives whether there is more to do. */
  descend() {
    const {mean, width, onGrid} = this, z = (i) => (GRID[i] - mean) / width;
    const values = onGrid.map((q, i) => q * log(1 - this.d(P[i], q)));
    const slopes = [integral((i) => values[i] * z(i) / width), integral((i) => values[i] * (z(i) ** 2 - 1))];
    if (this.mode === "best") this.put(mean - RATE * slopes[0], width * Math.exp(-RATE * slopes[1]));
    this.steps++;
    const learns = Math.hypot(...slopes) > 1e-4, more = learns && this.divergence > NEAR && this.steps < MOST_STEPS;
    if (!more) this.say(learns || this.mode === "best" ? null : "The gradient of a constant D is 0: q learns nothing.");
    return more;
  }

  tell() {
    const {divergence, onGrid} = this;
    const loss = this.loss = -integral((i) => {
      const d = this.d(P[i], onGrid[i]);
      return P[i] * log(d) + onGrid[i] * log(1 - d);
    }) / 2;
    for (const [name, {fill, value}] of Object.entries(this.bars)) {
      fill.style.width = `${100 * Math.min(1, Math.max(0, this[name] / LN2))}%`;
      value.textContent = decimals(this[name], 3);
    }
    const {mean, width, mode, steps} = this, best = [-2, 0, 2].map((x) => this.best(this.p(x), this.q(x))).join();
    Object.assign(this.place.dataset, {mean, width, mode, steps, loss, divergence, best});
    this.plot.redraw();
  }

  /** The status line: what the loss says of q. @param {?string} sentence in its place */
  say(sentence = null) {
    const same = this.divergence < 0.005;
    const found = sentence ?? (this.mode === "best"
      ? same ? "p and q are nearly equal. The best D is ½ everywhere, and its loss is ln 2."
        : "Loss and JSD add up to ln 2."
      : same ? "The loss is ln 2, and p and q are nearly equal. The loss cannot show it."
        : "The loss is ln 2, although p and q differ.");
    plotSay(this.note, found);
  }

  paint(context, {width, height, colours}) {
    const right = width - RIGHT, bottom = height - BOTTOM;
    const x = (value) => LEFT + (value + SHOWN) / (2 * SHOWN) * (right - LEFT);
    const y = (value) => bottom - value / TALLEST * (bottom - TOP), share = (value) => bottom - value * (bottom - TOP);
    const places = Array.from({length: 301}, (_, i) => -SHOWN + 2 * SHOWN * i / 300);
    const scene = {context, colours, places, right, bottom, x, y, share};
    this.paintAxes(scene);
    for (const [of, colour] of [[(v) => this.p(v), REAL], [(v) => this.q(v), FAKE]]) {
      const line = places.map((value) => [x(value), y(of(value))]);
      context.beginPath();
      for (const [a, b] of [[x(-SHOWN), bottom], ...line, [x(SHOWN), bottom]]) context.lineTo(a, b);
      Object.assign(context, {fillStyle: colour, globalAlpha: 0.16});
      context.fill();
      context.globalAlpha = 1;
      plotLine(context, line, colour, 2);
    }
    plotLine(context, places.map((value) => [x(value), share(this.dAt(value))]), colours.strong, 2);
    this.paintNames(scene);
  }

  paintAxes({context, colours, right, bottom, x, share}) {
    for (const [value, words] of [[0, "0"], [0.5, "½"], [1, "1"]]) {
      plotLine(context, [[LEFT, share(value)], [right, share(value)]], colours.faint, 1, value === 0.5 ? [2, 4] : []);
      plotText(context, words, right + 8, share(value), colours.ink, {base: "middle"});
    }
    plotText(context, "D(x)", right + 24, TOP - 8, colours.strong, {weight: 600, align: "right", size: 11.5});
    for (const value of [-4, -2, 0, 2, 4]) {
      plotText(context, decimals(value, 0), x(value), bottom + 16, colours.ink, {align: "center", size: 11});
    }
    plotText(context, "x", right, bottom + 16, colours.ink, {align: "right", size: 12});
  }

  paintNames({context, colours, places, x, y, share, right}) {
    const side = this.mean < 0 ? -1 : 1, named = {weight: 600, ground: colours.ground};
    const put = (words, mean, std, way, of, colour) => {  // beside a shoulder, on the side away from the other density
      const place = mean + way * 0.9 * std, size = plotWidth(context, words, named);
      const [least, most] = way > 0 ? [LEFT + 4, right - 4 - size] : [LEFT + 4 + size, right - 4];
      plotText(context, words, Math.min(most, Math.max(least, x(place) + 8 * way)), y(of(place)) - 6, colour,
               {...named, align: way > 0 ? "left" : "right"});
    };
    put("p, real", 0, 1, -side, (value) => this.p(value), colours.real);
    put("q, generated", this.mean, this.width, side, (value) => this.q(value), colours.generated);
    const top = places.reduce((best, at) => this.dAt(at) > this.dAt(best) + 0.005 ? at : best);  // no line is above it
    plotText(context, this.mode === "best" ? "D* = p / (p + q)" : "D = ½", Math.min(right - 90, Math.max(LEFT + 56, x(top))),
             share(this.dAt(top)) - 7, colours.strong, {...named, align: "center"});
  }

  show() {
    this.plot.redraw();
    if (this.steps && this.divergence > NEAR && this.mode === "best") this.learning.start();
  }

  hide() {
    this.learning.stop();
  }
}

FIGURES.optimum = (place) => new Optimum(place);
