// The fields of a point: its seed, a dice, its class.

/** @returns {HTMLOptionElement[]} of the classes of a model, after `first` */
function classOptions(classes, ...first) {
  return [...first, ...classes.map((name, i) => [String(i), name])]
    .map(([value, label]) => make("option", {value}, label));
}

class PointField {
  /** @param {string} label @param {Explore} host @param {() => void} changed */
  constructor(label, host, changed) {
    Object.assign(this, {point: new Point("0"), withClass: true, classes: [], own: null, host, changed});
    this.seed = seedField({value: "0", label: `Seed of ${label}`, required: false}, (seed) => this.change(seed),
                          (sentence) => host.said(sentence, true), () => this.point.isFound ? "" : this.point.place);
    this.found = make("span", {class: "explore-found"}, "found");
    this.select = make("select", {"aria-label": `Class of ${label}`, onchange: () => {
      this.point.label = this.select.value === "" ? null : Number(this.select.value);
      changed();
    }});
    this.element = make("div", {class: "explore-point"}, this.seed, this.found,
                        dice(`Another seed for ${label}`, () => this.change(randomSeed())), this.select);
  }

  /** Take another seed. */
  change(place) {
    this.take(place);
    this.changed();
  }

  take(place) {
    this.point = new Point(String(place), this.point.label);
    this.own = null;
    this.draw();
    this.host.said("");
  }

  get value() {
    return this.point.text;
  }

  /** Show a point of a model. @param {string[]} classes of the model */
  show(text, classes = this.classes) {
    Object.assign(this, {point: Point.parse(text), classes, own: null});
    this.draw();
  }

  /** Say which class the seed picks. @param {?number} label of the point, as the server told it */
  tell(label) {
    if (this.point.label !== null || !this.classes.length) return;
    this.own = label;
    this.select.options[0].textContent = EXPLORE.own(this.classes[label]);
  }

  draw() {
    const {isFound, place, label} = this.point;
    if (document.activeElement !== this.seed || Number(this.seed.value) !== Number(place)) {
      this.seed.value = isFound ? "" : place;
    }
    this.seed.placeholder = isFound ? "seed" : "";
    this.found.hidden = !isFound;
    this.select.hidden = !this.classes.length || !this.withClass;
    const own = isFound ? [] : [["", EXPLORE.own(this.classes[this.own])]];
    this.select.replaceChildren(...classOptions(this.classes, ...own));
    this.select.value = label === null ? "" : String(label);
  }
}
