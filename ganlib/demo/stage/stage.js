// The state of the lab and its wiring: which film is shown, what is asked of the server, what each button does.

const DRAWERS = {line: LINE, plane: PLANE, digits: DIGITS};
const KEPT_EVERY = 50;  // milliseconds a kept frame is shown
const FIRST_SPEED = 5, LINK_FRAMES = 60, STORY_FRAMES = 100;
const SENTENCES = {
  recorded: "Recorded film. Press Train to train it live.",
  restart: "A new setting starts the film again at step 0.",
  loading: "The film is loading.",
  end: "The film is at its longest. Press Reset to begin again.",
  again: "Change a setting, or go back in time.",
  retry: "Press Play to try again.",
};

class Stage {
  /** @param {HTMLElement} root @param {Object} server its functions @param {Object} page the table of the page */
  constructor(root, server, page) {
    Object.assign(this, {root, page, parts: {}, wire: new Wire(server), tween: new Tween(), touched: new Set()});
    for (const part of root.querySelectorAll("[data-part]")) this.parts[part.dataset.part] = part;
    Object.assign(this, {film: null, next: null, position: 0, playing: false, ticking: false, due: 0, stops: 0, turn: 0,
                         todo: [], drawn: 0, arrivedAt: 0, interval: 50, speed: FIRST_SPEED, inView: true,
                         consent: false, told: false, loading: false, key: null, title: "", story: null});
    this.on = Object.fromEntries(Object.entries(DRAWERS).map(([kind, {layers}]) =>
      [kind, new Set(layers.filter(([, , , first]) => first).map(([name]) => name))]));
    this.panel = new Panel(this.parts);
    const {parts} = this;
    this.controls = new Controls(parts.controls, page, (name, value) => this.change(name, value),
                                 () => this.drawAgain());
    this.stories = new Stories(parts.stories, page, (film) => this.openFilm(film, true), (story) => this.tell(story));
    this.sketch = new SketchPad(parts.sketch, page.limits, (target, drawn) => this.drew(target, drawn),
                                () => this.undraw());
    this.share = new Share(parts.share, page, {link: (hide) => this.link(hide), picture: () => this.savePicture(),
                                               film: () => this.saveFilm()});
    this.listen();
  }

  // ---- what is shown ----

  /** The film that grows: the one that waits for its first frame, or the one that is shown. */
  get live() {
    return this.next ?? this.film;
  }

  get settings() {
    return this.live?.settings;
  }

  get drawer() {
    return DRAWERS[this.film.opening.header.kind];
  }

  get layers() {
    return this.on[this.film.opening.header.kind];
  }

  get atEnd() {
    return this.position >= this.film.frames.length - 1;
  }

  isVisible() {
    return !document.hidden && this.inView && this.root.offsetParent !== null;
  }

  /** Show this film from now on, at one of its frames. */
  adopt(film, position) {
    const same = this.film?.opening?.header.kind === film.opening.header.kind;
    Object.assign(this, {film, next: null});
    if (!same) this.tween.to = null;
    this.root.dataset.kind = film.opening.header.kind;
    this.parts.train.hidden = !film.recorded;
    showLayers(this.parts.layers, this.drawer, this.layers, () => this.paint());
    this.show(position, 0);
  }

  /** Show a frame; points move there over so many milliseconds. */
  show(position, length) {
    const now = performance.now(), moment = this.film.frames[position];
    this.position = position;
    this.shown = moment;
    this.shapes = unpack(moment.buffer).shapes;
    this.tween.go(moment.arrays, this.drawer.moving, this.playing && moves() ? length : 0, now);
    this.panel.show(this.film, position, this.titleNow, now, !this.playing);
    this.drawn += 1;
    this.paint(now);
    this.wake();
  }

  get titleNow() {
    return this.title || this.controls.target(this.film.settings.target)?.label || "";
  }

  /** Draw the present arrays on the canvas. */
  paint(now = performance.now()) {
    if (!this.film) return;
    const width = this.parts.picture.clientWidth;
    if (!width) return;
    const height = Math.round(width * this.drawer.aspect(this.film.opening, width)), {canvas} = this.parts;
    if (canvas.style.height !== `${height}px`) canvas.style.height = `${height}px`;
    this.render(sized(canvas, width, height), this.tween.at(now), width, height, density());
  }

  /** Draw arrays of the shown film anywhere. */
  render(context, arrays, width, height, scale) {
    const colours = coloursNow();
    context.fillStyle = colours.ground;
    context.fillRect(0, 0, width, height);
    this.drawer.draw(context, {opening: this.film.opening, arrays, shapes: this.shapes, layers: this.layers, colours,
                               width, height, scale});
  }

