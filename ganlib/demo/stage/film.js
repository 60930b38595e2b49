// A film: the frames that are kept, in memory, with a limit on bytes and on frames.

/** @typedef {[string, number]} Action who learned, and how many steps */

const FILM_BYTES = 12e6, FILM_FRAMES = 600;

/** @param {Action[]} actions @returns {number} steps of either network, which is what the server counts */
function countOf(actions) {
  return actions.reduce((sum, [, n]) => sum + n, 0);
}

/** @param {Action[]} actions @returns {Action[]} the same with one more action; equal neighbours are merged */
function withAction(actions, who, n) {
  const last = actions[actions.length - 1];
  if (n === 0) return actions;
  if (last && last[0] === who) return [...actions.slice(0, -1), [who, last[1] + n]];
  return [...actions, [who, n]];
}

/** @param {Action[]} actions @returns {Action[]} the first `count` steps of them */
function firstActions(actions, count) {
  let found = [];
  for (const [who, n] of actions) {
    found = withAction(found, who, Math.min(n, count));
    count -= Math.min(n, count);
  }
  return found;
}

/** One kept frame: its bytes, its header, and its arrays when they are asked for. */
class Moment {
  /** @param {ArrayBuffer} buffer */
  constructor(buffer) {
    this.buffer = buffer;
    this.header = unpack(buffer).header;
  }

  /** @returns {Object<string, Numbers>} */
  get arrays() {
    return unpack(this.buffer).arrays;
  }
}

class Film {
  /** @param {Object} settings complete @param {boolean} recorded whether it is finished */
  constructor(settings, recorded = false) {
    this.settings = settings;
    this.recorded = recorded;
    /** @type {Pack | null} */
    this.opening = null;
    /** @type {Moment[]} */
    this.frames = [];
    this.bytes = 0;
    /** what is trained by itself before the film pauses: all actions, and how many steps a frame */
    this.plan = null;
    this.asking = false;
  }

  get last() {
    return this.frames[this.frames.length - 1];
  }

  /** @returns {Action[]} all that was trained until the last frame */
  get actions() {
    return this.last ? this.last.header.actions : [];
  }

  /** @param {ArrayBuffer} buffer a packed opening */
  open(buffer) {
    this.opening = unpack(buffer);
    this.settings = this.opening.header.settings;
  }

  /** @param {ArrayBuffer} buffer a packed frame; it becomes the last */
  add(buffer) {
    this.frames.push(new Moment(buffer));
    this.bytes += buffer.byteLength;
    if (this.frames.length > FILM_FRAMES || this.bytes > FILM_BYTES) this.thin();
  }

  /** Drop every second frame, but neither the first nor the last. */
  thin() {
    const end = this.frames.length - 1;
    this.frames = this.frames.filter((_, i) => i % 2 === 0 || i === end);
    this.bytes = this.frames.reduce((sum, {buffer}) => sum + buffer.byteLength, 0);
  }

  /** @param {Moment} moment @returns {number} its place, or the place of the kept one that is nearest in time */
  placeOf(moment) {
    const exact = this.frames.indexOf(moment);
    if (exact >= 0) return exact;
    const after = this.frames.findIndex(({header}) => countOf(header.actions) >= countOf(moment.header.actions));
    return after < 0 ? this.frames.length - 1 : after;
  }

  /** @returns {Action[] | null} the next goal of the plan; null where it is reached */
  planned() {
    if (!this.plan) return null;
    const done = countOf(this.actions);
    return done < countOf(this.plan.goal) ? firstActions(this.plan.goal, done + this.plan.chunk) : null;
  }
}

/** @param {ArrayBuffer} compressed @returns {Promise<ArrayBuffer>} */
async function gunzip(compressed) {
  const stream = new Blob([compressed]).stream().pipeThrough(new DecompressionStream("gzip"));
  return new Response(stream).arrayBuffer();
}

/**
 * A recorded film: the opening and the frames, each after its length.
 * @param {ArrayBuffer} compressed
 * @returns {Promise<Film>}
 */
async function readFilm(compressed) {
  const buffer = await gunzip(compressed), view = new DataView(buffer), parts = [];
  for (let place = 0; place < buffer.byteLength;) {
    const length = view.getUint32(place, true);
    require(place + 4 + length <= buffer.byteLength, "The recorded film is cut off.");
    parts.push(buffer.slice(place + 4, place + 4 + length));
    place += 4 + length;
  }
  require(parts.length > 1, "The recorded film has no frames.");
  const film = new Film(null, true);
  film.open(parts[0]);
  for (const part of parts.slice(1)) film.add(part);
  return film;
}
