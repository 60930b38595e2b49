// Plane: four points at the corners of a square, and a point that is dragged between them.

const FIRST_SIDE = 5;  // pictures along a side of the first, coarse grid
const NEAR = 3.2;  // cells around the point that are lit
const FAINT = 0.3;  // how strongly the others are drawn

class Plane {
  constructor(parts, host) {
    Object.assign(this, {parts, host, at: [0.5, 0.5], grid: null, waypoint: null, drawn: 0, exactFor: ""});
    this.exact = new Pull("explore_plane", host.waiting, (answer, data) => this.take(answer, data));
    this.grids = new Pull("explore_grid", host.waiting, (answer, data) => this.takeGrid(answer, data));
    this.corners = EXPLORE.corners.map((name) => new PointField(name.toLowerCase(), host, () => this.change()));
    this.select = make("select", {id: "explore-class", onchange: () => this.setOwn()});
    this.classField = make("div", {class: "stage-field explore-class"},
      make("div", {class: "stage-head"}, make("label", {for: "explore-class"}, "Class")), this.select);
    const all = dice("Four new seeds", () => {
      this.corners.forEach((corner) => corner.take(randomSeed()));
      this.change();
    }, "New seeds");
    parts.forPlane.append(
      make("div", {class: "stage-head"}, make("span", {class: "stage-label"}, "Corners"),
           make("div", {class: "stage-bar explore-right"}, all)),
      make("div", {class: "explore-corners"}, ...this.corners.map((corner, i) => make(
        "div", {role: "group", "aria-label": EXPLORE.corners[i]},
        make("div", {class: "stage-info"}, EXPLORE.corners[i]), corner.element))),
      this.classField);
    parts.keys.textContent = EXPLORE.keys;
    this.listen(parts.field);
    new ResizeObserver(() => this.draw()).observe(parts.field);
  }

  listen(field) {
    const drag = (event) => {
      const {left, top, width, height} = field.getBoundingClientRect(), side = this.grid?.side || FIRST_SIDE;
      const inner = (from, length, place) => ((place - from) / length * side - 0.5) / (side - 1);
      this.go([inner(left, width, event.clientX), inner(top, height, event.clientY)]);
    };
    field.addEventListener("pointerdown", (event) => {
      if (event.button !== 0) return;
      field.setPointerCapture(event.pointerId);
      drag(event);
    });
    field.addEventListener("pointermove", (event) => field.hasPointerCapture(event.pointerId) && drag(event));
    field.addEventListener("keydown", (event) => {
      const step = event.shiftKey ? 0.01 : 0.05, [x, y] = this.at;
      const to = {ArrowLeft: [x - step, y], ArrowRight: [x + step, y], ArrowUp: [x, y - step], ArrowDown: [x, y + step],
                  Home: [0.5, 0.5]}[event.key];
      if (!to || event.ctrlKey || event.metaKey || event.altKey) return;
      event.preventDefault();
      this.go(to);
      this.host.aloud(EXPLORE.place(this.at));
    });
  }

  /** Show the values of a model, or of a state: those that are there. */
  put({corners, class: chosen, at}, classes) {
    corners?.forEach((text, i) => this.corners[i].show(text, classes));
    if (classes) {
      const {value} = this.select;
      this.select.replaceChildren(...classOptions(classes, ["own", EXPLORE.eachOwn]));
      this.select.value = value;
      this.classField.hidden = !classes.length;
    }
    if (chosen !== undefined) this.select.value = chosen;
    if (this.select.selectedIndex < 0) this.select.value = "own";
    this.showOwn();
    if (at) this.at = at;
  }

  showOwn() {
    this.corners.forEach((corner) => {
      corner.withClass = this.select.value === "own";
      corner.draw();
    });
  }

  setOwn() {
    this.showOwn();
    this.change();
  }

  get points() {
    return {corners: this.corners.map(({value}) => value), class: this.select.value || "own"};
  }

  asked() {
    return {model: this.host.model, psi: this.host.psi, ...this.points};
  }

  /** Other corners, another class, model or ψ: the coarse grid comes first. */
  change() {
    this.grid = null;
    this.grids.ask({...this.asked(), side: FIRST_SIDE});
    this.go(this.at);
  }

