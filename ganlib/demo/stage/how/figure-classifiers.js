// Two classifiers of two clouds: logistic regression, which gradient descent trains live, and Gaussian classes in closed
// form. ganlib/lessons.py computes the same.
//
// place.dataset: points and drawn (lists of [x1, x2, class]), centres (two pairs), logistic and gaussian (two weights
// and the bias of the log-odds of class 1), step, agreement (a share), losses and accuracies (of both), naive.

const EXTENT = [-4, 4, -3, 3], OUTLIERS = [3.4, -2.5], OUTLIER_SPREAD = 0.2;
const LEARNING_RATE = 0.3, MOST_STEPS = 3000;
const SLOW = 90, FASTER = 10;  // the first steps are one for each frame, so that one sees them; then so many are
const NEW_POINTS = 40, GROW = 350, SIDE = 100;  // milliseconds that a new point takes to appear; cells of the agreement
// the classes overlap, so that logistic regression comes to rest; with this seed the outliers turn one boundary by 9°
const START = {seed: 5, centres: [[-1, 0.4], [1, -0.4]], spread: 1, correlation: 0.3, count: 60, outliers: false};
const CLASS_COLOURS = {light: ["#15803d", "#7e22ce"], dark: ["#4ade80", "#c99bff"]};
const TOLD = {
  trains: "Logistic regression is training. The Gaussian classes are a formula.",
  trained: "Both are trained. Drag a cloud at its centre, or move it with the arrow keys.",
  stopped: `Stopped after ${MOST_STEPS.toLocaleString("en")} steps. Where a line separates the classes, the weights never rest.`,
  drew: `These ${NEW_POINTS} points are new. Logistic regression draws none: it knows only p(y | x).`,
};

/** A random generator of numbers in [0, 1): mulberry32. */
function uniform(seed) {
  let state = seed >>> 0;
  return () => {
    state = (state + 0x6d2b79f5) >>> 0;
    let t = Math.imul(state ^ (state >>> 15), state | 1);
    t ^= t + Math.imul(t ^ (t >>> 7), t | 61);
    return ((t ^ (t >>> 14)) >>> 0) / 2 ** 32;
  };
}

/** Standard normal numbers (Box and Muller 1958). */
function normal(random) {
  return Math.sqrt(-2 * Math.log(1 - random())) * Math.cos(2 * Math.PI * random());
}

const sigmoid = (a) => 1 / (1 + Math.exp(-a));
const logOdds = ([w1, w2, b], x, y) => w1 * x + w2 * y + b;

/** One step of gradient descent on the mean binary cross-entropy. @returns {[number[], number]} weights; gradient's size */
function stepOf(weights, points) {
  const gradient = [0, 0, 0];
  for (const [x, y, label] of points) {
    const error = (sigmoid(logOdds(weights, x, y)) - label) / points.length;
    gradient[0] += error * x;
    gradient[1] += error * y;
    gradient[2] += error;
  }
  return [weights.map((value, i) => value - LEARNING_RATE * gradient[i]), Math.hypot(...gradient)];
}

/** Gaussian classes with one covariance, of the highest likelihood. @param {boolean} naive no covariance of x1 and x2 */
function gaussianOf(points, naive) {
  const parts = [0, 1].map((label) => points.filter((point) => point[2] === label)), n = points.length;
  const means = parts.map((part) => [0, 1].map((d) => part.reduce((sum, point) => sum + point[d], 0) / part.length));
  let [a, b, c] = [0, 0, 0];
  for (const [x, y, label] of points) {
    const dx = x - means[label][0], dy = y - means[label][1];
    [a, b, c] = [a + dx * dx / n, b + dx * dy / n, c + dy * dy / n];
  }
  if (naive) b = 0;
  const determinant = a * c - b * b, [[x0, y0], [x1, y1]] = means;
  const w1 = (c * (x1 - x0) - b * (y1 - y0)) / determinant, w2 = (a * (y1 - y0) - b * (x1 - x0)) / determinant;
  const bias = Math.log(parts[1].length / parts[0].length) - (w1 * (x0 + x1) + w2 * (y0 + y1)) / 2;
  // Cholesky: noise (u, v) becomes (root u, share u + rest v)
  const root = Math.sqrt(a), share = b / root, rest = Math.sqrt(c - share * share);
  return {means, prior: parts[1].length / n, weights: [w1, w2, bias], shape: [root, share, rest]};
}

/** Mean binary cross-entropy, and the share of points that are recognised. */
function scoreOf(weights, points) {
  let [loss, right] = [0, 0];
  for (const [x, y, label] of points) {
    const a = logOdds(weights, x, y) * (label ? -1 : 1);
    loss += Math.max(a, 0) + Math.log1p(Math.exp(-Math.abs(a)));
    right += (logOdds(weights, x, y) > 0) === (label === 1);
  }
  return {loss: loss / points.length, right: right / points.length};
}

