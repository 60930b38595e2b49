// Calls of the server's functions: one at a time, and answers that are sentences become errors.

/** What went wrong, in a sentence for the visitor. `cause`: "server", "connection" or "download". */
class Trouble extends Error {
  /** @param {boolean} again whether the same request can succeed later */
  constructor(sentence, cause, again = false) {
    super(sentence);
    Object.assign(this, {cause, again});
  }
}

const sleep = (milliseconds) => new Promise((resolve) => setTimeout(resolve, milliseconds));

class Wire {
  /** @param {Object<string, (data: Object) => Promise<Object>>} server */
  constructor(server) {
    this.server = server;
    this.last = Promise.resolve();
  }

  /**
   * Call a function of the server once all earlier calls have ended.
   * @param {() => Promise<boolean>} wanted is asked just before; where it says no, nothing is sent
   * @returns {Promise<Object | null>} the answer; null where it was no longer wanted
   */
  call(name, data, wanted = async () => true) {
    const answer = this.last.then(async () => await wanted() ? this.send(name, data) : null);
    this.last = answer.catch(() => null);
    return answer;
  }

  async send(name, data) {
    let answer = null;
    try {
      answer = await this.server[name](data);
    } catch {
      throw new Trouble(SENTENCES.noAnswer, "connection");
    }
    if (answer === null || typeof answer !== "object") throw new Trouble(SENTENCES.noAnswer, "connection");
    if (answer.download) throw new Trouble(String(answer.download), "download");
    if (answer.error) throw new Trouble(String(answer.error), "server", answer.again);
    return answer;
  }

  /**
   * The frame at a goal. Asks again while the server catches up.
   * @param {{settings: Object, goal: Action[], opening: boolean, download: boolean}} request
   * @param {() => Promise<boolean>} wanted
   * @param {(done: number, of: number) => void} progress steps done, and of how many
   * @returns {Promise<{frame: ArrayBuffer, opening: ArrayBuffer | null} | null>}
   */
  async frame(request, wanted, progress) {
    for (let before = null;;) {
      const answer = await this.call("lab_frame", request, wanted);
      if (answer === null) return null;
      if (answer.frame) {
        return {frame: fromBase64(answer.frame), opening: answer.opening ? fromBase64(answer.opening) : null};
      }
      progress(answer.progress, answer.of);
      if (answer.progress === before) await sleep(200);  // the server waits for something else
      before = answer.progress;
    }
  }

  /** @returns {Promise<Object | null>} why digits cannot be trained yet, {download} or {off}; null where they can */
  async digits() {
    return (await this.call("lab_digits", {})).digits;
  }

  /** @param {string} name @returns {Promise<Film>} */
  async film(name) {
    const {film} = await this.call("lab_film", {name});
    return readFilm(fromBase64(film));
  }

  /** @param {string[]} frames base64 pictures @returns {Promise<ArrayBuffer>} */
  async gif(frames, milliseconds) {
    const {gif} = await this.call("lab_gif", {frames, milliseconds});
    return fromBase64(gif);
  }
}
