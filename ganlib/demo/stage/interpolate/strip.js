// The film strip: a row of pictures for each leg, from waypoint to waypoint. A click goes to a picture.

const TILE = 46, LARGEST_TILE = 72, TILE_GAP = 2;  // CSS pixels

class Strip {
  /** @param {Object<string, HTMLElement>} parts @param {(position: number) => void} chosen */
  constructor({film, strip, here}, chosen) {
    Object.assign(this, {place: film, canvas: strip, here, film: null, position: 0, width: 0});
    new ResizeObserver(() => this.resize()).observe(film);
    strip.addEventListener("click", (event) => {
      const position = this.at(event.offsetX, event.offsetY);
      if (position !== null) chosen(position);
    });
  }

  open(film) {
    this.film = film;
    this.draw();
  }

  resize() {
    if (!this.film || this.width === this.place.clientWidth) return;
    this.draw();
    this.mark(this.position);
  }

  /** As many pictures as fit side by side, evenly chosen, with both ends of the leg. */
  layOut() {
    const {steps, pictures: [{width, height}]} = this.film;
    this.width = this.place.clientWidth;
    const fitting = Math.max(2, Math.floor(this.width / TILE));
    this.columns = Math.min(steps, fitting);
    this.tile = Math.min(LARGEST_TILE, (this.width + TILE_GAP) / this.columns);
    this.row = (this.tile - TILE_GAP) * height / width + TILE_GAP;
    this.offsets = Array.from({length: this.columns}, (_, i) => Math.round(i * (steps - 1) / (this.columns - 1)));
  }

  draw() {
    this.layOut();
    const {film, canvas, tile, row, offsets} = this;
    if (!this.width) return;
    const height = film.legs * row - TILE_GAP, context = sized(canvas, this.width, height);
    canvas.style.height = `${height}px`;
    context.clearRect(0, 0, this.width, height);
    const [{width: w, height: h}] = film.pictures, one = scratch(w, h);
    for (let leg = 0; leg < film.legs; leg++) {
      offsets.forEach((offset, column) => {
        putPicture(one, film.at(film.positionOf(leg) + offset));
        context.drawImage(one, column * tile, leg * row, tile - TILE_GAP, row - TILE_GAP);
      });
    }
    this.here.hidden = false;
    Object.assign(this.here.style, {width: `${tile - TILE_GAP}px`, height: `${row - TILE_GAP}px`});
  }

  /** @returns {?number} the position of the picture at a place of the canvas */
  at(x, y) {
    if (!this.film) return null;
    const leg = Math.floor(y / this.row), column = Math.floor(x / this.tile);
    return leg < this.film.legs && column < this.columns ? this.film.positionOf(leg) + this.offsets[column] : null;
  }

  /** Frame the picture nearest to a position. */
  mark(position) {
    this.position = position;
    const {film, offsets} = this;
    if (!film || !this.width) return;
    const leg = Math.min(film.legs - 1, Math.floor(position / (film.steps - 1)));
    const column = Math.round((position - film.positionOf(leg)) * (offsets.length - 1) / (film.steps - 1));
    this.here.style.transform = `translate(${column * this.tile}px, ${leg * this.row}px)`;
  }
}