/** The share of the plane in view in which both choose the same class. */
function agreementOf(first, second) {
  const [left, right, low, high] = EXTENT;
  let same = 0;
  for (let i = 0; i < SIDE; i++) {
    const x = left + (right - left) * (i + 0.5) / SIDE;
    for (let j = 0; j < SIDE; j++) {
      const y = low + (high - low) * (j + 0.5) / SIDE;
      same += (logOdds(first, x, y) > 0) === (logOdds(second, x, y) > 0);
    }
  }
  return same / SIDE ** 2;
}

class Classifiers {
  constructor(place) {
    Object.assign(this, {place, naive: false, ...structuredClone(START), drawn: [], drawnAt: 0});
    this.plot = new Plot("Two clouds of points and the boundaries of two classifiers", 4 / 3,
                         (...given) => this.paint(...given));
    this.training = new Motion(() => this.train());
    this.growing = new Motion(() => this.grow());
    this.handles = [0, 1].map((label) => this.handle(label));
    this.plot.element.classList.add("how-classifiers-plane");
    this.plot.element.append(...this.handles);
    this.numbers = new PlotNumbers({logistic: "Logistic regression", gaussian: "Gaussian classes", same: "They agree on"});
    this.numbers.element.classList.add("how-classifiers-numbers");
    this.note = make("p", {class: "how-plot-note", role: "status"});
    place.append(this.plot.element, this.numbers.element, ...this.controls(), this.note);
    this.fresh();
  }

  controls() {
    const fields = {spread: {label: "Spread", low: 0.2, high: 1.2, step: 0.05},
                    correlation: {label: "Correlation", low: -0.9, high: 0.9, step: 0.1},
                    count: {label: "Points", low: 5, high: 200, step: 5}};
    const made = Object.entries(fields).map(([name, field]) => {
      const found = new NumberField(field, (value) => {
        this[name] = value;
        this.change();
      });
      found.show(this[name]);
      return found.element;
    });
    const chips = new Chips("Generative model", [["shared", "One covariance"], ["naive", "Naive Bayes"]], (value) => {
      this.naive = value === "naive";
      this.change();
    });
    chips.show("shared");
    const outliers = make("input", {type: "checkbox", onchange: () => {
      this.outliers = outliers.checked;
      this.change();
    }});
    const button = (words, onclick, look = null) => make("button", {type: "button", class: look, onclick}, words);
    return [make("div", {class: "stage-bar how-plot-bar"}, chips.element,
                 make("label", {class: "stage-chip"}, outliers, "Outliers")),
            make("div", {class: "how-plot-fields"}, ...made),
            make("div", {class: "stage-bar how-plot-bar"},
                 button("Draw new points", () => this.drawNew(), "stage-primary"),
                 button("Train again", () => this.restart()),
                 button("New data", () => {
                   this.seed++;
                   this.fresh();
                 }))];
  }

  /** What is dragged, and moved by keys: the centre of a cloud. */
  handle(label) {
    const found = make("button", {type: "button", class: "how-classifiers-handle"});
    let held = null;
    const to = (x, y) => {
      const [left, right, low, high] = EXTENT, inside = (value, a, b) => Math.min(b - 0.2, Math.max(a + 0.2, value));
      this.centres[label] = [inside(x, left, right), inside(y, low, high)];
      this.change();
    };
    found.addEventListener("pointerdown", (event) => {
      if (event.button !== 0) return;
      found.setPointerCapture(event.pointerId);
      held = [event.clientX, event.clientY, ...this.centres[label]];
    });
    found.addEventListener("pointermove", (event) => {
      if (!held || !found.hasPointerCapture(event.pointerId)) return;
      const scale = (EXTENT[1] - EXTENT[0]) / this.plot.element.clientWidth;
      to(held[2] + (event.clientX - held[0]) * scale, held[3] - (event.clientY - held[1]) * scale);
    });
    found.addEventListener("keydown", (event) => {
      const step = event.shiftKey ? 0.5 : 0.1;
      const move = {ArrowLeft: [-step, 0], ArrowRight: [step, 0], ArrowUp: [0, step], ArrowDown: [0, -step]}[event.key];
      if (!move || event.ctrlKey || event.metaKey || event.altKey) return;
      event.preventDefault();
      to(this.centres[label][0] + move[0], this.centres[label][1] + move[1]);
    });
    return found;
  }

  /** New noise for the points; logistic regression begins again. */
  fresh() {
    this.noise = null;
    this.change(false);
    this.restart();
  }

