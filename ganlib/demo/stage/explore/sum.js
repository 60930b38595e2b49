// Arithmetic: A − B + C.

class Sum {
  constructor(parts, host) {
    Object.assign(this, {parts, host, waypoint: null});
    this.exact = new Pull("explore_arithmetic", host.waiting, (answer, data) => this.take(answer, data));
    this.fields = ["A", "B", "C"].map((name) => new PointField(name, host, () => this.change()));
    const canvas = (label) => make("canvas", {class: "stage-pixels", width: 28, height: 28, role: "img",
                                              "aria-label": label});
    this.canvases = ["A", "B", "C", "A minus B plus C"].map(canvas);
    const signs = ["", "\u2212", "+", "="];
    const frame = (i) => make("div", {class: "explore-frame", "data-sign": signs[i]}, this.canvases[i]);
    const terms = this.fields.map((field, i) => make(
      "div", {class: "explore-term", role: "group", "aria-label": "ABC"[i]}, frame(i),
      make("span", {class: "explore-name"}, "ABC"[i]), field.element));
    const result = make("div", {class: "explore-term explore-result"}, frame(3),
                        make("span", {class: "explore-name"}, "A \u2212 B + C"));
    parts.sum.append(...terms, result,
      make("div", {class: "explore-wide"}, this.words = make("p", {}), make("p", {class: "stage-info"}, EXPLORE.sum)));
  }

  /** Show the values of a model, or of a state: those that are there. */
  put({a, b, c}, classes) {
    [a, b, c].forEach((text, i) => { if (text !== undefined) this.fields[i].show(text, classes); });
  }

  asked() {
    return {model: this.host.model, psi: this.host.psi, ...this.points};
  }

  change() {
    this.waypoint = null;
    this.exact.ask(this.asked());
  }

  take(answer, data) {
    const {first, words: inWords} = this.host.info;
    if (data.model !== this.host.model) return;
    this.words.textContent = [data.a, data.b, data.c].join() === [first.a, first.b, first.c].join() ? inWords : "";
    picturesOf(answer).forEach((picture, i) => putPicture(this.canvases[i], picture));
    const words = this.fields.map(({point}) => this.host.words(point));
    this.fields.forEach((field, i) => {
      this.canvases[i].setAttribute("aria-label", `${"ABC"[i]}: ${words[i]}`);
      field.tell(answer.labels[i]);
    });
    this.waypoint = answer.waypoint;
    this.host.aloud(EXPLORE.terms(words));
  }

  get points() {
    const [a, b, c] = this.fields.map(({value}) => value);
    return {a, b, c};
  }
}
