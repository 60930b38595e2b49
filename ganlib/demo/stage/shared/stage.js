// What a stage has to do with the rest of the page: states that come in, other tabs, links, models, pictures.

/** @returns {Object<string, HTMLElement>} the elements of a stage by their data-part */
function partsOf(root) {
  return Object.fromEntries([...root.querySelectorAll("[data-part]")].map((part) => [part.dataset.part, part]));
}

/**
 * Open each state that a link, a passport or another tab brings, also one that came before the stage was there.
 * @param {(values: Object<string, *>) => void} open
 */
function onState(open) {
  let last = 0;
  const look = () => {
    const value = props.value;
    if (!value || typeof value !== "object" || !value.state || value.at === last) return;
    last = value.at;
    open(value.state);
  };
  watch("value", look);
  look();
}

/** Open a state of a tab. @param {string} tab its name in links @param {Object<string, *>} values */
function goTo(tab, values) {
  trigger("go", {tab, ...values});
}

/** @returns {boolean} whether the visitor sees the stage */
function isSeen(root) {
  return !document.hidden && root.offsetParent !== null;
}

/** A button that copies the link to the stage's state, with a field where it cannot be copied. */
class LinkButton {
  /** @param {HTMLElement} place @param {() => Object<string, *>} values of the link, or a
   *     promise of them; of null where there are none now @param {HTMLElement[]} others beside it */
  constructor(place, values, ...others) {
    const field = make("input", {type: "text", readonly: true, hidden: true, class: "stage-link", "aria-label": "Link",
                                 onfocus: () => field.select()});
    const told = make("p", {class: "stage-told", role: "status"});
    const button = make("button", {type: "button", title: "A link that opens this tab as it is now", onclick: async () => {
      const found = await values();
      if (!found) return;
      const copied = await copyText(addressOf(PAGE, linkQuery({tab: PAGE.tab, ...found})), field);
      told.textContent = copied ? WORDS.copied : WORDS.selected;
    }}, "Copy link");
    place.append(make("div", {class: "stage-bar"}, button, ...others), field, told);
  }
}

/** The choice among models: the page's own ones, and those that the visitor opened. */
class ModelChoice {
  /** @param {HTMLElement} place @param {string[]} names @param {(name: string) => void} chosen */
  constructor(place, names, chosen) {
    Object.assign(this, {names: [...names], chosen, value: names[0]});
    this.place = make("div");
    place.append(make("div", {class: "stage-head"}, make("span", {class: "stage-label"}, "Model")), this.place);
    this.draw();
  }

  draw() {
    const chips = new Chips("Model", this.names.map((name) => [name, name]), (name) => {
      this.value = name;
      this.chosen(name);
    });
    chips.show(this.value);
    this.place.replaceChildren(chips.element);
  }

  /** Show a model as chosen, without calling `chosen`. */
  show(name) {
    if (!this.names.includes(name)) this.names.push(name);
    this.value = name;
    this.draw();
  }
}

/**
 * Pictures that the server sent.
 * @param {{pixels: string, count: number, height: number, width: number, channels: number}} answer
 * @returns {ImageData[]}
 */
function picturesOf({pixels, count, height, width, channels}) {
  const bytes = new Uint8Array(fromBase64(pixels)), size = height * width;
  return Array.from({length: count}, (_, n) => {
    const picture = new ImageData(width, height);
    for (let i = 0; i < size; i++) {
      const from = (n * size + i) * channels;
      for (let c = 0; c < 3; c++) picture.data[4 * i + c] = bytes[from + (channels === 3 ? c : 0)];
      picture.data[4 * i + 3] = 255;
    }
    return picture;
  });
}

/** Draw a picture into a canvas of the class "stage-pixels", pixel by pixel; CSS enlarges it without blur. */
function putPicture(canvas, picture) {
  if (canvas.width !== picture.width || canvas.height !== picture.height) {
    [canvas.width, canvas.height] = [picture.width, picture.height];
  }
  canvas.getContext("2d").putImageData(picture, 0, 0);
}