  /** Draw all again, after the size or the theme has changed. */
  redraw() {
    this.sketch.draw();
    if (!this.film) return;
    this.paint();
    this.panel.showCharts(this.film, this.shown.header);
  }

  /** A sentence under the picture, with a button where there is something to agree to. */
  note(sentence, {wrong = false, button = null} = {}) {
    this.parts.note.replaceChildren(sentence, ...button ? [" ", button] : []);
    this.parts.note.classList.toggle("lab-wrong", wrong);
  }

  /** A title and what there is to watch, above the picture; nothing without a title. @param {string[]} sentences */
  watch(title, sentences) {
    this.title = title;
    this.parts.watch.hidden = !title;
    this.parts.watch.replaceChildren(make("strong", {}, title), ` ${sentences.join(" ")}`);
  }

  catching(words, done, of) {
    const [bar, text] = this.parts.catching.children;
    this.parts.catching.hidden = !words;
    bar.value = of ? done / of : 0;
    text.textContent = words;
  }

  showPlaying() {
    const {play} = this.parts;
    play.textContent = this.playing ? "Pause" : "Play";
    play.classList.toggle("lab-on", this.playing);
    this.root.dataset.playing = String(this.playing);
  }

  // ---- time ----

  wake() {
    if (this.ticking || !(this.playing || this.tween.from)) return;
    this.ticking = true;
    const tick = () => this.tick(performance.now());
    if (this.isVisible()) requestAnimationFrame(tick);
    else setTimeout(tick, 200);
  }

  tick(now) {
    this.ticking = false;
    if (!this.root.isConnected) return;
    if (this.isVisible()) {
      if (this.tween.from) this.paint(now);
      if (this.playing) this.advance(now);
    }
    this.wake();
  }

  /** Show the next kept frame when it is time; at the end ask for another. */
  advance(now) {
    if (now < this.due || this.sketch.active) return;
    if (this.next || !this.film || this.atEnd) this.goOn();
    else {
      this.due = now + KEPT_EVERY - Math.min(10, Math.max(0, now - this.due));
      this.show(this.position + 1, KEPT_EVERY);
    }
  }

  play() {
    if (!this.live) return this.openFirst(true);
    if (!this.live.recorded && this.blocked(this.settings, () => this.play())) return;
    if (this.live.recorded && this.atEnd) this.show(0, 0);
    this.note(this.live.recorded ? SENTENCES.recorded : "");
    this.playing = true;
    this.showPlaying();
    this.wake();
  }

  pause() {
    this.playing = false;
    this.stops += 1;
    this.showPlaying();
    if (this.film) this.panel.show(this.film, this.position, this.titleNow, performance.now(), true);
  }

  /** Go to a kept frame. */
  scrub(position) {
    if (!this.film) return;
    this.pause();
    this.show(Math.min(this.film.frames.length - 1, Math.max(0, position)), 0);
  }

  /** Go to the first kept frame that is as late as this step. */
  scrubTo(step) {
    const position = this.film?.frames.findIndex(({header}) => header.step >= step) ?? 0;
    this.scrub(position < 0 ? Infinity : position);
  }

  // ---- training ----

  /** Begin a film with these settings. The shown one stays until the first frame is here. */
  start(settings, {plan = null, play = false} = {}) {
    this.turn += 1;
    this.stops += 1;
    if (this.blocked(settings, () => this.start(settings, {plan, play: true}))) return this.stay();
    this.next = new Film(settings);
    this.next.plan = plan;
    this.todo = [];
    this.playing = play;
    this.showPlaying();
    this.controls.show(settings);
    this.note("");
    this.extend([]);
    this.wake();
  }

  /** Keep what is shown, because something else cannot begin; where digits are off, show their film. */
  stay() {
    this.pause();
    if (this.live) this.controls.show(this.settings);
    const {digits: {off}, films} = this.page, film = films.find(({target}) => target === "digits");
    if (off && film && this.film?.settings.target !== "digits") {
      this.openFilm(film, true).then(() => this.note(off, {wrong: true}));
    }
  }

  /** Whether these settings cannot be trained here yet; the reason is then shown. @param {() => void} again */
  blocked(settings, again) {
    const {digits} = this.page;
    if (settings.target !== "digits" || !digits || digits.download && this.consent) return false;
    if (digits.off) this.note(digits.off, {wrong: true});
    else this.askToDownload(digits.download, again);
    return true;
  }

