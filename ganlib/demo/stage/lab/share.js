// What a visitor takes away: a link, a picture, a film; and what a link hides.

class Share {
  /**
   * @param {HTMLElement} place
   * @param {Object} page
   * @param {{link: (hide: string[]) => string, picture: () => void, film: () => void}} actions
   */
  constructor(place, page, actions) {
    this.actions = actions;
    this.boxes = [];
    this.field = make("input", {type: "text", readonly: true, hidden: true, class: "stage-link", "aria-label": "Link",
                                onfocus: () => this.field.select()});
    this.told = make("p", {class: "stage-told", role: "status"});
    const button = (label, title, onclick) => make("button", {type: "button", title, onclick}, label);
    place.append(make("div", {class: "stage-bar"},
      button("Copy link", "A link that opens the lab at this moment, with these settings", () => this.copy()),
      button("Save picture", "The picture above as a PNG file", actions.picture),
      button("Save film", "The film as an animated GIF file", actions.film)),
    this.field, this.told, this.exercise(page));
  }

  /** What the link hides, as boxes to tick. */
  exercise(page) {
    const rows = page.controls.map(({name, label}) => [name, label]);
    const box = (name, label) => {
      const input = make("input", {type: "checkbox", value: name});
      this.boxes.push(input);
      return make("label", {class: "lab-tick"}, input, label);
    };
    const all = new Map([...Object.entries(HIDEABLE), ["target", "Target"], ...rows]);
    const labels = [...all].map(([name, label]) => box(name, label));
    return make("details", {class: "lab-exercise"}, make("summary", {}, "Make an exercise: hide parts in the link"),
                make("div", {class: "lab-ticks"}, ...labels));
  }

  /** @returns {string[]} names of what the link hides */
  get hide() {
    return this.boxes.filter(({checked}) => checked).map(({value}) => value);
  }

  set hide(names) {
    for (const box of this.boxes) box.checked = names.includes(box.value);
  }

  async copy() {
    const copied = await copyText(this.actions.link(this.hide), this.field);
    this.told.textContent = copied ? WORDS.copied : WORDS.selected;
  }
}
