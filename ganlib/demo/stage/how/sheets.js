// Pictures of models side by side, for the figures of networks and of the pair. The server sends them as sheets: one PNG
// file, in base64, with one picture below the other.

class Sheet {
  /** @param {string} png @returns {Promise<Sheet>} */
  static async of(png) {
    const image = new Image();
    image.src = `data:image/png;base64,${png}`;
    await image.decode();
    return new Sheet(image);
  }

  /** @param {HTMLImageElement | HTMLCanvasElement} image */
  constructor(image) {
    const {naturalWidth: width = image.width, naturalHeight: height = image.height} = image;
    Object.assign(this, {image, side: width, count: height / width});
  }

  /** Draw picture n. @param {boolean} crisp whether its pixels are seen as squares */
  draw(context, n, x, y, size, crisp) {
    context.imageSmoothingEnabled = !crisp;
    context.imageSmoothingQuality = "high";
    context.drawImage(this.image, 0, n * this.side, this.side, this.side, x, y, size, size);
  }
}

/** @param {Object<string, string>} sheets by the names of models @returns {Promise<Object<string, Sheet>>} */
async function sheetsOf(sheets) {
  const names = Object.keys(sheets), made = await Promise.all(names.map((name) => Sheet.of(sheets[name])));
  return Object.fromEntries(names.map((name, i) => [name, made[i]]));
}

/** Draw anew whenever the canvas gets another size. */
function onSize(canvas, draw) {
  new ResizeObserver(() => requestAnimationFrame(draw)).observe(canvas);
}

/** @returns {CanvasRenderingContext2D} of a square canvas, empty; null where it is not shown */
function squareOf(canvas) {
  const side = canvas.clientWidth;
  if (!side) return null;
  const context = sized(canvas, side, side);
  context.clearRect(0, 0, side, side);
  return context;
}

/** A grid of pictures, four in a row. Where `chosen` is given, one of them is chosen by a click or the arrow keys. */
class PictureGrid {
  /** @param {string} label for people who do not see it @param {?(n: number) => void} chosen */
  constructor(label, chosen = null) {
    Object.assign(this, {sheet: null, at: -1, columns: 4});
    this.canvas = make("canvas", {class: "how-grid", "aria-label": label, role: chosen ? "application" : "img",
                                  tabindex: chosen ? 0 : null});
    onSize(this.canvas, () => this.draw());
    if (!chosen) return;
    this.canvas.addEventListener("click", ({offsetX, offsetY}) => {
      const tile = this.canvas.clientWidth / this.columns;
      const [column, row] = [offsetX, offsetY].map((at) => Math.max(0, Math.min(this.columns - 1, Math.floor(at / tile))));
      chosen(row * this.columns + column);
    });
    this.canvas.addEventListener("keydown", (event) => {
      const step = {ArrowLeft: -1, ArrowRight: 1, ArrowUp: -this.columns, ArrowDown: this.columns}[event.key];
      if (!step || event.ctrlKey || event.metaKey || event.altKey) return;
      event.preventDefault();
      if (this.sheet?.count > this.at + step && this.at + step >= 0) chosen(this.at + step);
    });
  }

  show(sheet, at = this.at) {
    Object.assign(this, {sheet, at});
    this.draw();
  }

  draw() {
    const context = this.sheet && squareOf(this.canvas);
    if (!context) return;
    const tile = this.canvas.clientWidth / this.columns, gap = 1;
    for (let n = 0; n < this.sheet.count; n++) {
      const [x, y] = [n % this.columns * tile, Math.floor(n / this.columns) * tile];
      this.sheet.draw(context, n, x + gap, y + gap, tile - 2 * gap, false);
      if (n !== this.at) continue;
      [context.strokeStyle, context.lineWidth] = ["#f97316", 2];
      context.strokeRect(x + 1, y + 1, tile - 2, tile - 2);
    }
  }
}

/** A table of numbers. @param {string[]} columns @param {[string | Node, (string | Node)[]][]} rows */
function numberTable(columns, rows) {
  return make("table", {class: "how-table"},
              make("thead", {}, make("tr", {}, make("td"), ...columns.map((name) => make("th", {scope: "col"}, name)))),
              make("tbody", {}, ...rows.map(([words, cells]) => make("tr", {},
                make("th", {scope: "row"}, words), ...cells.map((cell) => make("td", {}, cell))))));
}

/** @param {number} milliseconds @returns {string} as short as it can be read */
function duration(milliseconds) {
  if (milliseconds >= 1000) return `${(milliseconds / 1000).toFixed(1)} s`;
  return `${milliseconds < 10 ? milliseconds.toFixed(1) : Math.round(milliseconds)} ms`;
}
