// What the lab asks of the server.

class LabWire extends Wire {
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

  /**
   * @param {string[]} frames base64 pictures @param {Object} state the values of a link, for the passport
   * @returns {Promise<ArrayBuffer>}
   */
  async gif(frames, milliseconds, state) {
    const {gif} = await this.call("lab_gif", {frames, milliseconds, state});
    return fromBase64(gif);
  }
}
