// Arithmetic: A − B + C.

class Sum {
  constructor(parts, host) {
    Object.assign(this, {parts, host, waypoint: null, defaults: []});
    this.exact = new Pull(host.wire, "explore_arithmetic", (answer, data) => this.take(answer, data), host.failed);
    this.fields = ["A", "B", "C"].map((name) => new PointField(name, () => this.change()));
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
      make("div", {class: "explore-wide"}, this.words = make("p", {}), make("p", {class: "stage-info"},
           "What A has and B lacks is added to C. The first example was chosen because it works. "
           + "With other seeds it often fails.")));
  }

  setModel({classes, example, words}) {
    const isOwn = this.fields.map(({value}) => value).join() !== this.defaults.join();
    this.fields.forEach((field) => field.setClasses(classes));
    if (!isOwn) this.setPoints(example);
    [this.defaults, this.inWords] = [example, words];
  }

  setPoints(texts) {
    texts.forEach((text, i) => { if (text !== null && text !== undefined) this.fields[i].value = text; });
  }

  asked() {
    const [a, b, c] = this.fields.map(({value}) => value);
    return {model: this.host.model, psi: this.host.psi, a, b, c};
  }

  change() {
    this.waypoint = null;
    this.exact.ask(this.asked());
  }

  take(answer, data) {
    this.words.textContent = [data.a, data.b, data.c].join() === this.defaults.join() ? this.inWords : "";
    picturesOf(answer).forEach((picture, i) => putPicture(this.canvases[i], picture));
    const words = this.fields.map(({value}) => this.host.words(value));
    this.fields.forEach((field, i) => {
      this.canvases[i].setAttribute("aria-label", `${"ABC"[i]}: ${words[i]}`);
      field.tell(answer.labels[i]);
    });
    this.waypoint = answer.waypoint;
    this.host.said("");
    this.host.aloud(`A minus B plus C is shown for ${words.join(", ")}.`);
  }

  values() {
    const {model: _, ...values} = this.asked();
    return {part: "arithmetic", ...values};
  }
}