  takeGrid(answer, data) {
    const {side: _, ...asked} = data;
    if (JSON.stringify(asked) !== JSON.stringify(this.asked())) return;
    this.grid = {side: answer.side, pictures: picturesOf(answer)};
    this.sheet = this.contactSheet();
    this.shares();
    this.draw();
    if (data.side < PAGE.side && answer.side === data.side) {
      this.grids.ask({...asked, side: PAGE.side});
    }
  }

  contactSheet() {
    const {side, pictures} = this.grid, {width, height} = pictures[0], canvas = scratch(side * width, side * height);
    pictures.forEach((picture, i) => canvas.getContext("2d").putImageData(picture, i % side * width,
                                                                         Math.floor(i / side) * height));
    return canvas;
  }

  go(at) {
    this.at = at.map((value) => Math.round(1000 * Math.min(1, Math.max(0, value))) / 1000);
    this.waypoint = null;
    this.exactFor = "";
    if (!this.frame) this.frame = requestAnimationFrame(() => {
      this.frame = null;
      this.draw();
    });
    this.shares();
    clearTimeout(this.resting);
    this.resting = setTimeout(() => this.host.part === "plane" && this.exact.ask({...this.asked(), at: this.at}), REST);
  }

  take(answer, data) {
    const {at, ...asked} = data;
    if (at.join() !== this.at.join() || JSON.stringify(asked) !== JSON.stringify(this.asked())) return;
    this.waypoint = answer.waypoint;
    this.exactFor = at.join();
    this.corners.forEach((corner, i) => corner.tell(answer.labels[i]));
    this.show(picturesOf(answer)[0]);
  }

  show(picture) {
    this.drawn++;
    putPicture(this.parts.digit, picture);
    this.parts.digit.setAttribute("aria-label", `The picture at the point: ${EXPLORE.place(this.at)}`);
  }

  draw() {
    const {field} = this.parts, size = field.clientWidth;
    if (!size || this.host.part !== "plane") return;
    const context = sized(field, size, size), side = this.grid?.side || FIRST_SIDE, cell = size / side;
    context.fillStyle = "#0d0f16";
    context.fillRect(0, 0, size, size);
    const [x, y] = this.at.map((value) => (value * (side - 1) + 0.5) * cell);
    if (this.grid) {
      this.ground(context, size, cell, side);
      if (!this.exactFor) this.show(onSquare(this.grid.pictures, side, this.at));
    }
    this.handle(context, x, y);
  }

  /** The pictures of the grid: faint, but clear around the point and at the corners. */
  ground(context, size, cell, side) {
    const [px, py] = this.at.map((value) => value * (side - 1)), {width, height} = this.grid.pictures[0];
    const fit = Math.min(1, width / height), w = cell * fit, h = w * height / width, reach = NEAR * side / PAGE.side;
    context.imageSmoothingEnabled = true;
    for (let i = 0; i < side * side; i++) {
      const column = i % side, row = Math.floor(i / side);
      const away = Math.hypot(column - px, row - py) / Math.max(1.2, reach);
      const isCorner = column % (side - 1) === 0 && row % (side - 1) === 0;
      context.globalAlpha = isCorner ? 1 : Math.max(FAINT, 1 - (1 - FAINT) * away);
      context.drawImage(this.sheet, column * width, row * height, width, height,
                        column * cell + (cell - w) / 2, row * cell + (cell - h) / 2, w, h);
    }
    context.globalAlpha = 1;
  }

  handle(context, x, y) {
    for (const [radius, colour, line] of [[11, "rgba(13, 15, 22, 0.55)", 7], [11, "#f97316", 3]]) {
      context.beginPath();
      context.arc(x, y, radius, 0, 2 * Math.PI);
      [context.strokeStyle, context.lineWidth] = [colour, line];
      context.stroke();
    }
  }

  shares() {
    const [x, y] = this.at, weights = [(1 - x) * (1 - y), x * (1 - y), (1 - x) * y, x * y];
    this.parts.where.textContent = EXPLORE.place(this.at);
    this.parts.shares.replaceChildren(...this.corners.map((corner, i) => make("li", {},
      make("span", {}, this.host.words(corner.point)), make("span", {}, `${Math.round(100 * weights[i])}%`),
      make("i", {style: `--explore-share: ${(100 * weights[i]).toFixed(1)}%`}))));
  }
}
