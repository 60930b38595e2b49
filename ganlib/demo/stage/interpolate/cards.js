// The waypoints as a row of cards: picture, seed, class, and buttons to move and remove them.

/** A button with a sign, and a name for those who do not see it. */
function signButton(sign, onclick) {
  return make("button", {type: "button", onclick}, make("span", {"aria-hidden": "true"}, sign));
}

class Card {
  /** @param {Point} point @param {Cards} cards */
  constructor(point, cards) {
    Object.assign(this, {point, cards});
    this.picture = make("canvas", {class: "stage-pixels", width: 28, height: 28, role: "img"});
    this.number = make("span", {class: "interpolate-number", "aria-hidden": "true"});
    this.place = point.isFound ? make("span", {class: "interpolate-found"}, "found") : make("input", {
      type: "number", min: 0, max: PAGE.limits.seed, step: 1, value: point.place, inputmode: "numeric", required: true,
      oninput: () => this.choose(), onblur: () => { this.place.value = this.point.place; }});
    this.kind = make("select", {hidden: true, title: "auto: the seed picks the class", onchange: () => {
      point.label = this.kind.value === "" ? null : Number(this.kind.value);
      cards.changed();
    }});
    this.left = signButton("←", () => cards.move(this, -1));
    this.remove = signButton("×", () => cards.remove(this));
    this.right = signButton("→", () => cards.move(this, 1));
    this.element = make("div", {class: "interpolate-card", role: "group"},
                        make("div", {class: "interpolate-face"}, this.picture, this.number), this.place, this.kind,
                        make("div", {class: "interpolate-moves"}, this.left, this.remove, this.right));
  }

  /** Take the seed that is written, once it is a whole one in range. */
  choose() {
    if (!this.place.validity.valid) return;
    this.point.place = String(Number(this.place.value));
    this.cards.changed();
  }

  /** Say which waypoint it is, and offer what can be done with it. */
  describe(index, count) {
    const name = `waypoint ${index + 1}`;
    this.number.textContent = String(index + 1);
    this.element.setAttribute("aria-label", `Waypoint ${index + 1}, ${this.point.title}`);
    this.picture.setAttribute("aria-label", `The picture of ${name}`);
    if (!this.point.isFound) this.place.setAttribute("aria-label", `Seed of ${name}`);
    this.kind.setAttribute("aria-label", `Class of ${name}`);
    this.kind.hidden = !this.cards.classes.length;
    for (const [button, label, possible] of [[this.left, `Move ${name} left`, index > 0],
                                             [this.remove, `Remove ${name}`, count > 2],
                                             [this.right, `Move ${name} right`, index < count - 1]]) {
      Object.assign(button, {title: label, disabled: !possible});
      button.setAttribute("aria-label", label);
    }
  }

  /** @param {ImageData} picture @param {?number} label the class that the server took */
  show(picture, label) {
    const {classes} = this.cards;
    putPicture(this.picture, picture);
    this.kind.hidden = !classes.length;
    if (!classes.length) return;
    const picked = this.point.label === null ? [["", `auto: ${classes[label]}`]]
      : this.point.isFound ? [] : [["", "auto"]];
    this.kind.replaceChildren(...[...picked, ...classes.map((name, i) => [String(i), name])]
      .map(([value, name]) => make("option", {value}, name)));
    this.kind.value = this.point.label === null ? "" : String(this.point.label);
  }
}

class Cards {
  /** @param {HTMLElement} place @param {() => void} changed after a visitor's change */
  constructor(place, changed) {
    this.place = place;
    this.changed = () => {
      for (const {point} of this.cards) point.filler = false;
      changed();
    };
    this.plus = make("button", {type: "button", class: "interpolate-plus", "aria-label": "Add a seed",
                                title: "Add a seed", onclick: () => this.add(Point.random())},
                     make("span", {"aria-hidden": "true"}, "+"));
    Object.assign(this, {cards: [], classes: []});
  }

  get points() {
    return this.cards.map(({point}) => point);
  }

  /** Show these waypoints; cards of those that stay are kept. `classes` are the names of the model's, if known. */
  open(points) {
    this.cards = points.map((point) => this.cards.find((card) => card.point === point) || new Card(point, this));
    this.draw();
  }

  draw() {
    this.cards.forEach((card, i) => card.describe(i, this.cards.length));
    const full = this.cards.length >= PAGE.limits.waypoints;
    this.place.replaceChildren(...this.cards.map(({element}) => element), ...(full ? [] : [this.plus]));
  }

  add(point) {
    this.open([...this.points, point]);
    this.changed();
    if (this.plus.isConnected) this.plus.focus();
  }

  remove(card) {
    const index = this.cards.indexOf(card);
    this.open(this.points.filter((point) => point !== card.point));
    this.changed();
    const next = this.cards[Math.min(index, this.cards.length - 1)];
    (next.remove.disabled ? this.plus : next.remove).focus();
  }

  move(card, by) {
    const {points} = this, from = points.indexOf(card.point);
    points.splice(from, 1);
    points.splice(from + by, 0, card.point);
    this.open(points);
    this.changed();
    const [same, other] = by < 0 ? [card.left, card.right] : [card.right, card.left];
    (same.disabled ? other : same).focus();
  }

  /** Other seeds for all that are seeds. */
  roll() {
    this.open(this.points.map((point) => point.isFound ? point : new Point(Point.random().place, point.label)));
    this.changed();
  }

  /** @param {Film} film @param {(?number)[]} labels */
  show(film, labels) {
    this.cards.forEach((card, i) => card.show(film.at(film.positionOf(i)), labels[i]));
  }
}
