// Waypoints: seeds and found latents as texts, "3", "3:7", "zTEXT", "zTEXT:7", which links and the server share.

class Point {
  /**
   * @param {string} place a seed, or "z" and the text of a found latent
   * @param {?number} label its class; null: what the seed picks, or a model without classes
   * @param {boolean} filler whether it is a default that the visitor did not choose, and gives way to a found latent
   */
  constructor(place, label = null, filler = false) {
    Object.assign(this, {place, label, filler});
  }

  static parse(text, filler = false) {
    const [place, label] = text.split(":");
    return new Point(place, label === undefined ? null : Number(label), filler);
  }

  static random() {
    return new Point(String(Math.floor(Math.random() * (PAGE.limits.seed + 1))));
  }

  get isFound() {
    return this.place.startsWith("z");
  }

  get text() {
    return this.label === null ? this.place : `${this.place}:${this.label}`;
  }

  get title() {
    return this.isFound ? "found" : `seed ${this.place}`;
  }
}

/** @returns {Point[]} the default waypoints */
function defaultPoints() {
  return PAGE.defaults.waypoints.map((text) => Point.parse(text, true));
}

/** @returns {Point[]} of texts; the defaults stay fillers */
function pointsOf(texts) {
  return texts.join() === PAGE.defaults.waypoints.join() ? defaultPoints() : texts.map((text) => Point.parse(text));
}

/**
 * The list with another waypoint. A found latent takes the place of fillers; one filler stays where it would be alone.
 * @returns {?Point[]} null where the list is full
 */
function withPoint(points, point) {
  const kept = point.isFound ? points.filter(({filler}) => !filler) : points;
  if (kept.length >= PAGE.limits.waypoints) return null;
  return kept.length ? [...kept, point] : [point, defaultPoints()[1]];
}
