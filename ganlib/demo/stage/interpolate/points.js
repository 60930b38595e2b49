// The waypoints of a walk.

/** @returns {Point[]} the default waypoints, which give way to a found point */
function defaultPoints() {
  return PAGE.defaults.waypoints.map((text) => Point.parse(text, true));
}

/** @returns {Point[]} of texts; the defaults stay fillers */
function pointsOf(texts) {
  return texts.join() === PAGE.defaults.waypoints.join() ? defaultPoints() : texts.map((text) => Point.parse(text));
}

/**
 * The list with another waypoint. A found point takes the place of fillers; one filler stays where it would be alone.
 * @returns {?Point[]} null where the list is full
 */
function withPoint(points, point) {
  const kept = point.isFound ? points.filter(({filler}) => !filler) : points;
  if (kept.length >= PAGE.limits.waypoints) return null;
  return kept.length ? [...kept, point] : [point, defaultPoints()[1]];
}
