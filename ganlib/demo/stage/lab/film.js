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

/** One kept frame: its bytes, its header, and its pack when it is asked for. */
class Moment {
  /** @param {ArrayBuffer} buffer @param {number} index how many frames the film had before it, dropped ones too */
  constructor(buffer, index) {
    this.buffer = buffer;
    this.index = index;
    this.header = unpack(buffer).header;
  }

  /** @returns {Pack} */
  get pack() {
    return unpack(this.buffer);
  }
}

/** @typedef {{key: ?string, title: string, sentences: string[], film: ?string, story: ?Object}} About */

/** @type {About} what a film is that nobody has chosen from the row */
const NOTHING = {key: null, title: "", sentences: [], film: null, story: null};

class Film {
  /** @param {Object} settings complete @param {boolean} recorded whether it is finished @param {About} about */
  constructor(settings, recorded = false, about = NOTHING) {
    Object.assign(this, {settings, recorded, about});
    /** @type {string | null} the recipe whose training was recorded: its settings are not those of a lab */
    this.recipe = null;
    /** @type {Pack | null} */
    this.opening = null;
    /** @type {Moment[]} */
    this.frames = [];
    this.bytes = 0;
    this.added = 0;
    /** frames are kept whose index is a multiple of it, and the last one */
    this.stride = 1;
    /** what is trained by itself before the film pauses: all actions, and how many steps a frame */
    this.plan = null;
    /** whether the plan is carried out unseen: only its last frame is shown by itself */
    this.quiet = false;
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
    this.recipe = this.opening.header.recipe ?? null;
  }

  /** @param {ArrayBuffer} buffer a packed frame; it becomes the last */
  add(buffer) {
    if (this.last && this.last.index % this.stride) this.bytes -= this.frames.pop().buffer.byteLength;
    this.frames.push(new Moment(buffer, this.added++));
    this.bytes += buffer.byteLength;
    while (this.frames.length > 2 && (this.frames.length > FILM_FRAMES || this.bytes > FILM_BYTES)) this.thin();
  }

  /** Keep half as many frames, at equal distances, and the last one. */
  thin() {
    const {last} = this;
    this.stride *= 2;
    this.frames = this.frames.filter((moment) => moment.index % this.stride === 0 || moment === last);
    this.bytes = this.frames.reduce((sum, {buffer}) => sum + buffer.byteLength, 0);
  }

  /** @param {number} step @returns {number} the place of the kept frame that is nearest to it */
  nearest(step) {
    const away = this.frames.map(({header}) => Math.abs(header.step - step));
    return away.indexOf(Math.min(...away));
  }

  /** @param {Moment} moment @returns {number} its place, or the place of the kept one that is nearest in time */
  placeOf(moment) {
    const exact = this.frames.indexOf(moment);
    if (exact >= 0) return exact;
    const after = this.frames.findIndex(({header}) => countOf(header.actions) >= countOf(moment.header.actions));
    return after < 0 ? this.frames.length - 1 : after;
  }

  /** @returns {Action[] | null} the next goal of the plan; null where it is reached, or there is none */
  planned() {
    if (!this.plan) return null;
    const done = countOf(this.actions);
    return done < countOf(this.plan.goal) ? firstActions(this.plan.goal, done + this.plan.chunk) : null;
  }

  /** @returns {boolean} whether its next frame is not to be seen, because a quiet plan is not at its end */
  get unseen() {
    return this.quiet && this.planned() !== null;
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
    require(place + 4 + length <= buffer.byteLength, SENTENCES.cutFilm);
    parts.push(buffer.slice(place + 4, place + 4 + length));
    place += 4 + length;
  }
  require(parts.length > 1, SENTENCES.noFrames);
  const film = new Film(null, true);
  film.open(parts[0]);
  for (const part of parts.slice(1)) film.add(part);
  return film;
}