  restart() {
    Object.assign(this, {weights: [0, 0, 0], step: 0});
    this.begin();
  }

  /** Train, from the present weights. */
  begin() {
    this.since = 0;
    plotSay(this.note, TOLD.trains);
    if (!moves()) while (this.advance());
    else this.advance();
    this.tell();
    this.training.start();
  }

  /** The points, the Gaussian classes, and what follows from them. */
  change(train = true) {
    const random = uniform(this.seed);  // the same noise for each count: more points add to those that are there
    this.noise ||= Array.from({length: 500}, () => [normal(random), normal(random)]);
    const {noise, spread, correlation, count} = this, rest = Math.sqrt(1 - correlation ** 2);
    const cloud = ([x, y], from) => noise.slice(from, from + count).map(([u, v]) =>
      [x + spread * u, y + spread * (correlation * u + rest * v)]);
    const far = noise.slice(400, 400 + (this.outliers ? Math.ceil(count / 5) : 0)).map(([u, v]) =>
      [OUTLIERS[0] + OUTLIER_SPREAD * u, OUTLIERS[1] + OUTLIER_SPREAD * v]);
    this.points = [...cloud(this.centres[0], 0).map((point) => [...point, 0]),
                   ...[...cloud(this.centres[1], 200), ...far].map((point) => [...point, 1])];
    this.gaussian = gaussianOf(this.points, this.naive);
    this.drawn = [];
    this.growing.stop();
    if (train) this.begin();
  }

  /** One step of gradient descent. @returns {boolean} whether more steps change anything */
  advance() {
    const [weights, size] = stepOf(this.weights, this.points);
    Object.assign(this, {weights, step: this.step + 1, since: this.since + 1});
    this.goes = size > 1e-4 && this.since < MOST_STEPS;
    return this.goes;
  }

  train() {
    for (let i = this.since < SLOW ? 1 : FASTER; this.goes && i > 0; i--) this.advance();
    this.tell();
    if (!this.goes && !this.drawn.length) plotSay(this.note, this.since < MOST_STEPS ? TOLD.trained : TOLD.stopped);
    return this.goes;
  }

  drawNew() {
    const {means, prior, shape: [root, share, rest]} = this.gaussian, random = Math.random;
    this.drawn = Array.from({length: NEW_POINTS}, () => {
      const label = Number(random() < prior), [u, v] = [normal(random), normal(random)];
      return [means[label][0] + root * u, means[label][1] + share * u + rest * v, label];
    });
    this.drawnAt = performance.now();
    plotSay(this.note, TOLD.drew);
    this.tell();
    this.growing.start();
  }

  grow() {
    this.plot.draw();
    return performance.now() - this.drawnAt < 2 * GROW;
  }

  /** Show the numbers and the picture. */
  tell() {
    const {points, weights, gaussian, drawn, place: {dataset}} = this;
    const scores = [weights, gaussian.weights].map((found) => scoreOf(found, points));
    const agreement = agreementOf(weights, gaussian.weights);
    const [right, loss] = [scores.map((score) => `${Math.round(100 * score.right)}% right`),
                           scores.map((score) => `loss ${decimals(score.loss, 3)}`)];
    this.numbers.show({logistic: right[0], gaussian: right[1], same: `${Math.round(100 * agreement)}%`},
                      {logistic: `${loss[0]}, step ${this.step}`, gaussian: loss[1], same: "of the plane"});
    this.handles.forEach((handle, label) => {
      const [x, y] = this.centres[label], [left, right, low, high] = EXTENT;
      handle.style.left = `${100 * (x - left) / (right - left)}%`;
      handle.style.top = `${100 * (high - y) / (high - low)}%`;
      handle.setAttribute("aria-label", `Centre of class ${label}: ${decimals(x, 1)}, ${decimals(y, 1)}. Arrow keys move it.`);
    });
    Object.assign(dataset, {points: JSON.stringify(points), drawn: JSON.stringify(drawn), logistic: weights.join(),
                            gaussian: gaussian.weights.join(), step: this.step, agreement, naive: this.naive,
                            centres: JSON.stringify(this.centres), losses: scores.map(({loss}) => loss).join(),
                            accuracies: scores.map(({right}) => right).join()});
    this.plot.redraw();
  }

