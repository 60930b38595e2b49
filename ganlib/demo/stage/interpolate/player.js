// The player: one large picture, its position, and the film strip. Every picture is one that the server sent.

const SPEEDS = [0.25, 0.5, 1, 2, 4];

/** The frames of a walk. */
class Film {
  /** @param {ImageData[]} pictures @param {{points: Point[], steps: number, closed: boolean}} walk */
  constructor(pictures, {points, steps, closed}) {
    Object.assign(this, {pictures, points, steps, closed});
    this.legs = points.length - (closed ? 0 : 1);
    this.last = this.legs * (steps - 1);  // the position of the end; of a closed walk, the start again
  }

  /** @returns {ImageData} */
  at(position) {
    return this.pictures[position % this.pictures.length];
  }

  /** @returns {number} the position of a waypoint, also of the first one's return */
  positionOf(waypoint) {
    return waypoint * (this.steps - 1);
  }

  /** @returns {string} for people who do not see the picture */
  describe(position) {
    const leg = Math.floor(position / (this.steps - 1)), rest = position % (this.steps - 1);
    const name = (k) => `waypoint ${k % this.points.length + 1}`;
    return rest ? `${name(leg)} to ${name(leg + 1)}, step ${rest + 1} of ${this.steps}` : name(leg);
  }
}

class Player {
  /** @param {Object<string, HTMLElement>} parts */
  constructor(parts) {
    Object.assign(this, {parts, film: null, playing: moves(), time: 0, position: -1, before: 0, running: false});
    this.strip = new Strip(parts, (position) => this.scrub(position));
    parts.speed.append(...SPEEDS.map((speed) => make("option", {value: speed}, `${speed}×`)));
    parts.speed.value = "1";
    parts.play.addEventListener("click", () => this.play(!this.playing));
    parts.picture.addEventListener("click", () => this.play(!this.playing));
    parts.scrub.addEventListener("input", () => this.scrub(Number(parts.scrub.value)));
    new IntersectionObserver(([entry]) => this.watch(entry.isIntersecting)).observe(parts.picture);
    this.showPlaying();
  }

  /** Show another film, at the same share of the way. */
  open(film) {
    const before = this.film;
    if (before) this.time *= film.last / before.last;
    this.film = film;
    this.position = -1;
    this.parts.scrub.max = String(film.last);
    this.drawTicks();
    this.strip.open(film);
    this.show();
    this.run();
  }

  play(playing) {
    this.playing = playing;
    this.showPlaying();
    this.run();
  }

  /** Stop, and show a position. */
  scrub(position) {
    this.time = position;
    if (this.playing) this.play(false);
    this.show();
  }

  /** Nothing is drawn while the picture is out of view. */
  watch(seen) {
    this.seen = seen;
    this.run();
  }

  run() {
    if (this.running || !this.playing || !this.seen || !this.film) return;
    this.running = true;
    this.before = performance.now();
    requestAnimationFrame((now) => this.tick(now));
  }

  tick(now) {
    if (!this.playing || !this.seen) {
      this.running = false;
      return;
    }
    const {film} = this, seconds = Math.min(0.25, Math.max(0, now - this.before) / 1000);
    this.before = now;
    const rate = (film.steps - 1) / PAGE.seconds * Number(this.parts.speed.value);
    // an open walk goes there and back: the way back is counted on behind the end
    this.time = (this.time + seconds * rate) % (film.closed ? film.last : 2 * film.last);
    this.show();
    requestAnimationFrame((next) => this.tick(next));
  }

  /** Draw the frame at the present time. */
  show() {
    const {film, parts} = this;
    if (!film) return;
    const there = this.time > film.last ? 2 * film.last - this.time : this.time;
    const position = Math.min(film.last, Math.max(0, Math.round(there)));
    if (position === this.position) return;
    this.position = position;
    putPicture(parts.picture, film.at(position));
    parts.scrub.value = String(position);
    parts.scrub.style.setProperty("--stage-share", `${100 * position / film.last}%`);
    parts.scrub.setAttribute("aria-valuetext", film.describe(position));
    this.strip.mark(position);
  }

  showPlaying() {
    this.parts.play.classList.toggle("interpolate-on", this.playing);
    this.parts.play.setAttribute("aria-label", this.playing ? "Pause" : "Play");
  }

  drawTicks() {
    const {film} = this;
    this.parts.ticks.replaceChildren(...Array.from({length: film.legs + 1}, (_, k) => make("span", {
      style: `left: ${100 * film.positionOf(k) / film.last}%`}, String(k % film.points.length + 1))));
  }
}
