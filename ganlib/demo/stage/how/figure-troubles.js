// Figure 8: the recorded film of a trouble beside that of its cure, played in step. Stills of their last frames are in
// the page; the films are fetched when the figure is first shown.
// place.dataset: name (of the trouble), position and frames (of both films), step, playing, loaded ("true" once both
// films are there).

const LAYERS = ["real", "generated", "learned", "density"];
const EVERY = 160;  // milliseconds that a frame is shown
const COLOURS = {trouble: "#dc2626", cure: "#16a34a"};
const CHART_HEIGHT = 104;
const SAID = {
  loading: "The films are loading.",
  none: "The films are not on this server.",
  end: (steps, trouble, cure) => `After ${steps.toLocaleString("en")} steps: ${trouble}. With the cure: ${cure}.`,
};

/** @returns {string} a distance, as exact as it means something */
function rounded(distance) {
  return distance < 99 ? distance.toPrecision(2) : String(Math.round(distance));
}

/** @returns {[string, string]} what is counted of the target: modes where it has some, else how much of it is covered */
function coverage({modes, centres, overlap}) {
  if (modes !== undefined) return ["modes", `${modes} of ${centres}`];
  return ["covered", `${Math.round(100 * overlap)}%`];
}

function inWords({distance, numbers}) {
  const [name, value] = coverage(numbers);
  return `distance ${rounded(distance)}, ${name === "modes" ? `${value} modes` : `${value} of the target covered`}`;
}

/** One of both films: its title, its picture, its numbers, and the way to the lab. */
class Side {
  /** @param {"trouble" | "cure"} role */
  constructor(role) {
    this.view = new FilmView(LAYERS);
    this.title = make("h3", {});
    [this.distance, this.covered, this.right] = [0, 1, 2].map(() => make("strong"));
    this.coveredName = make("span");
    const row = (name, value) => make("div", {}, make("dt", {}, name), make("dd", {}, value));
    this.element = make("div", {class: `how-troubles-side how-troubles-${role}`},
      make("div", {class: "how-troubles-head"}, make("small", {}, role), this.title), this.view.element,
      make("dl", {}, row("distance", this.distance), row(this.coveredName, this.covered),
           row("D is right", this.right)),
      make("button", {type: "button", onclick: () => goTo("lab", {story: this.story.name})},
           "Train it live in the Lab"));
  }

  /** @param {Object} story a row of PAGE.troubles @param {Film} film */
  open(story, film) {
    Object.assign(this, {story, film});
    this.title.textContent = story.title;
  }

  /** @param {number} position @param {number} length milliseconds */
  show(position, length) {
    const {header} = this.film.frames[position], {distance, numbers} = header;
    this.view.show(this.film, position, length);
    this.distance.textContent = rounded(distance);
    [this.coveredName.textContent, this.covered.textContent] = coverage(numbers);
    this.right.textContent = `${Math.round(100 * numbers.accuracy)}%`;
    this.view.canvas.setAttribute("aria-label", `${this.story.title}. ${header.verdict}`);
  }
}

class Troubles {
  constructor(place, wire) {
    Object.assign(this, {place, wire, sides: [new Side("trouble"), new Side("cure")], films: new Map(), position: 0,
                         playing: false, timer: 0, due: 0, isShown: false, loading: new Set()});
    const choices = PAGE.troubles.map(([{name, title}]) => [name, title]);
    this.chips = new Chips("Trouble", choices, (name) => this.choose(name));
    this.button = make("button", {type: "button", class: "stage-primary how-troubles-play",
                                  onclick: () => this.toggle()});
    this.time = make("input", {type: "range", min: 0, step: 1, "aria-label": "Time",
                               oninput: () => this.scrub(Number(this.time.value))});
    this.step = make("output");
    this.chart = make("canvas", {role: "img"});
    this.legend = make("figcaption");
    this.chance = filmEntry("map", "D(x)");
    this.end = make("p", {class: "how-troubles-end"});
    const note = make("p", {class: "stage-note", role: "status"});
    this.waiting = new Waiting(note, SAID.loading);
    place.append(this.chips.element, make("div", {class: "how-troubles-time"}, this.button, this.time, this.step),
      make("div", {class: "how-troubles-sides"}, ...this.sides.map(({element: side}) => side)),
      make("div", {class: "how-troubles-legend"}, filmEntry("real", "real"), filmEntry("fake", "generated"),
           this.chance),
      make("figure", {class: "how-troubles-chart"}, this.legend, this.chart), this.end, note);
    new ResizeObserver(() => requestAnimationFrame(() => this.draw())).observe(this.chart);
    this.chart.addEventListener("pointerdown", ({offsetX}) =>
      this.scrubToStep(stepAt(offsetX, this.chart.clientWidth, this.steps)));
    this.sides[0].view.redrawn = () => this.draw();
    this.choose(PAGE.troubles[0][0].name);
  }

  get last() {
    return this.sides[0].film.frames.length - 1;
  }

  get steps() {
    return this.pair[0].steps;
  }

  show() {
    this.isShown = true;
    for (const {view} of this.sides) view.redraw();
    this.load();
  }

