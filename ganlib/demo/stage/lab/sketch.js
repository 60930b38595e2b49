// The field in which somebody draws a target: a curve of heights, or a cloud of points.

const SPRAY = 0.035, FIELD = 1.12;  // the spread of the pen, and half the field's edge, where points end at 1

/** @returns {number} in steps that a link can hold, so that it restores the same target */
function heightStep(value) {
  return Math.round(Math.min(1, Math.max(0, value)) * 255) / 255;
}

function pointStep(value) {
  return Math.round((Math.min(1, Math.max(-1, value)) + 1) / 2 * 255) / 255 * 2 - 1;
}

function bump(centre, width, height = 1) {
  return (x) => height * Math.exp(-(((x - centre) / width) ** 2));
}

/** @returns {number} about standard normal */
function gauss() {
  return Math.random() + Math.random() + Math.random() + Math.random() - 2;
}

function around(x, y, spread, count) {
  return Array.from({length: count}, () => [x + spread * gauss(), y + spread * gauss()]);
}

function along(count, place) {
  return Array.from({length: count}, (_, i) => place(2 * Math.PI * i / count));
}

const LINE_PRESETS = {
  "Two steps": (x) => x > 0.15 && x < 0.4 ? 1 : x > 0.6 && x < 0.85 ? 0.5 : 0,
  "Three bumps": (x) => bump(0.2, 0.08)(x) + bump(0.5, 0.06, 0.6)(x) + bump(0.8, 0.08, 0.9)(x),
  "Slope": (x) => x > 0.1 && x < 0.9 ? (x - 0.1) / 0.8 : 0,
};

const CLOUD_PRESETS = {
  "Random dots": () => Array.from({length: 5}, () => [1.6 * Math.random() - 0.8, 1.6 * Math.random() - 0.8])
    .flatMap(([x, y]) => around(x, y, 0.08, 40)),
  "Circle": () => along(200, (angle) => [0.75 * Math.cos(angle), 0.75 * Math.sin(angle)]),
  "Heart": () => along(240, (angle) => [0.8 * Math.sin(angle) ** 3, 0.05 + 0.05 * (13 * Math.cos(angle)
    - 5 * Math.cos(2 * angle) - 2 * Math.cos(3 * angle) - Math.cos(4 * angle))]),
};

/** 32 heights; the pen sets those that it passes. */
class HeightSketch {
  constructor(limits) {
    this.count = limits.heights;
    this.clear();
  }

  clear() {
    this.heights = new Array(this.count).fill(0);
    this.last = null;
  }

  get presets() {
    return Object.entries(LINE_PRESETS).map(([name, curve]) => [name, () => {
      this.heights = this.heights.map((_, i) => heightStep(curve(i / (this.count - 1))));
    }]);
  }

  get words() {
    return SENTENCES.drawCurve;
  }

  get drawn() {
    return this.heights.some((height) => height > 0) ? [...this.heights] : null;
  }

  set drawn(heights) {
    if (heights.length === this.count) this.heights = heights.map(heightStep);
  }

  lift() {
    this.last = null;
  }

  /** The pen is at x (0 left to 1 right) and y (0 top to 1 bottom). */
  touch(x, y) {
    const place = Math.min(this.count - 1, Math.max(0, Math.round(x * (this.count - 1))));
    const height = heightStep((0.96 - y) / 0.9), [from, start] = this.last || [place, height];
    for (let i = Math.min(from, place); i <= Math.max(from, place); i++) {
      this.heights[i] = from === place ? height : heightStep(start + (height - start) * (i - from) / (place - from));
    }
    this.last = [place, height];
  }

  draw(context, width, height, colours) {
    const y = (value) => (0.96 - 0.9 * value) * height, bar = width / this.count;
    context.fillStyle = REAL;
    this.heights.forEach((value, i) => {
      context.globalAlpha = 0.45;
      context.fillRect(i * bar + 1, y(value), bar - 2, y(0) - y(value));
      context.globalAlpha = 1;
      context.fillRect(i * bar + 1, y(value) - 1, bar - 2, 2);
    });
    context.fillStyle = colours.faint;
    context.fillRect(0, y(0), width, 1);
  }
}

/** Up to 400 points; the pen sprays them. */
class CloudSketch {
  constructor(limits) {
    this.limit = limits.points;
    this.clear();
  }

  clear() {
    this.points = [];
    this.last = null;
  }

  get presets() {
    return Object.entries(CLOUD_PRESETS).map(([name, points]) => [name, () => {
      this.points = [];
      this.add(points());
    }]);
  }

  get words() {
    return this.points.length >= this.limit ? SENTENCES.allPoints(this.limit) : SENTENCES.drawCloud;
  }