  /** Show what would be downloaded. @param {() => void} again is called once the visitor agrees */
  askToDownload(sentence, again) {
    const agree = () => {
      this.consent = true;
      this.note("");
      again();
    };
    this.note(sentence, {button: make("button", {type: "button", onclick: agree}, "Download and train")});
  }

  /** Ask the server for the frame at a goal. */
  async extend(goal) {
    const film = this.live, stops = this.stops;
    if (film.asking) return;
    film.asking = true;
    const wanted = async () => await this.whenVisible() && this.live === film && (!film.last || this.stops === stops);
    const progress = (done, of) => this.catching(of ? `Catching up: ${done.toLocaleString("en")} of ` +
      `${of.toLocaleString("en")} steps` : "The server gets ready", done, of);
    try {
      const answer = await this.wire.frame({settings: film.settings, goal, opening: !film.opening,
                                            download: this.consent}, wanted, progress);
      film.asking = false;
      if (answer && this.live === film) this.arrived(film, answer);
    } catch (error) {
      film.asking = false;
      if (this.live === film) this.fail(error);
    }
    if (this.live === film && !film.asking) this.catching("");
  }

  async whenVisible() {
    while (this.root.isConnected && !this.isVisible()) await sleep(200);
    return this.root.isConnected;
  }

  arrived(film, {frame, opening}) {
    const followed = this.next === film || this.atEnd;  // else the visitor has gone back in time
    if (opening) film.open(opening);
    film.add(frame);
    this.measure();
    const shows = followed || this.todo.length > 0;
    this.todo.shift();
    if (this.todo.length || this.playing) this.goOn();
    // drawn after the next request has been sent, so that the server trains meanwhile
    setTimeout(() => this.showEnd(film, shows));
  }

  /** Show the last frame of a film, or only that the film has grown. */
  showEnd(film, shows) {
    if (this.live !== film) return;
    const end = film.frames.length - 1;
    if (this.next === film) this.adopt(film, end);
    else if (shows && this.shown !== film.last) this.show(end, this.interval);
    else this.panel.showTime(film, this.position = film.placeOf(this.shown));
  }

  /** How long a frame lasts, as a moving average. */
  measure() {
    const now = performance.now(), last = now - this.arrivedAt;
    this.arrivedAt = now;
    if (last < 2_000) this.interval = Math.min(600, Math.max(16, 0.7 * this.interval + 0.3 * last));
  }

  /** Ask for the next frame of the film, if there is one. */
  goOn() {
    const film = this.live;
    if (film.asking) return;
    if (!film.last) return this.extend([]);
    if (this.todo.length) return this.extend(withAction(film.actions, this.todo[0], 1));
    const goal = film.recorded ? null : this.goalOf(film);
    if (goal) this.extend(goal);
    else this.pause();
  }

  /** @returns {Action[] | null} the actions until the next frame; null where the film pauses */
  goalOf(film) {
    if (film.plan) {
      const goal = film.planned();
      if (!goal) film.plan = null;
      return goal;
    }
    const room = this.page.limits.steps - film.last.header.step;
    if (room <= 0) this.note(SENTENCES.end);
    return room > 0 ? withAction(film.actions, "both", Math.min(this.speed, room)) : null;
  }

  /** One step of both networks, or of one of them, at the end of the film. */
  step(who) {
    this.pause();
    if (!this.live || this.live.recorded) {
      if (!this.live) return;
      this.start(this.settings);
      if (!this.next) return;
    }
    this.live.plan = null;
    if (this.live.last && !this.atEnd && !this.next) this.show(this.film.frames.length - 1, 0);
    this.todo.push(who);
    this.goOn();
  }

  fail(error) {
    this.todo = [];
    this.pause();
    if (error.cause === "download") return this.askToDownload(error.message, () => this.play());
    const advice = {server: SENTENCES.again, connection: ""}[error.cause] ?? SENTENCES.retry;
    this.note(`${error.message} ${advice}`.trim(), {wrong: true});
  }

  /** @param {number} speed steps a frame, from the next frame on */
  setSpeed(speed) {
    this.speed = speed;
    this.parts.speed.value = String(speed);
    if (this.live?.plan) this.live.plan.chunk = speed;
  }

  // ---- settings ----

  change(name, value) {
    if (name === "target") return this.retarget(value);
    this.closeSketch();
    this.touched.add(name);
    this.restart({...this.settings, [name]: value});
  }