  hide() {
    this.isShown = false;
    this.pause();
    for (const {view} of this.sides) view.stop();
  }

  /** Show a trouble and its cure: the stills first, then the films. */
  async choose(name) {
    this.pause();
    this.pair = PAGE.troubles.find(([trouble]) => trouble.name === name);
    this.chips.show(name);
    const {pair} = this, stills = await Promise.all(pair.map(({still}) => readFilm(fromBase64(still))));
    if (this.pair !== pair || this.isOpen(name)) return;  // the films may have come before the stills were read
    this.open(this.films.get(name) ?? stills);
    if (this.isShown) this.load();
  }

  /** @param {Film[]} films of the trouble and the cure */
  open(films) {
    const [name] = this.pair.map((story) => story.name);
    this.sides.forEach((side, i) => side.open(this.pair[i], films[i]));
    const isWhole = this.films.get(name) === films, ends = films.map((film) => inWords(film.last.header));
    this.end.textContent = SAID.end(this.steps, ...ends);
    this.time.max = String(this.last);
    this.chance.firstChild.className = films[0].opening.header.kind === "line" ? "how-film-curve" : "how-film-map";
    this.time.disabled = !isWhole;
    Object.assign(this.place.dataset, {name, frames: films[0].frames.length, loaded: String(isWhole)});
    this.scrub(this.last);
  }

  /** @returns {boolean} whether the films of a trouble and its cure, not their stills, are what is shown */
  isOpen(name) {
    const {dataset} = this.place;
    return dataset.loaded === "true" && dataset.name === name;
  }

  /** Fetch the films of the present pair once, and play them. */
  async load() {
    const {pair} = this, [{name}] = pair;
    if (this.loading.has(name) || this.isOpen(name)) return;
    this.loading.add(name);
    const films = await this.waiting.during(() => this.fetch(pair),
      {again: () => this.load(), source: this, wanted: () => this.pair === pair});
    this.loading.delete(name);
    if (!films) return;
    this.films.set(name, films);
    if (this.pair !== pair) return;
    this.open(films);
    if (this.isShown && (moves() || this.wanted)) this.play();
  }

  async fetch(pair) {
    const films = [];
    for (const {name} of pair) {
      const {film} = await this.wire.call("how_film", {name});
      films.push(await readFilm(fromBase64(film)));
    }
    return films;
  }

  toggle() {
    if (this.playing) this.pause();
    else this.play();
  }

  play() {
    this.wanted = this.place.dataset.loaded !== "true";  // to play as soon as it is loaded
    if (this.wanted) return this.load();
    if (this.position >= this.last) this.go(0, 0);
    this.playing = true;
    this.due = performance.now() + EVERY;
    this.tell();
    this.tick();
  }

  pause() {
    cancelAnimationFrame(this.timer);
    Object.assign(this, {playing: false, wanted: false});
    this.tell();
  }

  tick() {
    this.timer = requestAnimationFrame((now) => {
      if (now >= this.due) {
        this.due = Math.max(this.due + EVERY, now);
        this.go(this.position + 1, EVERY);
      }
      if (this.position >= this.last) this.pause();
      if (this.playing) this.tick();
    });
  }

  /** Show a frame of both films, and stay there. */
  scrub(position) {
    this.pause();
    this.go(position, 0);
  }

  scrubToStep(step) {
    if (this.place.dataset.loaded === "true") this.scrub(this.sides[0].film.nearest(step));
  }

  go(position, length) {
    this.position = position;
    for (const side of this.sides) side.show(position, length);
    const {step} = this.sides[0].film.frames[position].header, words = `step ${step.toLocaleString("en")}`;
    this.time.value = String(position);
    this.time.style.setProperty("--stage-share", `${100 * position / Math.max(1, this.last)}%`);
    this.time.setAttribute("aria-valuetext", words);
    this.step.textContent = words;
    Object.assign(this.place.dataset, {position, step});
    this.draw();
  }

  tell() {
    this.button.textContent = this.playing ? "Pause" : "Play";
    this.button.classList.toggle("how-troubles-on", this.playing);
    this.place.dataset.playing = String(this.playing);
  }

  /** Both distances over the steps, with the present moment. */
  draw() {
    const width = this.chart.clientWidth, films = this.sides.map(({film}) => film);
    if (!width || !films[0]) return;
    const colours = coloursNow(), [{header}] = [films[0].frames[this.position]];
    const series = Object.entries(COLOURS).map(([label, colour], i) =>
      ({label, colour, points: seriesOf(films[i].frames, "distance")}));
    const level = {value: header.distance_of_real, label: "as many real samples"};
    drawChart(this.chart, width, CHART_HEIGHT,
              {series, levels: [level], colours, log: true, end: this.steps, now: header.step});
    legendOnce(this.legend, "Distance to the target", [...series, level], films[0].opening.header.unit);
    this.chart.setAttribute("aria-label", `Distance to the target over the steps. ${this.end.textContent}`);
  }
}

FIGURES.troubles = (place, wire) => {
  if (PAGE.troubles.length) return new Troubles(place, wire);
  place.append(make("p", {class: "stage-note stage-wrong"}, SAID.none));
  return {show() {}, hide() {}};
};
