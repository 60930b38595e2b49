// A picture of the lab's frames, as the Lab tab draws them: what the figures with films and with a live training share.

const DRAWERS = {line: LINE, plane: PLANE};

const OUTSIDE = 0.5;  // of all generated points: from this share on the picture says how many are outside
const WAYS = ["→", "↗", "↑", "↖", "←", "↙", "↓", "↘"];

/** An entry of a legend. @param {string} mark "real", "fake", "arrow" or "map" @param {string} words */
function filmEntry(mark, words) {
  return make("span", {class: "how-film-entry"}, make("i", {class: `how-film-${mark}`}), words);
}

/** How many generated points are outside the picture, at the edge where most of them are. */
function drawOutside(context, points, {width, height}) {
  const [x, y, count] = points.reduce(([x, y, count], each, i) => {
    if (i % 2 || Math.max(Math.abs(each), Math.abs(points[i + 1])) <= HALF) return [x, y, count];
    return [x + each, y + points[i + 1], count + 1];
  }, [0, 0, 0]);
  if (count < OUTSIDE * points.length / 2) return;
  const way = WAYS[(Math.round(Math.atan2(y, x) / (Math.PI / 4)) + 8) % 8];
  const size = Math.max(Math.abs(x), Math.abs(y)) || 1;
  const words = `${count} outside ${way}`;
  [context.font, context.textAlign, context.textBaseline] = [`600 12px ${FONT}`, "center", "middle"];
  const half = context.measureText(words).width / 2 + 8;
  const place = [width / 2 + x / size * (width / 2 - half - 6), height / 2 - y / size * (height / 2 - 18)];
  context.beginPath();
  context.roundRect(place[0] - half, place[1] - 11, 2 * half, 22, 11);
  context.fillStyle = "#c2410c";
  context.fill();
  context.fillStyle = "#fff";
  context.fillText(words, ...place);
}

class FilmView {
  /**
   * @param {string[]} layers what is drawn of a frame, by the names of the drawer's layers
   * @param {() => void} redrawn is called when the size or the theme has changed
   */
  constructor(layers, redrawn = () => {}) {
    Object.assign(this, {layers: new Set(layers), redrawn, film: null, shapes: null, tween: new Tween(), timer: 0});
    this.canvas = make("canvas", {role: "img", "aria-label": "The picture of the training"});
    this.element = make("div", {class: "stage-picture how-film"}, this.canvas);
    // a change of the theme changes the canvas's text colour, which has a transition for this purpose
    this.canvas.addEventListener("transitionend", () => this.redraw());
    new ResizeObserver(() => requestAnimationFrame(() => this.redraw())).observe(this.element);
  }

  /**
   * Show a frame; what moves goes there over so many milliseconds.
   * @param {Film} film @param {number} position of the frame @param {number} length
   * @param {string[]} moving names of arrays
   */
  show(film, position, length = 0, moving = DRAWERS[film.opening.header.kind].moving) {
    const {arrays, shapes} = film.frames[position].pack;
    if (this.film?.opening.header.kind !== film.opening.header.kind) this.tween.to = null;
    Object.assign(this, {film, shapes});
    this.tween.go(arrays, moving, moves() ? length : 0, performance.now());
    this.draw();
  }

  /** Draw now, and again as long as something moves. */
  draw() {
    cancelAnimationFrame(this.timer);
    const width = this.element.clientWidth;
    if (!this.film || !width) return;
    const drawer = DRAWERS[this.film.opening.header.kind], {opening} = this.film, colours = coloursNow();
    const height = width, context = sized(this.canvas, width, height);  // square for all kinds, so that nothing jumps
    context.fillStyle = colours.ground;
    context.fillRect(0, 0, width, height);
    const arrays = this.tween.at(performance.now());
    drawer.draw(context, {opening, arrays, shapes: this.shapes, layers: this.layers, colours, width, height,
                          scale: density()});
    if (drawer === PLANE) drawOutside(context, arrays.generated, {width, height});
    if (this.tween.from) this.timer = requestAnimationFrame(() => this.draw());
  }

  redraw() {
    this.draw();
    this.redrawn();
  }

  /** Show at once where everything goes. */
  stop() {
    this.tween.from = null;
    this.draw();
  }
}
