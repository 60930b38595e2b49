// Requests that follow a hand: at most one is under way, and the newest one comes next.

class Pull {
  /**
   * @param {Wire} wire
   * @param {string} name of the server's function
   * @param {(answer: Object, data: Object) => void} shown
   * @param {(trouble: Trouble) => void} failed
   */
  constructor(wire, name, shown, failed) {
    Object.assign(this, {wire, name, shown, failed, next: null, busy: false, answers: 0});
  }

  ask(data) {
    this.next = data;
    if (!this.busy) this.run();
  }

  async run() {
    this.busy = true;
    while (this.next) {
      const data = this.next;
      this.next = null;
      try {
        const answer = await this.wire.send(this.name, data);
        this.answers++;
        this.shown(answer, data);
      } catch (trouble) {
        if (!(trouble instanceof Trouble)) throw trouble;
        if (!this.next) this.failed(trouble);
      }
    }
    this.busy = false;
  }
}
