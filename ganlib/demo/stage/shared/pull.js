// Requests that follow a hand: at most one is under way, and the newest one comes next.

class Pull {
  /**
   * @param {string} name of the server's function
   * @param {Waiting} waiting says that it waits, and why it failed
   * @param {(answer: Object, data: Object) => void} shown
   */
  constructor(name, waiting, shown) {
    Object.assign(this, {name, waiting, shown, wire: new Wire(server), next: null, busy: false, answers: 0});
  }

  ask(data) {
    this.next = data;
    if (!this.busy) this.run();
  }

  async run() {
    this.busy = true;
    try {
      while (this.next) {
        const data = this.next;
        this.next = null;
        await this.waiting.during(async () => {
          const answer = await this.wire.call(this.name, data);
          this.answers++;
          this.shown(answer, data);
        }, {again: () => this.ask(data), source: this, wanted: () => !this.next});
      }
    } finally {
      this.busy = false;
    }
  }
}
