// The two losses of a generator over the logit of a generated picture, and their gradients. ganlib/lessons.py computes
// the same.
//
// place.dataset: logit, probability (D(G(z))), losses and gradients (saturating, non-saturating), view ("logit" or
// "probability"), steps and ends (how long both have descended, and the two logits then).

const FROM = -6, TO = 6, TOP = 6, START = -4;  // of the logit, and of the losses
const RATE = 0.1, STEPS = 120;
const PANELS = {losses: [22, 0.62], sizes: [0.71, 1]};  // where they begin and end: pixels and shares of the height
const LEFT = 30, RIGHT = 12, BOTTOM = 38;
const LONGEST = 0.24;  // the arrow of a gradient of 1, in widths

const sigmoid = (a) => 1 / (1 + Math.exp(-a));
const softplus = (a) => Math.max(a, 0) + Math.log1p(Math.exp(-Math.abs(a)));

/** `slope` is the derivative with respect to the logit. */
const LOSSES = {
  saturating: {words: "log(1 − D)", name: "saturating", loss: (a) => -softplus(a), slope: (a) => -sigmoid(a)},
  strong: {words: "−log D", name: "non-saturating", loss: (a) => softplus(-a), slope: (a) => -sigmoid(-a)},
};
const VIEWS = {
  logit: {words: "Over the logit a", ticks: [-6, -4, -2, 0, 2, 4, 6], title: "logit a of a generated picture",
          share: (a) => (a - FROM) / (TO - FROM), logit: (share) => FROM + share * (TO - FROM), tick: (value) => value},
  probability: {words: "Over D(G(z))", ticks: [0, 0.25, 0.5, 0.75, 1], title: "D(G(z)) of a generated picture",
                share: sigmoid, logit: (share) => Math.log(share / (1 - share)), tick: (value) => logitOf(value)},
};

function logitOf(probability) {
  return Math.log(probability / (1 - probability));
}

class Gradients {
  constructor(place) {
    Object.assign(this, {place, view: "logit", logit: START});
    this.plot = new Plot("Both losses of the generator, and the sizes of their gradients", 1.24,
                         (...given) => this.paint(...given));
    this.plot.onDrag((x) => {
      const share = (x - LEFT) / (this.plot.element.clientWidth - LEFT - RIGHT);
      this.set(VIEWS[this.view].logit(Math.min(0.9999, Math.max(0.0001, share))));
    });
    this.plot.element.classList.add("how-gradients-plot");
    this.field = new NumberField({label: "Logit a", low: FROM, high: TO, step: 0.1}, (value) => this.set(value, false));
    this.motion = new Motion(() => this.descend());
    this.numbers = new PlotNumbers({probability: "D(G(z))", saturating: "Gradient of log(1 − D)",
                                    strong: "Gradient of −log D"});
    this.note = make("p", {class: "how-plot-note", role: "status"});
    const views = new Chips("Axis", Object.entries(VIEWS).map(([name, {words}]) => [name, words]), (view) => {
      this.view = view;
      this.tell();
    });
    views.show(this.view);
    const button = make("button", {type: "button", class: "stage-primary", onclick: () => this.race()}, `Take ${STEPS} steps`);
    place.append(this.plot.element, this.numbers.element,
                 make("div", {class: "how-gradients-field"}, this.field.element),
                 make("div", {class: "stage-bar how-plot-bar"}, views.element, button), this.note);
    this.set(START);
  }

  /** Choose the logit, with both losses at it. @param {boolean} write whether the field shows it too */
  set(logit, write = true) {
    this.motion.stop();
    this.logit = Math.round(100 * Math.min(TO, Math.max(FROM, logit))) / 100;
    Object.assign(this, {steps: 0, at: {saturating: this.logit, strong: this.logit}});
    if (write) this.field.show(this.logit);
    this.tell();
    const times = Math.exp(Math.abs(this.logit)), more = times < 10 ? decimals(times, 1) : Math.round(times);
    const [high, low] = this.logit > 0 ? ["log(1 − D)", "−log D"] : ["−log D", "log(1 − D)"];
    plotSay(this.note, this.logit ? `The gradient of ${high} is ${more} times that of ${low}.` : "Both gradients are −½.");
  }

  /** Gradient descent on both losses from the same logit. */
  race() {
    this.set(this.logit);
    if (!moves()) while (this.descend());
    else this.motion.start();
  }

  descend() {
    for (const [name, {slope}] of Object.entries(LOSSES)) this.at[name] -= RATE * slope(this.at[name]);
    this.steps++;
    this.tell();
    if (this.steps < STEPS) return true;
    const [slow, fast] = Object.values(this.at).map((a) => decimals(a - this.logit));
    plotSay(this.note, `In ${STEPS} steps, log(1 − D) raised the logit by ${slow}, and −log D by ${fast}.`);
    return false;
  }

