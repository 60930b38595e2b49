// A drawing as vectors: strokes over a picture, in units of the 28 pixels, with all states before it.

const SIDE = 28, BOX = 20, LEVELS = 15, CLOSE = 0.15;
const PEN = 2.4;  // units: about a line of MNIST
const MAX_POINTS = 6_000, MAX_UNDO = 200;

/** @returns {number[][]} points of an ellipse, clockwise from the top */
function oval(x, y, width, height, turns = 1) {
  return Array.from({length: Math.round(24 * turns) + 1}, (_, i) => {
    const angle = i / 12 * Math.PI;
    return [x + width / 2 * Math.sin(angle), y - height / 2 * Math.cos(angle)];
  });
}

// strokes; a point that stands twice is a corner
const EXAMPLES = {
  0: [oval(14, 14, 11, 18)],
  1: [[[14.8, 5], [14.2, 14], [13.6, 23]]],
  2: [[[9, 8.8], [10.6, 6], [14, 5], [17.4, 6.2], [18.4, 9.4], [16.4, 13.6], [12.8, 18], [9, 22.4], [9, 22.4],
       [14, 22.2], [19.4, 22.4]]],
  3: [[[9, 7], [11.5, 5.2], [15, 5], [18, 6.6], [18.6, 9.4], [16.8, 12], [13, 13.4], [16.5, 13.8], [19.3, 16],
       [19.4, 19.4], [17, 22.2], [13, 23], [9.6, 22.2], [8, 20.4]]],
  4: [[[11.6, 5], [9, 14.8], [9, 14.8], [19.6, 14.6]], [[17.4, 7], [16.6, 15], [16, 23]]],
  5: [[[18.5, 5.2], [14.5, 5.4], [11, 5.6], [10.6, 9], [10.2, 12.6], [13, 11.8], [16, 12.2], [18.4, 14.2],
       [18.8, 17.4], [17.4, 20.8], [14.2, 22.8], [10.8, 22.6], [8.4, 21]]],
  6: [[[16.6, 5], [12.8, 8.6], [10.2, 13.6], [9.6, 18.4], [11.4, 22.2], [15, 22.8], [17.8, 20.2], [17.4, 16.6],
       [14.4, 14.8], [11.4, 16.2], [9.8, 19]]],
  7: [[[9, 5.6], [14, 5.6], [19, 5.4], [19, 5.4], [16, 12], [13.6, 18], [12.4, 23]]],
  8: [[[18, 7], [15.6, 5], [12.4, 5.2], [10.2, 7.4], [10.8, 10.2], [13.6, 12.8], [16.8, 15.4], [18.2, 18.4],
       [17, 21.6], [13.8, 23], [10.8, 21.6], [9.8, 18.4], [11.6, 15.2], [14.6, 12.4], [17.4, 9.6], [18, 7]]],
  9: [oval(14, 9.2, 8, 8.4, 1.25), [[18, 9.2], [17.4, 14], [16, 23]]],
};

/** @param {string} text of a drawing, 16 levels in base64url @returns {ImageData} white ink on black */
function pictureOfText(text) {
  const packed = new Uint8Array(fromBase64(text.replaceAll("-", "+").replaceAll("_", "/")));
  const picture = new ImageData(SIDE, SIDE);
  for (let i = 0; i < SIDE * SIDE; i++) {
    const level = i % 2 ? packed[i >> 1] & 15 : packed[i >> 1] >> 4;
    picture.data.fill(Math.round(255 * level / LEVELS), 4 * i, 4 * i + 3);
    picture.data[4 * i + 3] = 255;
  }
  return picture;
}

class Ink {
  constructor() {
    this.now = {base: null, strokes: []};
    this.before = [];
    this.picture = {text: null, canvas: null};  // of the last text
  }

  get empty() {
    return !this.now.base && !this.now.strokes.length;
  }

  /** @returns {?string} the text of the drawing, where it is a picture without strokes */
  get text() {
    return this.now.strokes.length ? null : this.now.base;
  }

  /** Begin another state, which `undo` takes back. */
  change(state) {
    this.before.push(this.now);
    if (this.before.length > MAX_UNDO) this.before.shift();
    this.now = state;
  }

