// Figure 7: real digits of a class, their mean, and a digit of cdcgan; the squared error of each to all the real ones.
// place.dataset: class, count (of the digits that there are), set (which digits), chosen (the digit that is shown
// large), error (of the mean), read (what the digit classifier reads in the mean), answers (how many the server gave).

const ERROR_TOP = 0.2;  // of the squared errors that are drawn

class MeanFigure {
  constructor(place) {
    const {mean: first, mostDigits, shownDigits} = PAGE.figures;
    Object.assign(this, {place, asked: {class: first.class, count: first.count, set: first.set}, chosen: 0});
    const digits = Array.from({length: 10}, (_, digit) => [String(digit), String(digit)]);
    this.classes = new Chips("Class", digits, (digit) => this.ask({class: Number(digit)}));
    this.classes.show(String(first.class));
    this.count = new NumberField({label: "Real digits", low: 1, high: mostDigits, step: 1},
                                 (count) => this.ask({count}));
    this.count.show(first.count);
    this.cards = Object.fromEntries([["one", "One real digit"], ["mean", "Their mean"], ["made", "From cdcgan"]]
      .map(([name, title]) => [name, this.card(name, title, first.pictures)]));
    this.tiles = Array.from({length: shownDigits}, (_, i) => {
      const canvas = make("canvas", {class: "stage-pixels", width: first.pictures.width, height: first.pictures.height,
                                       "aria-hidden": "true"});
      return {canvas, button: make("button", {type: "button", "aria-label": `Real digit ${i + 1}`,
                                              onclick: () => this.choose(i)}, canvas)};
    });
    this.more = make("span", {class: "how-mean-more"});
    this.canvas = make("canvas", {class: "how-mean-errors", role: "img", ontransitionend: () => this.draw()});
    this.note = make("p", {class: "stage-note", role: "status"});
    place.append(make("div", {class: "how-mean"},
      make("div", {class: "how-mean-controls"}, this.classes.element,
           make("div", {class: "how-mean-count"}, this.count.element,
                dice("Other digits of this class", () => this.others(), "Other digits"))),
      make("div", {class: "how-mean-cards"}, ...Object.values(this.cards).map(({element}) => element)),
      make("div", {class: "how-mean-tiles", role: "group", "aria-label": "Real digits"},
           ...this.tiles.map(({button}) => button), this.more),
      make("p", {class: "how-mean-title"}, "Squared error to all real digits, per pixel"),
      this.canvas, this.note));
    this.waiting = new Waiting(this.note);
    this.pull = new Pull("how_mean", this.waiting, (answer) => this.take(answer));
    this.take(first);
    new ResizeObserver(() => this.draw()).observe(place);
  }

  card(name, title, {width, height}) {
    const canvas = make("canvas", {class: "stage-pixels", width, height, role: "img", "aria-label": title});
    const read = make("span"), error = make("span");
    return {canvas, read, error, element: make("figure", {"data-card": name}, canvas,
                                               make("figcaption", {}, make("b", {}, title), read, error))};
  }

  others() {
    this.ask({set: Math.floor(Math.random() * (PAGE.figures.maxSet + 1))});
  }

  ask(values) {
    Object.assign(this.asked, values);
    this.pull.ask({...this.asked});
  }

  take(answer) {
    const pictures = picturesOf(answer.pictures);
    const isOther = answer.class !== this.answer?.class || answer.set !== this.answer?.set;
    Object.assign(this, {answer, pictures: pictures.slice(0, -2)});
    if (isOther || this.chosen >= this.pictures.length) this.chosen = 0;
    this.tiles.forEach(({canvas, button}, i) => {
      const isThere = i < this.pictures.length;
      button.disabled = !isThere;
      if (isThere) putPicture(canvas, this.pictures[i]);
      else canvas.getContext("2d").clearRect(0, 0, canvas.width, canvas.height);
    });
    const {count, available, about, errors, readings} = answer, shown = this.pictures.length;
    this.more.textContent = count > shown ? `+${count - shown}` : "";
    this.fill("mean", pictures.at(-2), readings?.at(-2), errors.at(-2));
    this.fill("made", pictures.at(-1), readings?.at(-1), errors.at(-1));
    const few = count < this.asked.count ? `This server has ${available} real pictures of this class. ` : "";
    this.waiting.say(few + about);
    Object.assign(this.place.dataset, {class: answer.class, count, set: answer.set, error: errors.at(-2),
                                       read: readings ? readings.at(-2)[0] : "", answers: this.pull.answers});
    this.choose(this.chosen);
  }