  tell() {
    const {at, place: {dataset}} = this, each = Object.entries(LOSSES).map(([name, found]) => ({...found, a: at[name]}));
    const [slow, fast] = each.map(({slope, a}) => slope(a));
    const [p, q] = each.map(({a}) => `at D = ${decimals(sigmoid(a), 3)}`);
    this.numbers.show({probability: decimals(sigmoid(this.logit), 3), saturating: decimals(slow, 3),
                       strong: decimals(fast, 3)}, {probability: "= σ(a)", saturating: p, strong: q});
    Object.assign(dataset, {logit: this.logit, probability: sigmoid(this.logit), view: this.view, steps: this.steps,
                            losses: each.map(({loss, a}) => loss(a)).join(), gradients: [slow, fast].join(),
                            ends: Object.values(at).join()});
    this.plot.redraw();
  }

  paint(context, {width, height, colours}) {
    const view = VIEWS[this.view], x = (a) => LEFT + view.share(a) * (width - LEFT - RIGHT);
    const bottom = height - BOTTOM, [top, middle] = [PANELS.losses[0], bottom * PANELS.losses[1]];
    const [second, end] = PANELS.sizes.map((share) => share * bottom);
    const y = (loss) => middle - (loss + TOP) / (2 * TOP) * (middle - top), size = (value) => end - value * (end - second);
    const own = {saturating: colours.ink, strong: FAKE}, inks = {saturating: colours.ink, strong: colours.generated};
    const scene = {context, colours, width, x, y, size, own, inks};
    this.paintAxes(scene, {view, top, end, second});
    const logits = Array.from({length: 241}, (_, i) => FROM + (TO - FROM) * i / 240);
    for (const [name, {loss, slope}] of Object.entries(LOSSES)) {
      plotLine(context, logits.map((a) => [x(a), y(loss(a))]), own[name], 2);
      plotLine(context, logits.map((a) => [x(a), size(-slope(a))]), own[name], 2);
    }
    this.paintNames(scene);
    for (const name of Object.keys(LOSSES)) this.paintMoment(scene, name);
  }

  paintAxes({context, colours, width, x, y, size}, {view, top, end, second}) {
    const right = width - RIGHT, label = {align: "right", base: "middle", size: 11};
    for (const value of [-5, 0, 5]) {
      plotLine(context, [[LEFT, y(value)], [right, y(value)]], colours.faint, 1);
      plotText(context, decimals(value, 0), LEFT - 7, y(value), colours.ink, label);
    }
    for (const value of [0, 1]) {
      plotLine(context, [[LEFT, size(value)], [right, size(value)]], colours.faint, 1);
      plotText(context, String(value), LEFT - 7, size(value), colours.ink, label);
    }
    plotText(context, "Loss", 4, top - 10, colours.strong, {weight: 600});
    plotText(context, "Size of the gradient", 4, second - 10, colours.strong, {weight: 600});
    for (const value of view.ticks) {
      const place = Math.min(right, Math.max(LEFT, x(view.tick(value))));
      plotText(context, String(value).replace("-", "−"), place, end + 16, colours.ink, {align: "center", size: 11});
    }
    const title = {size: 12, align: "center"}, middle = (LEFT + right) / 2;
    plotText(context, view.title, middle, end + 33, colours.ink, title);
    if (width < 420) return;
    plotText(context, "← D wins", LEFT, end + 33, colours.ink, {size: 11});
    plotText(context, "G wins →", right, end + 33, colours.ink, {size: 11, align: "right"});
  }

  /** The names of the four curves, each beside its own. */
  paintNames({context, colours, x, y, size, inks}) {
    const isLogit = this.view === "logit", named = {weight: 600, ground: colours.ground};
    const places = isLogit ? {strong: [-2.3, 4.7, "left"], saturating: [2.4, -4.4, "right"]}
      : {strong: [logitOf(0.1), 3.4, "left"], saturating: [logitOf(0.86), -3.4, "right"]};
    for (const [name, [a, level, align]] of Object.entries(places)) {
      plotText(context, LOSSES[name].words, x(a), y(level), inks[name], {...named, align});
      plotText(context, LOSSES[name].name, x(a), y(level) + 15, inks[name], {align, size: 11.5, ground: colours.ground});
    }
    const side = isLogit ? 2.4 : logitOf(0.78), level = size(isLogit ? 0.7 : 0.9);
    plotText(context, "1 − D", x(-side), level, inks.strong, {...named, align: "center"});
    plotText(context, "D", x(side), level, inks.saturating, {...named, align: "center"});
  }

  /** A loss at its logit: a dot on both curves, and the gradient as an arrow along the curve, downhill. */
  paintMoment({context, colours, width, x, y, size, own, inks}, name) {
    const a = Math.min(TO, this.at[name]), {loss, slope} = LOSSES[name], near = 1e-3;
    const place = [x(a), y(loss(a))];
    const dx = x(a + near) - x(a - near), dy = y(loss(a + near)) - y(loss(a - near));
    const length = -slope(a) * LONGEST * width / Math.hypot(dx, dy);
    plotLine(context, [place, [x(a), size(0)]], colours.ink, 1, [1, 4]);
    plotArrow(context, place, [dx * length, dy * length], inks[name]);
    for (const dot of [place, [x(a), size(-slope(a))]]) plotDot(context, dot, 5, own[name], colours.ground);
  }

  show() {
    this.plot.redraw();
    if (this.steps && this.steps < STEPS) this.motion.start();
  }

  hide() {
    this.motion.stop();
  }
}

FIGURES.gradients = (place) => new Gradients(place);
