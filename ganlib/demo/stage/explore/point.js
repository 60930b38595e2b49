// A point: a seed or a found latent, and its class. Its text is a waypoint: "7", "7:3", "zTEXT", "zTEXT:3".

const SEED_CLASS = "";  // the class that the seed picks

/** @returns {{place: string, chosen: string}} of a waypoint's text; chosen is "" where the seed picks the class */
function readPoint(text) {
  const [place, chosen = SEED_CLASS] = String(text).split(":");
  return {place, chosen};
}

function randomSeed() {
  return String(Math.floor(Math.random() * (PAGE.maxSeed + 1)));
}

/** A button with a dice. */
function dice(label, onclick) {
  const button = make("button", {type: "button", class: "explore-dice", "aria-label": label, title: label, onclick});
  const svg = document.createElementNS("http://www.w3.org/2000/svg", "svg");
  svg.setAttribute("viewBox", "0 0 24 24");
  svg.setAttribute("aria-hidden", "true");
  for (const [x, y] of [[7.5, 7.5], [16.5, 7.5], [12, 12], [7.5, 16.5], [16.5, 16.5]]) {
    const eye = document.createElementNS(svg.namespaceURI, "circle");
    for (const [name, value] of Object.entries({cx: x, cy: y, r: 2, fill: "#fff"})) eye.setAttribute(name, value);
    svg.append(eye);
  }
  const face = document.createElementNS(svg.namespaceURI, "rect");
  const sides = {x: 2, y: 2, width: 20, height: 20, rx: 5, fill: "#c2410c"};
  for (const [name, value] of Object.entries(sides)) face.setAttribute(name, value);
  svg.prepend(face);
  button.append(svg);
  return button;
}

/** @returns {HTMLOptionElement[]} of the classes of a model, after `first` */
function classOptions(classes, ...first) {
  return [...first, ...classes.map((name, i) => [String(i), name])]
    .map(([value, label]) => make("option", {value}, label));
}

/** The fields of one point. */
class PointField {
  /** @param {string} label @param {() => void} changed @param {boolean} withClass whether its class can be chosen */
  constructor(label, changed, withClass = true) {
    Object.assign(this, {place: "0", withClass, classes: [], own: null});
    this.seed = make("input", {type: "number", min: 0, max: PAGE.maxSeed, step: 1, "aria-label": `Seed of ${label}`,
                               oninput: () => this.typed(), onblur: () => this.draw()});
    this.found = make("span", {class: "explore-found", hidden: true}, "found latent");
    this.select = make("select", {"aria-label": `Class of ${label}`, onchange: changed});
    this.changed = changed;
    this.element = make("div", {class: "explore-point"}, this.seed, this.found,
                        dice(`Another seed for ${label}`, () => this.change(randomSeed())), this.select);
  }

  typed() {
    if (this.seed.value && this.seed.validity.valid) this.change(this.seed.value);
  }

  change(place) {
    this.place = String(Number(place));
    this.own = null;
    this.draw();
    this.changed();
  }

  /** The classes of another model; what is no point of it becomes a seed. */
  setClasses(classes) {
    const {chosen} = this;
    Object.assign(this, {classes, own: null});
    if (this.place.startsWith("z")) this.place = "7";
    this.draw(chosen);
  }

  get chosen() {
    return this.select.hidden ? SEED_CLASS : this.select.value;
  }

  get value() {
    return this.place + (this.chosen === SEED_CLASS ? "" : `:${this.chosen}`);
  }

  set value(text) {
    const {place, chosen} = readPoint(text);
    Object.assign(this, {place, own: null});
    this.draw(chosen);
  }

  /** Say which class the seed picks. @param {?number} label of the point, as the server told it */
  tell(label) {
    if (this.chosen !== SEED_CLASS || !this.classes.length) return;
    this.own = label;
    this.select.options[0].textContent = this.ownWords();
  }

  ownWords() {
    return this.own === null ? "the seed’s own" : `the seed’s own: ${this.classes[this.own]}`;
  }

  draw(chosen = this.chosen) {
    const isFound = this.place.startsWith("z");
    this.seed.value = isFound ? "" : this.place;
    this.seed.placeholder = isFound ? "seed" : "";
    this.found.hidden = !isFound;
    this.select.hidden = !this.classes.length || !this.withClass;
    this.select.replaceChildren(...classOptions(this.classes, ...isFound ? [] : [[SEED_CLASS, this.ownWords()]]));
    this.select.value = chosen;
    if (this.select.selectedIndex < 0) this.select.selectedIndex = 0;
  }
}