  fill(name, picture, reading, error) {
    const card = this.cards[name];
    putPicture(card.canvas, picture);
    card.read.textContent = reading ? `read as ${reading[0]}, ${percent(reading[1])}` : "";
    card.error.textContent = `error ${error.toFixed(3)}`;
  }

  /** Show one of the real digits large. */
  choose(i) {
    this.chosen = i;
    this.place.dataset.chosen = i;
    this.tiles.forEach(({button}, k) => button.setAttribute("aria-pressed", String(k === i)));
    this.fill("one", this.pictures[i], this.answer.readings?.[i], this.answer.errors[i]);
    this.draw();
  }

  draw() {
    const {canvas, answer} = this, width = canvas.clientWidth, height = canvas.clientHeight;
    const errors = answer.errors.slice(0, -2), mean = answer.errors.at(-2), made = answer.errors.at(-1);
    canvas.setAttribute("aria-label", `Squared errors: the mean ${mean.toFixed(3)}, the real digits from `
      + `${Math.min(...errors).toFixed(3)} to ${Math.max(...errors).toFixed(3)}, cdcgan's digit ${made.toFixed(3)}`);
    if (!width) return;
    const context = sized(canvas, width, height), style = getComputedStyle(canvas), ink = style.color;
    const soft = style.getPropertyValue("--stage-soft"), fake = style.getPropertyValue("--fake");
    const left = 10, right = width - 16, top = 24, bottom = height - 20;
    const x = (error) => left + Math.min(1, error / ERROR_TOP) * (right - left);
    context.clearRect(0, 0, width, height);
    context.font = `12px ${FONT}`;
    context.textAlign = "center";
    for (const at of [0, 0.05, 0.1, 0.15, 0.2]) {
      context.fillStyle = soft;
      context.fillText(at.toFixed(2).replace(/^0\.00$/, "0"), x(at), height - 4);
      context.globalAlpha = 0.16;
      context.fillStyle = ink;
      context.fillRect(x(at) - 0.5, top, 1, bottom - top);
      context.globalAlpha = 1;
    }
    const dot = (error, y, radius, colour, alpha = 1) => {
      context.globalAlpha = alpha;
      context.fillStyle = colour;
      context.beginPath();
      context.arc(x(error), y, radius, 0, 2 * Math.PI);
      context.fill();
      context.globalAlpha = 1;
    };
    // one above the other in a fixed pattern, so that equal errors do not hide each other
    const row = (i) => top + 8 + (i * 0.618 % 1) * (bottom - top - 16);
    errors.forEach((error, i) => i !== this.chosen && dot(error, row(i), 4, "#3b82f6", 0.6));
    dot(errors[this.chosen], row(this.chosen), 7, "#3b82f6");
    dot(made, (top + bottom) / 2, 7, fake);
    context.fillStyle = ink;
    context.fillRect(x(mean) - 1.5, top, 3, bottom - top);
    context.font = `600 12px ${FONT}`;
    context.textAlign = "left";
    context.fillText(`mean ${mean.toFixed(3)}`, Math.max(left, x(mean) - 34), 15);
    const words = [["cdcgan", style.getPropertyValue("--generated")], ["real digits", style.getPropertyValue("--real")]];
    context.textAlign = "right";
    let at = right;
    for (const [text, colour] of words) {
      context.fillStyle = colour;
      context.fillText(text, at, 15);
      at -= context.measureText(text).width + 14;
    }
  }

  show() {
    this.draw();
  }

  hide() {}
}

FIGURES.mean = (place) => new MeanFigure(place);
