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
    this.place = point.isFound ? make("span", {class: "interpolate-found"}, "found")
      : seedField({value: point.place, label: "Seed"}, (seed) => {
        point.place = seed;
        cards.changed();
      }, cards.refused, () => point.place);
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

  /** Say which waypoint it is, and offer what can be done with it. */
  describe(index, count) {
    const name = `waypoint ${index + 1}`;
    this.number.textContent = String(index + 1);
    this.element.setAttribute("aria-label", `Waypoint ${index + 1}, ${this.point.title}`);
    this.picture.setAttribute("aria-label", `The picture of ${name}`);
    if (!this.point.isFound) this.place.setAttribute("aria-label", `Seed of ${name}`);
    this.kind.setAttribute("aria-label", `Class of ${name}`);
    this.offer();
    for (const [button, label, possible] of [[this.left, `Move ${name} left`, index > 0],
                                             [this.remove, `Remove ${name}`, count > 2],
                                             [this.right, `Move ${name} right`, index < count - 1]]) {
      Object.assign(button, {title: label, disabled: !possible});
      button.setAttribute("aria-label", label);
    }
  }

  /** @param {ImageData} picture @param {?number} label the class that the server took */
  show(picture, label) {
    putPicture(this.picture, picture);
    this.offer(label);
  }

  /** Until its own picture comes, the one that stood in its place. @param {?Card} before */
  follow(before) {
    if (before) putPicture(this.picture, before.picture.getContext("2d").getImageData(
      0, 0, before.picture.width, before.picture.height));
  }

  /** The classes to choose from. @param {?number} label the class that the seed picks, if it is known */
  offer(label = null) {
    const {classes} = this.cards;
    this.kind.hidden = !classes.length;
    if (!classes.length) return;
    const picked = this.point.label === null ? [["", label === null ? "auto" : `auto: ${classes[label]}`]]
      : this.point.isFound ? [] : [["", "auto"]];
    this.kind.replaceChildren(...[...picked, ...classes.map((name, i) => [String(i), name])]
      .map(([value, name]) => make("option", {value}, name)));
    this.kind.value = this.point.label === null ? "" : String(this.point.label);
  }
}

class Cards {
  /**
   * @param {HTMLElement} place
   * @param {() => void} changed after a visitor's change
   * @param {(sentence: string) => void} refused
   */
  constructor(place, changed, refused) {
    Object.assign(this, {place, refused});
    this.changed = () => {
      for (const {point} of this.cards) point.filler = false;
      changed();
    };
    this.plus = make("button", {type: "button", class: "interpolate-plus", "aria-label": "Add a seed",
                                title: "Add a seed", onclick: () => this.add(new Point(randomSeed()))},
                     make("span", {"aria-hidden": "true"}, "+"));
    Object.assign(this, {cards: [], classes: []});
  }

  get points() {
    return this.cards.map(({point}) => point);
  }

  /** Show these waypoints; cards of those that stay are kept. `classes` are the names of the model's, if known. */
  open(points) {
    const before = this.cards;
    this.cards = points.map((point, i) => {
      const found = before.find((card) => card.point === point), card = found || new Card(point, this);
      if (!found) card.follow(before[i]);
      return card;
    });
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
    this.open(this.points.map((point) => point.isFound ? point : new Point(randomSeed(), point.label)));
    this.changed();
  }

  /** @param {Film} film @param {(?number)[]} labels */
  show(film, labels) {
    this.cards.forEach((card, i) => card.show(film.at(film.positionOf(i)), labels[i]));
  }
}