  paint(context, {width, height, colours}) {
    const [left, right, low, high] = EXTENT, scale = width / (right - left);
    const at = ([x, y]) => [(x - left) * scale, (high - y) * height / (high - low)];
    const both = CLASS_COLOURS[colours.dark ? "dark" : "light"], {weights, gaussian} = this;
    this.paintDisagreement(context, at, colours);
    this.paintEllipses(context, at, colours);
    for (const [x, y, label] of this.points) mark(context, at([x, y]), label, both[label], 3.2, colours.ground);
    const age = performance.now() - this.drawnAt;
    this.drawn.forEach(([x, y, label], i) => {
      const share = moves() ? Math.min(1, Math.max(0, (age - GROW * i / NEW_POINTS) / GROW)) : 1;
      if (share > 0) mark(context, at([x, y]), label, FAKE, 4.4 * share, colours.ground);
    });
    this.paintBoundary(context, at, gaussian.weights, "Gaussian classes", {
      colour: colours.generated, dash: [7, 5], end: 1, size: [width, height], ground: colours.ground});
    this.paintBoundary(context, at, weights, "Logistic regression", {
      colour: colours.strong, dash: [], end: 0, size: [width, height], ground: colours.ground});
    this.centres.forEach((centre, label) => ring(context, at(centre), both[label], colours.ground));
  }

  /** Shade where the two choose different classes: the parts of the plane on one side of just one boundary. */
  paintDisagreement(context, at, colours) {
    context.beginPath();
    for (const [w1, w2, b] of [this.weights, this.gaussian.weights]) {
      const size = Math.hypot(w1, w2);
      if (!size) return;
      const [nx, ny] = [w1 / size, w2 / size], far = 40, foot = [-b / size * nx, -b / size * ny];
      const corners = [[-1, 0], [1, 0], [1, 1], [-1, 1]].map(([along, across]) => at(
        [foot[0] + far * (along * -ny + across * nx), foot[1] + far * (along * nx + across * ny)]));
      corners.forEach(([x, y], i) => i ? context.lineTo(x, y) : context.moveTo(x, y));
      context.closePath();
    }
    context.fillStyle = colours.faint;
    context.globalAlpha = 0.75;
    context.fill("evenodd");
    context.globalAlpha = 1;
  }

  /** One and two standard deviations of either class. */
  paintEllipses(context, at, colours) {
    const {means, shape: [root, share, rest]} = this.gaussian;
    for (const [x, y] of means) {
      for (const [radius, alpha] of [[1, 0.75], [2, 0.4]]) {
        const points = Array.from({length: 65}, (_, i) => {
          const u = radius * Math.cos(i * Math.PI / 32), v = radius * Math.sin(i * Math.PI / 32);
          return at([x + root * u, y + share * u + rest * v]);
        });
        context.globalAlpha = alpha;
        plotLine(context, points, colours.generated, 1);
      }
    }
    context.globalAlpha = 1;
  }

  /** A boundary across the picture with its name at one end: 0 is the upper one, 1 the lower one. */
  paintBoundary(context, at, [w1, w2, b], name, {colour, dash, end, size: [width, height], ground}) {
    if (!w1 && !w2) return;
    const [left, right, low, high] = EXTENT, found = [];
    for (const x of [left, right]) found.push([x, -(b + w1 * x) / w2]);
    for (const y of [low, high]) found.push([-(b + w2 * y) / w1, y]);
    const ends = found.filter(([x, y]) => x >= left && x <= right && y >= low && y <= high).sort((p, q) => q[1] - p[1]);
    if (ends.length < 2) return;
    const line = [at(ends[0]), at(ends.at(-1))];
    plotLine(context, line, colour, 2, dash);
    const [x, y] = line[end], isRight = x > width / 2;
    plotText(context, name, Math.min(width - 6, Math.max(6, x + (isRight ? -9 : 9))),
             Math.min(height - 8, Math.max(16, y)), colour, {align: isRight ? "right" : "left", weight: 600, ground});
  }

  show() {
    this.plot.redraw();
    if (this.goes) this.training.start();
  }

  hide() {
    this.training.stop();
    this.growing.stop();
  }
}

/** A point: class 0 is a disc, class 1 a square. */
function mark(context, [x, y], label, colour, radius, outline) {
  context.beginPath();
  if (label) context.rect(x - radius * 0.9, y - radius * 0.9, radius * 1.8, radius * 1.8);
  else context.arc(x, y, radius, 0, 2 * Math.PI);
  Object.assign(context, {fillStyle: colour, strokeStyle: outline, lineWidth: 1});
  context.fill();
  context.stroke();
}

/** Where a cloud is held. */
function ring(context, [x, y], colour, ground) {
  context.beginPath();
  context.arc(x, y, 9, 0, 2 * Math.PI);
  Object.assign(context, {fillStyle: ground, strokeStyle: colour, lineWidth: 2.5});
  context.globalAlpha = 0.85;
  context.fill();
  context.globalAlpha = 1;
  context.stroke();
  plotLine(context, [[x - 4, y], [x + 4, y]], colour, 1.75);
  plotLine(context, [[x, y - 4], [x, y + 4]], colour, 1.75);
}

FIGURES.classifiers = (place) => new Classifiers(place);
