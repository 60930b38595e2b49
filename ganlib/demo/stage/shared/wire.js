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

/** @returns {Promise<*>} what the promise gives; null after the limit */
async function within(milliseconds, promise) {
  let timer = 0;
  const late = new Promise((resolve) => { timer = setTimeout(resolve, milliseconds, null); });
  return Promise.race([promise, late]).finally(() => clearTimeout(timer));
}

const LIMIT = 60_000;  // milliseconds after which the server is said not to answer
const AGAIN = 500;  // milliseconds after which a request that failed is sent once more

class Wire {
  /**
   * @param {Object<string, (data: Object) => Promise<Object>>} server
   * @param {string} noAnswer a sentence
   * @param {number} limit milliseconds that an answer may take
   */
  constructor(server, noAnswer = WORDS.noAnswer, limit = LIMIT) {
    Object.assign(this, {server, noAnswer, limit});
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
    const ask = () => within(this.limit, this.server[name](data)).catch(() => undefined);
    let answer = await ask();
    if (answer === undefined) {  // as gradio answers where the request failed
      await sleep(AGAIN);  // the server may have been started anew, or another replica may answer
      answer = await ask();
    }
    if (answer === null || typeof answer !== "object") throw new Trouble(this.noAnswer, "connection");
    if (answer.download) throw new Trouble(String(answer.download), "download");
    if (answer.error) throw new Trouble(String(answer.error), "server", answer.again);
    return answer;
  }
}