  get drawn() {
    return this.points.length ? this.points.map((point) => [...point]) : null;
  }

  set drawn(points) {
    this.points = points.map((point) => point.map(pointStep));
  }

  add(points) {
    this.points.push(...points.slice(0, this.limit - this.points.length).map((point) => point.map(pointStep)));
  }

  lift() {
    this.last = null;
  }

  touch(x, y) {
    const centre = [(2 * x - 1) * FIELD, (1 - 2 * y) * FIELD];
    if (this.last && Math.hypot(centre[0] - this.last[0], centre[1] - this.last[1]) < SPRAY) return;
    this.last = centre;
    this.add(around(...centre, SPRAY, 3));
  }

  draw(context, width, height, colours) {
    const edge = (1 - 1 / FIELD) / 2;
    [context.strokeStyle, context.lineWidth] = [colours.faint, 1];
    context.strokeRect(edge * width, edge * height, width * (1 - 2 * edge), height * (1 - 2 * edge));
    context.fillStyle = REAL;
    for (const [x, y] of this.points) {
      context.beginPath();
      context.arc((x / FIELD + 1) / 2 * width, (1 - y / FIELD) / 2 * height, 3, 0, 2 * Math.PI);
      context.fill();
    }
  }
}

const SKETCHES = {"drawn-line": [HeightSketch, 0.82], "drawn-cloud": [CloudSketch, 1]};

/** The field over the picture, with its buttons. */
class SketchPad {
  /**
   * @param {HTMLElement} place
   * @param {Object} limits of points and heights
   * @param {(target: string, drawn: number[] | number[][]) => void} done is told the target and what was drawn
   * @param {() => void} cancel
   */
  constructor(place, limits, done, cancel) {
    Object.assign(this, {place, limits, done, cancel, target: null, sketch: null});
    this.canvas = make("canvas", {class: "lab-field-canvas", "aria-hidden": "true"});
    this.words = make("p", {role: "status"});
    this.shapes = make("div", {class: "lab-shapes", role: "group", "aria-label": "Shapes"});
    this.finish = make("button", {type: "button", class: "stage-primary", onclick: () => this.end()}, "Done");
    place.append(this.canvas, this.words, make("div", {class: "stage-bar"}, this.finish,
      make("button", {type: "button", onclick: () => this.change(() => this.sketch.clear())}, "Clear"),
      make("button", {type: "button", onclick: () => this.cancel()}, "Cancel"), this.shapes));
    this.listen();
  }

  listen() {
    const touch = (event) => {
      const {left, top, width, height} = this.canvas.getBoundingClientRect();
      this.change(() => {
        for (const {clientX, clientY} of event.getCoalescedEvents?.().concat(event) ?? [event]) {
          this.sketch.touch((clientX - left) / width, (clientY - top) / height);
        }
      });
    };
    this.canvas.addEventListener("pointerdown", (event) => {
      if (event.button !== 0) return;
      this.canvas.setPointerCapture(event.pointerId);
      event.preventDefault();
      touch(event);
    });
    this.canvas.addEventListener("pointermove", (event) => {
      if (this.canvas.hasPointerCapture(event.pointerId)) touch(event);
    });
    for (const name of ["pointerup", "pointercancel"]) {
      this.canvas.addEventListener(name, () => this.sketch?.lift());
    }
  }

  get active() {
    return this.target !== null;
  }

  /** @param {string} target @param {number[] | number[][] | null} drawn where to begin */
  open(target, drawn) {
    const [Sketch, aspect] = SKETCHES[target];
    Object.assign(this, {target, aspect, sketch: new Sketch(this.limits)});
    if (drawn) this.sketch.drawn = drawn;
    this.shapes.replaceChildren(...this.sketch.presets.map(([name, choose]) =>
      make("button", {type: "button", onclick: () => this.change(choose)}, name)));
    this.place.hidden = false;
    this.draw();
  }

  close() {
    this.target = null;
    this.place.hidden = true;
  }

  change(action) {
    action();
    this.draw();
  }

  end() {
    const {target, sketch: {drawn}} = this;
    if (!drawn) return;
    this.close();
    this.done(target, drawn);
  }

  draw() {
    if (!this.active) return;
    const width = this.canvas.clientWidth, height = width * this.aspect, colours = coloursNow();
    this.canvas.style.height = `${height}px`;
    const context = sized(this.canvas, width, height);
    context.fillStyle = colours.ground;
    context.fillRect(0, 0, width, height);
    this.sketch.draw(context, width, height, colours);
    if (this.words.textContent !== this.sketch.words) this.words.textContent = this.sketch.words;
    this.finish.disabled = !this.sketch.drawn;
  }
}