  /** Begin again with other settings, and say once that this is so. */
  restart(settings) {
    this.forget();
    this.start(settings, {play: this.playing});
    if (this.next && !this.told) this.note(SENTENCES.restart);
    this.told = this.told || this.next !== null;
  }

  /** This is no longer the film or story that was chosen. */
  forget() {
    Object.assign(this, {key: null, story: null});
    this.stories.mark(null);
    this.watch("", []);
  }

  /** The target's own settings, with what the visitor has set by hand. */
  settingsFor(target) {
    const shared = this.controls.of(target).filter(({name, targets}) => !targets && this.touched.has(name));
    const kept = shared.map((control) => {
      const value = this.settings[control.name];
      return [control.name, control.type === "choice" ? value : allowed(control, value)];
    });
    return {...this.page.defaults[target], ...Object.fromEntries(kept)};
  }

  retarget(target) {
    if (target in SKETCHES) return this.openSketch(target, null);
    this.closeSketch();
    this.restart(this.settingsFor(target));
  }

  openSketch(target, drawn) {
    this.wasPlaying = this.playing;
    this.pause();
    this.note("");
    this.root.dataset.sketching = "true";
    this.sketch.open(target, drawn);
  }

  closeSketch() {
    delete this.root.dataset.sketching;
    if (this.sketch.active) this.sketch.close();
  }

  drawAgain() {
    this.openSketch(this.settings.target, this.settings.drawn);
  }

  undraw() {
    this.closeSketch();
    if (this.live) this.controls.show(this.settings);
    if (this.wasPlaying) this.play();
  }

  drew(target, drawn) {
    this.closeSketch();
    this.playing = true;
    const settings = this.settings.target === target ? this.settings : this.settingsFor(target);
    this.restart({...settings, drawn});
  }

  // ---- recorded films, stories, links ----

  async openFirst(byHand = false) {
    const first = this.page.films.find(({name}) => name === this.page.first) ?? this.page.films[0];
    if (first) await this.openFilm(first, byHand);
    else this.start(this.page.defaults[this.page.targets.find(({kind}) => kind === "plane").name]);
  }

  /** Load a recorded film, and play it unless nothing may move by itself. */
  async openFilm({name, title, target, sentence}, byHand) {
    const turn = this.turn += 1;
    this.loading = true;
    this.closeSketch();
    this.pause();
    this.note(SENTENCES.loading);
    try {
      const film = await this.wire.film(name);
      if (turn === this.turn) this.showFilm(film, `film:${name}`, title, sentence, byHand || moves());
    } catch (error) {
      if (turn !== this.turn) return;
      this.fail(error);
      if (!this.live && target !== "digits") this.start(this.page.defaults[target]);
    } finally {
      this.loading = false;
    }
  }

  showFilm(film, key, title, sentence, play) {
    this.touched.clear();
    Object.assign(this, {key, story: null});
    this.stories.mark(key);
    this.watch(title, [sentence]);
    this.controls.show(film.settings);
    this.adopt(film, play ? 0 : film.frames.length - 1);
    this.note(SENTENCES.recorded);
    if (play) this.play();
  }

  /** Play a story live to its end. */
  tell(story) {
    this.closeSketch();
    this.touched.clear();
    Object.assign(this, {key: `story:${story.name}`, story});
    this.stories.mark(this.key);
    this.watch(story.title, story.watch);
    this.setSpeed(this.page.speeds.find((speed) => speed * STORY_FRAMES >= story.steps) ?? this.page.speeds.at(-1));
    this.start(story.settings, {plan: {goal: [["both", story.steps]], chunk: this.speed}, play: true});
  }

  /** @param {string[]} hide @returns {string} the address of this moment */
  link(hide) {
    const settings = this.film?.settings ?? this.settings, actions = this.shown?.header.actions ?? [];
    const story = this.story && sameSetting(actions, [["both", this.story.steps]]) ? this.story : null;
    return addressOf(this.page, encodeLink(this.page, settings, actions, hide, story));
  }

  /** Do what the address says; without a word in it, play the first film. */
  async openLink(search) {
    const {story, settings, actions, hide, wrong} = decodeLink(this.page, search, (target) => this.controls.of(target));
    this.hide(hide);
    if (story) this.tell(story);
    else if (settings) {
      const plan = actions.length ? {goal: actions, chunk: Math.ceil(countOf(actions) / LINK_FRAMES)} : null;
      this.start(settings, {plan, play: plan !== null});
    }
    const kept = settings ?? story?.settings;
    if (!this.live && !this.loading) {
      await this.openFirst();
      if (kept) this.blocked(kept, () => this.start(kept, {play: true}));  // says again what is missing
    }
    if (wrong.length) this.note(`The link has no valid ${wrong.join(", ")}. The default is used.`, {wrong: true});
  }

