// Figure 3: the two terms of the discriminator's loss over D, for a real and a generated picture.
// place.dataset: real, generated (D of the two pictures); loss (the mean of both terms); pair (number of the pictures);
// asked (what dcgan's discriminator says of them, once it was asked).

const D_ENDS = PAGE.figures.d, TERM_TOP = 4;  // of D that can be set; of the terms that are drawn: -log 0.02 is 3.9
const SIDES = ["real", "generated"];
const TERMS = {real: (d) => -Math.log(d), generated: (d) => -Math.log(1 - d)};
const D_WORDS = {real: "D(x)", generated: "D(G(z))"};
const TERM_WORDS = {real: "\u2212log D(x)", generated: "\u2212log(1 \u2212 D(G(z)))"};

class EntropyFigure {
  constructor(place) {
    const first = PAGE.figures.entropy;
    Object.assign(this, {place, d: {real: 0.8, generated: 0.3}, moving: 0, held: null, begun: false});
    this.fields = Object.fromEntries(SIDES.map((side) => [side, new NumberField(
      {label: D_WORDS[side], low: D_ENDS[0], high: D_ENDS[1], step: 0.01}, (d) => this.set({[side]: d}))]));
    this.pictures = Object.fromEntries(SIDES.map((side) => [side, make("canvas", {
      class: "stage-pixels", width: first.width, height: first.height, role: "img"})]));
    this.origins = Object.fromEntries(SIDES.map((side) => [side, make("span", {class: "stage-info"})]));
    this.values = Object.fromEntries([...SIDES, "loss"].map((name) => [name, make("b")]));
    this.canvas = make("canvas", {
      class: "how-entropy-curves", role: "img", onpointerdown: (event) => this.grab(event),
      onpointermove: (event) => this.drag(event), onpointerup: () => { this.held = null; },
      onpointercancel: () => { this.held = null; }, ontransitionend: () => this.draw()});
    this.note = make("p", {class: "stage-note", role: "status"});
    place.append(make("div", {class: "how-entropy"},
      make("div", {class: "how-entropy-cards"}, ...SIDES.map((side) => make("div", {
        class: "how-entropy-card", "data-side": side}, make("figure", {}, this.pictures[side], make("figcaption", {},
          make("b", {}, side === "real" ? "Real x" : "Generated G(z)"), this.origins[side])),
        this.fields[side].element))),
      this.canvas,
      make("dl", {class: "how-entropy-values"}, ...SIDES.map((side) => make("div", {"data-side": side},
        make("dt", {}, TERM_WORDS[side]), make("dd", {}, this.values[side]))),
        make("div", {"data-side": "loss"}, make("dt", {}, "Loss, their mean"), make("dd", {}, this.values.loss))),
      make("div", {class: "stage-bar"},
        make("button", {type: "button", class: "stage-primary", onclick: () => this.consult()}, "Ask the discriminator"),
        dice("Two other pictures", () => this.another(), "Another pair")),
      this.note));
    this.waiting = new Waiting(this.note);
    this.pull = new Pull("how_pair", this.waiting, (answer) => this.take(answer));
    this.take(first);
    new ResizeObserver(() => this.draw()).observe(place);
  }

  get terms() {
    return Object.fromEntries(SIDES.map((side) => [side, TERMS[side](this.d[side])]));
  }

  /** Set one D, or both. */
  set(values) {
    this.rest();
    Object.assign(this.d, values);
    this.draw();
  }

  another() {
    this.pull.ask({pair: Math.floor(Math.random() * (PAGE.figures.maxPair + 1))});
  }

  take(answer) {
    this.rest();
    this.pair = answer;
    picturesOf(answer).forEach((picture, i) => putPicture(this.pictures[SIDES[i]], picture));
    this.origins.real.textContent = answer.origin;
    this.origins.generated.textContent = `Seed ${answer.seed}`;
    for (const side of SIDES) this.pictures[side].setAttribute("aria-label", `The ${side} picture`);
    this.place.dataset.pair = answer.pair;
    delete this.place.dataset.asked;
    if (this.begun) this.waiting.say("");
    this.begun = true;
    this.draw();
  }

  /** Move both handles to what the discriminator says of the two pictures. */
  consult() {
    const [real, generated] = this.pair.probabilities, from = {...this.d}, to = {real, generated};
    this.place.dataset.asked = this.pair.probabilities;
    this.waiting.say(`The discriminator of dcgan says ${real.toFixed(2)} and ${generated.toFixed(2)}.`);
    if (!moves()) return this.set(to);
    const start = performance.now();
    const move = (now) => {
      const share = Math.min(1, Math.max(0, now - start) / 400), eased = 1 - (1 - share) ** 3;
      for (const side of SIDES) this.d[side] = from[side] + eased * (to[side] - from[side]);
      this.moving = share < 1 ? requestAnimationFrame(move) : 0;
      this.draw();
    };
    this.rest();
    this.moving = requestAnimationFrame(move);
  }

  rest() {
    cancelAnimationFrame(this.moving);
    this.moving = 0;
  }

  // ---- the curves ----

