// Between two frames: points move over the time that a frame lasts.

class Tween {
  constructor() {
    /** @type {Object<string, Numbers> | null} */
    this.from = null;
    this.to = null;
    this.start = 0;
    this.length = 0;
    /** @type {string[]} names of arrays in which each number is the same thing in every frame, so that it can move */
    this.moving = [];
  }

  /** Show these arrays from now on; those in `moving` go there over `length` milliseconds from what is seen now. */
  go(arrays, moving, length, now) {
    this.moving = moving;
    this.from = length > 0 && this.to ? this.at(now) : null;
    this.to = arrays;
    this.start = now;
    this.length = length;
  }

  /** @returns {boolean} whether the arrays still move */
  running(now) {
    return this.from !== null && now < this.start + this.length;
  }

  /** @returns {Object<string, Numbers>} the arrays as they are at this time */
  at(now) {
    if (!this.running(now)) {
      this.from = null;
      return this.to;
    }
    const share = Math.max(0, (now - this.start) / this.length), found = {...this.to};
    for (const name of this.moving) {
      const from = this.from[name], to = this.to[name];
      if (from && to && from.length === to.length) found[name] = between(from, to, share);
    }
    return found;
  }
}

/** @returns {Float32Array} */
function between(from, to, share) {
  const found = new Float32Array(to.length);
  for (let i = 0; i < to.length; i++) found[i] = from[i] + (to[i] - from[i]) * share;
  return found;
}