  hide(names) {
    this.share.hide = names;
    for (const name of names) this.controls.hidden.add(name);
    for (const group of ["controls", "stories", "layers"]) this.parts[group].hidden = names.includes(group);
    if (names.includes("draw")) this.controls.hideDrawing();
  }

  // ---- files ----

  /** @returns {HTMLCanvasElement} a frame with its caption */
  picture(moment, arrays, width, scale, lines) {
    const height = Math.round(width * this.drawer.aspect(this.film.opening, width));
    const caption = {title: this.titleNow, verdict: moment.header.verdict, lines};
    return captioned((context, w, h, s) => this.render(context, arrays, w, h, s),
                     {...caption, width, height, scale, colours: coloursNow()});
  }

  get fileName() {
    return `gan-lab-${this.film.settings.target}`;
  }

  async savePicture() {
    if (!this.film) return;
    const width = this.parts.picture.clientWidth || 560;
    const canvas = this.picture(this.shown, this.tween.at(performance.now()), width, 2, 3);
    download(await toBlob(canvas, "image/png"), `${this.fileName}-${this.shown.header.step}.png`);
  }

  async saveFilm() {
    if (!this.film || this.saving) return;
    this.pause();
    this.saving = true;
    try {
      const render = (moment) => this.picture(moment, moment.arrays, GIF_WIDTH, 1, 3);
      const frames = await renderFilm(this.film.frames, render, (share) => this.catching("Drawing the film", share, 1));
      this.catching("Making the GIF", 1, 1);
      const bytes = await this.wire.gif(frames, GIF_MILLISECONDS);
      download(new Blob([bytes], {type: "image/gif"}), `${this.fileName}.gif`);
    } catch (error) {
      this.note(error.message, {wrong: true});
    }
    this.saving = false;
    this.catching("");
  }

  // ---- wiring ----

  listen() {
    const {parts} = this, click = (name, action) => parts[name].addEventListener("click", action);
    click("play", () => this.playing ? this.pause() : this.play());
    click("train", () => this.start(this.settings, {play: true}));
    click("reset", () => this.film?.recorded && !this.next ? this.scrub(0) : this.live && this.start(this.settings));
    for (const who of Object.keys(LETTERS)) click(who, () => this.step(who));
    parts.time.addEventListener("input", () => this.scrub(Number(parts.time.value)));
    parts.speed.append(...this.page.speeds.map((speed) =>
      make("option", {value: speed}, `${speed} ${speed === 1 ? "step" : "steps"} a frame`)));
    this.setSpeed(this.speed);
    parts.speed.addEventListener("change", () => this.setSpeed(Number(parts.speed.value)));
    this.root.addEventListener("keydown", (event) => this.press(event));
    // a change of the theme changes the canvas's text colour, which has a transition for this purpose
    parts.canvas.addEventListener("transitionend", () => this.redraw());
    for (const name of ["losses", "distance"]) {
      parts[name].addEventListener("pointerdown", (event) => this.scrubTo(stepAt(event.offsetX, parts[name].clientWidth,
        this.film?.last.header.step ?? 0)));
    }
    new ResizeObserver(() => requestAnimationFrame(() => this.redraw())).observe(parts.picture);
    new IntersectionObserver(([entry]) => {
      this.inView = entry.isIntersecting;
    }).observe(this.root);
  }

  /** Keys, where no field or button needs them. */
  press(event) {
    if (event.ctrlKey || event.altKey || event.metaKey || event.target.closest("input, select, textarea")) return;
    const keys = {ArrowLeft: () => this.scrub(this.position - 1), ArrowRight: () => this.scrub(this.position + 1),
                  Home: () => this.scrub(0), End: () => this.scrub(this.film ? this.film.frames.length - 1 : 0)};
    if (!event.target.closest("button, summary, a")) keys[" "] = () => this.playing ? this.pause() : this.play();
    if (this.sketch.active) return event.key === "Escape" ? this.undraw() : undefined;
    if (!Object.hasOwn(keys, event.key)) return;
    event.preventDefault();
    keys[event.key]();
  }
}

const root = element.querySelector(".lab");
const stage = new Stage(root, server, PAGE);
root.ganlab = {stage, unpack};  // for tests and for the curious
stage.showPlaying();
stage.openLink(window.location.search);