  /** Where the curves are, in CSS pixels, and the bar of the loss at their right. */
  get frame() {
    const width = this.canvas.clientWidth, height = this.canvas.clientHeight, bar = width < 420 ? 34 : 46;
    return {left: 26, right: width - bar - 44, top: 12, bottom: height - 26, bar, barLeft: width - bar - 6};
  }

  x(d) {
    const {left, right} = this.frame;
    return left + d * (right - left);
  }

  y(term) {
    const {top, bottom} = this.frame;
    return bottom - Math.min(1, term / TERM_TOP) * (bottom - top);
  }

  grab(event) {
    const near = (side) => Math.hypot(event.offsetX - this.x(this.d[side]), event.offsetY - this.y(this.terms[side]));
    const side = near("real") < near("generated") ? "real" : "generated";
    if (event.offsetX > this.frame.right + 16) return;
    event.preventDefault();
    this.held = side;
    this.canvas.setPointerCapture(event.pointerId);
    this.drag(event);
  }

  drag({offsetX}) {
    if (!this.held) return;
    const {left, right} = this.frame, d = (offsetX - left) / (right - left);
    this.set({[this.held]: Math.min(D_ENDS[1], Math.max(D_ENDS[0], Math.round(100 * d) / 100))});
  }

  draw() {
    const {terms, d, values} = this, loss = (terms.real + terms.generated) / 2;
    for (const side of SIDES) {
      this.fields[side].show(Number(d[side].toFixed(2)));
      values[side].textContent = terms[side].toFixed(3);
    }
    values.loss.textContent = loss.toFixed(3);
    Object.assign(this.place.dataset, {real: d.real, generated: d.generated, loss});
    this.canvas.setAttribute("aria-label", `The two terms over D. Loss ${loss.toFixed(2)}; ln 2 is 0.69.`);
    if (this.canvas.clientWidth) this.paint(terms, loss);
  }

  paint(terms, loss) {
    const {canvas, frame} = this, width = canvas.clientWidth, height = canvas.clientHeight;
    const style = getComputedStyle(canvas);
    const context = sized(canvas, width, height), ink = style.color, soft = style.getPropertyValue("--stage-soft");
    const colours = {real: "#3b82f6", generated: style.getPropertyValue("--fake")};
    const words = {real: style.getPropertyValue("--real"), generated: style.getPropertyValue("--generated")};
    context.clearRect(0, 0, width, height);
    const line = (...given) => plotLine(context, ...given);
    const say = (text, x, y, colour, align = "left", weight = 400) =>
      plotText(context, text, x, y, colour, {align, weight});
    context.globalAlpha = 0.18;
    for (let term = 0; term <= TERM_TOP; term++) {
      line([[frame.left, this.y(term)], [frame.right, this.y(term)]], ink, 1);
    }
    context.globalAlpha = 1;
    for (let term = 0; term <= TERM_TOP; term++) say(String(term), frame.left - 8, this.y(term) + 4, soft, "right");
    for (const at of [0, 0.5, 1]) say(String(at), this.x(at), frame.bottom + 17, soft, "center");
    say("D", this.x(0.75), frame.bottom + 17, soft, "center", 600);
    line([[frame.left, this.y(Math.LN2)], [width - 6, this.y(Math.LN2)]], soft, 1, [3, 5]);
    say("ln 2", frame.right + 6, this.y(Math.LN2) - 5, soft);
    for (const side of SIDES) {
      const places = Array.from({length: 193}, (_, i) => D_ENDS[0] + i / 200);
      line(places.map((at) => [this.x(at), this.y(TERMS[side](at))]), colours[side], 2.5);
    }
    say(TERM_WORDS.real, this.x(0.09), this.y(2.75), words.real, "left", 600);
    say(TERM_WORDS.generated, this.x(0.9), this.y(2.75), words.generated, "right", 600);
    for (const side of SIDES) {
      const x = this.x(this.d[side]), y = this.y(terms[side]);
      line([[x, frame.bottom], [x, y]], colours[side], 1.5, [2, 5]);
      plotDot(context, [x, y], 8, colours[side], style.getPropertyValue("--block-background-fill"));
    }
    this.paintBar(context, terms, loss, colours, say, ink, soft);
  }

  /** The loss: half of each term, one on the other. */
  paintBar(context, terms, loss, colours, say, ink, soft) {
    const {barLeft, bar, bottom} = this.frame;
    let low = 0;
    for (const side of ["generated", "real"]) {
      const high = low + terms[side] / 2;
      context.fillStyle = colours[side];
      context.fillRect(barLeft, this.y(high), bar, this.y(low) - this.y(high));
      low = high;
    }
    context.clearRect(barLeft, this.y(loss) - 18, bar, 16);  // its number is not crossed by the line of ln 2
    say(loss.toFixed(2), barLeft + bar / 2, this.y(loss) - 6, ink, "center", 600);
    say("loss", barLeft + bar / 2, bottom + 17, soft, "center");
  }

  show() {
    this.draw();
  }

  hide() {
    this.rest();
  }
}

FIGURES.entropy = (place) => new EntropyFigure(place);
