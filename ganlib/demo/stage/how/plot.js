// What the figures with axes share: a canvas that follows its place and the page's colours, text on it, arrows, numbers.

/** A canvas in a figure. It is drawn anew when its size or the page's colours change. */
class Plot {
  /**
   * @param {string} label for people who do not see it
   * @param {number} ratio of width to height
   * @param {(context: CanvasRenderingContext2D, size: {width: number, height: number, colours: Object}) => void} paint
   */
  constructor(label, ratio, paint) {
    Object.assign(this, {paint, frame: 0});
    this.canvas = make("canvas", {role: "img", "aria-label": label});
    this.element = make("div", {class: "how-plot", style: `--how-ratio: ${ratio}`}, this.canvas);
    this.canvas.addEventListener("transitionend", () => this.draw());
    new ResizeObserver(() => this.draw()).observe(this.element);
  }

  /** Draw within the next frame, once however often it is called. */
  redraw() {
    this.frame ||= requestAnimationFrame(() => this.draw());
  }

  draw() {
    cancelAnimationFrame(this.frame);
    this.frame = 0;
    const {clientWidth: width, clientHeight: height} = this.element;
    if (!width) return;
    const context = sized(this.canvas, width, height), style = getComputedStyle(this.canvas);
    const [ground, real, generated] = ["--block-background-fill", "--real", "--generated"].map((name) =>
      style.getPropertyValue(name).trim());
    context.clearRect(0, 0, width, height);
    this.paint(context, {width, height, colours: {...coloursNow(), ground, real, generated}});
  }

  /** Tell the place of the mouse or a finger that is dragged sideways, in pixels from the left edge. */
  onDrag(moved) {
    const {canvas} = this, tell = (event) => moved(event.clientX - canvas.getBoundingClientRect().left);
    canvas.classList.add("how-plot-sideways");
    canvas.addEventListener("pointerdown", (event) => {
      if (event.button !== 0) return;
      canvas.setPointerCapture(event.pointerId);
      tell(event);
    });
    canvas.addEventListener("pointermove", (event) => canvas.hasPointerCapture(event.pointerId) && tell(event));
  }
}

/** Text that stays legible on lines. @param {Object} options align, base, size and weight of the font, ground: its halo */
function plotText(context, text, x, y, colour, {align = "left", base = "alphabetic", size = 12, weight = 400,
                                                ground = null} = {}) {
  Object.assign(context, {font: `${weight} ${size}px ${FONT}`, textAlign: align, textBaseline: base, fillStyle: colour});
  if (ground) {
    Object.assign(context, {strokeStyle: ground, lineWidth: 4, lineJoin: "round"});
    context.strokeText(text, x, y);
  }
  context.fillText(text, x, y);
}

/** @returns {number} the width of a text in pixels, as `plotText` writes it */
function plotWidth(context, text, {size = 12, weight = 400} = {}) {
  context.font = `${weight} ${size}px ${FONT}`;
  return context.measureText(text).width;
}

/** A line through points in pixels. @param {number[]} dash */
function plotLine(context, points, colour, width = 1.75, dash = []) {
  context.beginPath();
  for (const [x, y] of points) context.lineTo(x, y);
  Object.assign(context, {strokeStyle: colour, lineWidth: width, lineJoin: "round", lineCap: "round"});
  context.setLineDash(dash);
  context.stroke();
  context.setLineDash([]);
}

function plotDot(context, [x, y], radius, colour, outline) {
  context.beginPath();
  context.arc(x, y, radius, 0, 2 * Math.PI);
  Object.assign(context, {fillStyle: colour, strokeStyle: outline, lineWidth: 2});
  context.fill();
  context.stroke();
}

/** An arrow that a short length makes smaller, down to nothing. */
function plotArrow(context, [x, y], [dx, dy], colour) {
  const length = Math.hypot(dx, dy), head = Math.min(11, length);
  if (length < 0.5) return;
  const [ux, uy] = [dx / length, dy / length], [tipX, tipY] = [x + dx, y + dy];
  plotLine(context, [[x, y], [tipX - ux * head * 0.8, tipY - uy * head * 0.8]], colour, Math.min(4, length));
  context.beginPath();
  context.moveTo(tipX, tipY);
  for (const side of [0.5, -0.5]) {
    context.lineTo(tipX - head * (ux + side * uy), tipY - head * (uy - side * ux));
  }
  context.fillStyle = colour;
  context.fill();
}

/** Labelled numbers in a row. */
class PlotNumbers {
  /** @param {Object<string, string>} labels of each number */
  constructor(labels) {
    this.values = Object.fromEntries(Object.keys(labels).map((name) => [name, make("b", {}, "–")]));
    this.more = Object.fromEntries(Object.keys(labels).map((name) => [name, make("small", {})]));
    this.element = make("div", {class: "how-plot-numbers"}, ...Object.entries(labels).map(([name, label]) =>
      make("div", {}, make("span", {}, label), this.values[name], this.more[name])));
  }

  /** @param {Object<string, string>} texts @param {Object<string, string>} more under them, smaller */
  show(texts, more = {}) {
    for (const [name, text] of Object.entries(texts)) plotSay(this.values[name], text);
    for (const [name, text] of Object.entries(more)) plotSay(this.more[name], text);
  }
}

/** Write a text, only where it is another: screen readers read each change aloud. */
function plotSay(place, text) {
  if (place.textContent !== text) place.textContent = text;
}

/** @returns {string} with so many decimals, and a true minus sign */
function decimals(value, count = 2) {
  return value.toFixed(count).replace(/^-(?=0*\.?0*$)/, "").replace("-", "−");
}

/** Something that goes on frame by frame, until it says that it is done or is stopped. */
class Motion {
  /** @param {() => boolean} step does one frame; gives whether there is more to do */
  constructor(step) {
    Object.assign(this, {step, frame: 0});
  }

  start() {
    this.frame ||= requestAnimationFrame(() => {
      this.frame = 0;
      if (this.step()) this.start();
    });
  }

  stop() {
    cancelAnimationFrame(this.frame);
    this.frame = 0;
  }
}
