// Points of latent space: seeds and found points as texts, "3", "3:7", "zTEXT", "zTEXT:7", which links and the server
// share. ganlib calls them waypoints.

class Point {
  /**
   * @param {string} place a seed, or "z" and the text of a found point
   * @param {?number} label its class; null: what the seed picks, or a model without classes
   * @param {boolean} filler whether it is a default that the visitor did not choose
   */
  constructor(place, label = null, filler = false) {
    Object.assign(this, {place, label, filler});
  }

  static parse(text, filler = false) {
    const [place, label] = String(text).split(":");
    return new Point(place, label === undefined ? null : Number(label), filler);
  }

  get isFound() {
    return this.place.startsWith("z");
  }

  get text() {
    return this.label === null ? this.place : `${this.place}:${this.label}`;
  }

  get title() {
    return this.isFound ? "found" : `seed ${this.place}`;
  }
}

function randomSeed() {
  return String(Math.floor(Math.random() * (PAGE.maxSeed + 1)));
}

/**
 * A field for a seed.
 * @param {{value: string, label: string, required: boolean}} field
 * @param {(seed: string) => void} chosen
 * @param {(sentence: string) => void} refused
 * @param {() => string} kept the seed that stays where none is chosen
 */
function seedField({value, label, required = true}, chosen, refused, kept) {
  const isWrong = () => !input.validity.valid && (input.value !== "" || input.validity.badInput);
  const input = make("input", {type: "number", min: 0, max: PAGE.maxSeed, step: 1, value, required, inputmode: "numeric",
                               "aria-label": label, oninput: () => {
    if (isWrong()) refused(WORDS.seeds(PAGE.maxSeed));
    else if (input.value !== "") chosen(String(Number(input.value)));
  }, onblur: () => {
    if (isWrong() || input.value === "") input.value = kept();
  }});
  return input;
}
