// What a stage says while the server works, and where it failed.

const PATIENCE = 500;  // milliseconds without an answer, after which the stage says that it waits

/** The note of a stage: a sentence, that a request waits, or why one failed, with a button that tries again. */
class Waiting {
  /**
   * @param {HTMLElement} note of the class "stage-note", with role="status"
   * @param {string} words said while a request waits
   */
  constructor(note, words = WORDS.loading) {
    Object.assign(this, {note, words, said: [""], failed: null, open: 0, timer: 0});
    note.tabIndex = -1;
  }

  /** Say a sentence in place of the last one. */
  say(sentence, wrong = false, again = null) {
    Object.assign(this, {said: [sentence, wrong, again], failed: null});
    this.write(...this.said);
  }

  /**
   * Do something that waits for the server.
   * @param {() => Promise<*>} action
   * @param {{again: () => void, source: *, wanted: () => boolean}} options `again` does it once more; where actions have
   *     several sources, only a success of the same one takes its failure back; a failure is not told unless `wanted`
   * @returns {Promise<*>} what the action gives; undefined where it failed with a Trouble, which the note tells
   */
  async during(action, {again = null, source = null, wanted = () => true} = {}) {
    if (this.open++ === 0) this.timer = setTimeout(() => this.wait(), PATIENCE);
    try {
      const found = await action();
      if (this.failed?.source === source) this.say("");
      return found;
    } catch (trouble) {
      if (!(trouble instanceof Trouble)) throw trouble;
      if (wanted()) this.fail(trouble, again, source);
    } finally {
      if (--this.open === 0) this.rest();
    }
  }

  /** @param {Trouble} trouble @param {?() => void} again offered unless the server refuses it for good */
  fail(trouble, again = null, source = null) {
    const isFinal = trouble.cause === "server" && !trouble.again;
    this.say(trouble.message, true, isFinal ? null : again);
    this.failed = {source};
  }

  /** Also the stage's look may say it: [data-waits]. */
  wait() {
    this.note.closest(".stage").toggleAttribute("data-waits", true);
    this.write(this.words);
  }

  /** Nothing is under way: the note tells again what it told before it said that it waits. */
  rest() {
    clearTimeout(this.timer);
    this.note.closest(".stage").toggleAttribute("data-waits", false);
    if (this.note.textContent === this.words) this.write(...this.said);
  }

  write(sentence, wrong = false, again = null) {
    const button = again && make("button", {type: "button", onclick: () => {
      this.note.focus();  // the button goes
      this.say("");
      again();
    }}, WORDS.again);
    this.note.replaceChildren(sentence, ...button ? [" ", button] : []);
    this.note.classList.toggle("stage-wrong", wrong);
  }
}