  undo() {
    if (this.before.length) this.now = this.before.pop();
  }

  clear() {
    if (!this.empty) this.change({base: null, strokes: []});
  }

  /** @param {string} text of a drawing, which replaces all that is drawn */
  open(text) {
    if (text !== this.text) this.change({base: text, strokes: []});
  }

  example(name) {
    this.change({base: null, strokes: EXAMPLES[name].map((points) => points.map(([x, y]) => [x, y, 1]))});
  }

  /** Begin a stroke at a point. @param {number} width as a share of the pen's */
  begin(x, y, width) {
    if (this.full) return;
    this.change({base: this.now.base, strokes: [...this.now.strokes, [[x, y, width]]]});
  }

  /** Go on with the last stroke. */
  extend(x, y, width) {
    const stroke = this.now.strokes.at(-1), [lastX, lastY] = stroke.at(-1);
    if (Math.hypot(x - lastX, y - lastY) < CLOSE || this.full) return;
    stroke.push([x, y, width]);
  }

  /** @returns {boolean} whether it has as many points as it may have: no stroke is added or gets longer */
  get full() {
    return this.now.strokes.reduce((sum, stroke) => sum + stroke.length, 0) >= MAX_POINTS;
  }

  /** @returns {number} the drawing's longer side, as a share of the 20 units that MNIST's digits have */
  get size() {
    const points = this.now.strokes.flat(), inside = (value) => Math.min(SIDE, Math.max(0, value));
    const span = (axis) => {
      const values = points.map((point) => inside(point[axis]));
      return Math.max(...values) - Math.min(...values);
    };
    return points.length ? (Math.max(span(0), span(1)) + PEN) / BOX : 1;
  }

  /**
   * Draw all, white, in units of 28 to a side.
   * @param {CanvasRenderingContext2D} context which draws in pixels @param {number} side of the canvas, in pixels
   * @param {number} pen the width of the pen in units
   */
  draw(context, side, pen = PEN) {
    const scale = side / SIDE;
    context.save();
    context.globalCompositeOperation = "lighten";
    if (this.now.base) {
      context.imageSmoothingQuality = "high";
      context.drawImage(this.pictureOf(this.now.base), 0, 0, side, side);
    }
    context.scale(scale, scale);
    context.strokeStyle = context.fillStyle = "#fff";
    context.lineCap = context.lineJoin = "round";
    for (const stroke of this.now.strokes) this.drawStroke(context, stroke, pen);
    context.restore();
  }

  /** A smooth line through the middles between the points; its width follows the pen's pressure. */
  drawStroke(context, points, pen) {
    const middle = ([x, y], [u, v]) => [(x + u) / 2, (y + v) / 2];
    if (points.length === 1) {
      context.beginPath();
      context.arc(points[0][0], points[0][1], pen * points[0][2] / 2, 0, 2 * Math.PI);
      return context.fill();
    }
    let from = points[0];
    points.forEach((point, i) => {
      const next = points[i + 1], to = next ? middle(point, next) : point;
      context.lineWidth = pen * point[2];
      context.beginPath();
      context.moveTo(from[0], from[1]);
      context.quadraticCurveTo(point[0], point[1], to[0], to[1]);
      context.stroke();
      from = to;
    });
  }

  pictureOf(text) {
    if (this.picture.text !== text) {
      const canvas = scratch(SIDE, SIDE);
      putPicture(canvas, pictureOfText(text));
      this.picture = {text, canvas};
    }
    return this.picture.canvas;
  }

  /**
   * The ink as bytes, for the server. A small drawing has a thin pen there, because it is enlarged.
   * @param {number} side pixels @returns {string} base64
   */
  raster(side) {
    const context = scratch(side, side).getContext("2d", {willReadFrequently: true});
    context.fillStyle = "#000";
    context.fillRect(0, 0, side, side);
    this.draw(context, side, PEN * (this.now.base ? 1 : Math.min(1.3, Math.max(0.4, this.size))));
    const {data} = context.getImageData(0, 0, side, side);
    return btoa(Array.from({length: side * side}, (_, i) => String.fromCharCode(data[4 * i])).join(""));
  }
}
