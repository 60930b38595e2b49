// The state of the lab and its wiring: which film is shown, what is asked of the server, what each button does.

const DRAWERS = {line: LINE, plane: PLANE, digits: DIGITS};
const KEPT_EVERY = 50;  // milliseconds a kept frame is shown
const FIRST_SPEED = 5, LINK_FRAMES = 60, STORY_FRAMES = 100;

class Stage {
  /** @param {HTMLElement} root @param {Object} server its functions @param {Object} page the table of the page */
  constructor(root, server, page) {
    Object.assign(this, {root, page, parts: {}, wire: new LabWire(server, SENTENCES.noAnswer), tween: new Tween(), touched: new Set()});
    for (const part of root.querySelectorAll("[data-part]")) this.parts[part.dataset.part] = part;
    Object.assign(this, {film: null, next: null, position: 0, playing: false, ticking: false, due: 0, stops: 0, turn: 0,
                         todo: [], drawn: 0, arrivedAt: 0, interval: 50, speed: FIRST_SPEED, inView: true,
                         digits: null, consent: false, told: false, wasPlaying: false, saving: false});
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
    const first = page.films.find(({name}) => name === page.first);
    if (first) this.controls.show(page.defaults[first.target]);  // so that they do not jump when the film is there
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
    const now = performance.now(), moment = this.film.frames[position], {arrays, shapes} = moment.pack;
    Object.assign(this, {position, shapes, shown: moment});
    this.tween.go(arrays, this.drawer.moving, this.playing && moves() ? length : 0, now);
    this.panel.show(this.film, position, this.titleNow, now, !this.playing);
    this.drawn += 1;
    this.paint(now);
    this.wake();
  }

  get titleNow() {
    return this.film.about.title || this.controls.target(this.film.settings.target)?.label || "";
  }

  /** Draw the present arrays on the canvas. */
  paint(now = performance.now()) {
    if (!this.film) return;
    const width = this.parts.picture.clientWidth;
    if (!width) return;
    const height = Math.round(width * this.drawer.aspect(this.film.opening, width)), {canvas} = this.parts;
    if (canvas.style.height !== `${height}px`) canvas.style.height = `${height}px`;
    const pack = {arrays: this.tween.at(now), shapes: this.shapes};
    render(sized(canvas, width, height), this.look, pack, {width, height, scale: density()});
  }

  /** @returns {Look} of the shown film; it stays the same when another one is chosen */
  get look() {
    return {film: this.film, drawer: this.drawer, layers: new Set(this.layers), title: this.titleNow,
            colours: coloursNow()};
  }

  /** Draw all again, after the size or the theme has changed. */
  redraw() {
    this.sketch.draw();
    colourMarks(this.parts.layers);
    if (!this.film) return;
    this.paint();
    this.panel.showCharts(this.film, this.shown.header);
  }

  /** A sentence under the picture, with a button where there is something to agree to. */
  note(sentence, {wrong = false, button = null} = {}) {
    this.parts.note.replaceChildren(sentence, ...button ? [" ", button] : []);
    this.parts.note.classList.toggle("stage-wrong", wrong);
  }

  /** Show what the live film is: its card, its title with what there is to watch, and its settings. */
  identify() {
    const {about: {key, title, sentences}, settings, recipe} = this.live;
    this.stories.mark(key);
    this.parts.watch.hidden = !title;
    this.parts.watch.replaceChildren(make("strong", {}, title), ` ${sentences.join(" ")}`);
    this.controls.show(settings, recipe);
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
    this.live.quiet = false;
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

  /**
   * Begin a film with these settings. The shown one stays until the first frame is here.
   * @param {Object} settings
   * @param {Object} options the plan; whether to play; what the film is; and the call to repeat once the visitor has
   *   agreed to a download
   * @returns {boolean} whether it has begun
   */
  start(settings, {plan = null, play = false, about = NOTHING, again = null} = {}) {
    this.turn += 1;
    this.stops += 1;
    const repeat = again ?? (() => this.start(settings, {plan, play: true, about}));
    if (this.blocked(settings, repeat)) {
      this.stay(settings, repeat);
      return false;
    }
    const next = new Film(settings, false, about), quiet = plan !== null && !moves();
    Object.assign(next, {plan, quiet, again: repeat});
    Object.assign(this, {next, todo: [], playing: play && !quiet});
    this.showPlaying();
    this.identify();
    this.note("");
    this.catching("");
    this.extend([]);
    this.wake();
    return true;
  }

  /** Go on with what is shown, because digits cannot be trained; where they are off, their film is shown. */
  async stay(settings, again) {
    this.pause();
    if (this.live) this.identify();
    const row = this.digits.off ? this.page.films.find(({target}) => target === "digits") : null;
    if (row ? this.film?.settings.target === "digits" : this.live) return;
    const shown = row ? await this.openFilm(row, moves()) : await this.openFirst();
    if (shown) this.blocked(settings, again);  // says again what is missing
  }

  /** Whether these settings cannot be trained here yet; the reason is then shown. @param {() => void} again */
  blocked(settings, again) {
    const {digits} = this;
    if (settings.target !== "digits" || !digits || digits.download && this.consent) return false;
    if (digits.off) this.note(digits.off, {wrong: true});
    else this.askToDownload(digits.download, again);
    return true;
  }

  /** Ask whether digits can be trained here; without an answer, what was known holds. */
  async askDigits() {
    try {
      this.digits = await this.wire.digits();
    } catch {
      // each request for digits is answered with the reason too
    }
  }

  /** Drop the film that the server does not train, and show the reason. */
  refuse(film, error) {
    const again = this.next === film ? film.again : () => this.play();
    if (this.next === film) this.next = null;
    if (error.cause === "download") {
      this.consent = false;
      this.digits ??= {download: error.message};
    }
    this.blocked(film.settings, again);
    this.stay(film.settings, again);
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

  /** Ask the server for the frame at a goal. @param {boolean} serves whether the goal is the first of `todo` */
  async extend(goal, serves = false) {
    const film = this.live, stops = this.stops;
    if (film.asking) return;
    film.asking = true;
    const wanted = async () => await this.whenVisible() && this.live === film && (!film.last || this.stops === stops);
    try {
      const answer = await this.wire.frame({settings: film.settings, goal, opening: !film.opening,
                                            download: this.consent}, wanted,
                                           (done, of) => this.progress(film, done, of));
      film.asking = false;
      if (this.live !== film) return;
      if (answer) this.arrived(film, answer, serves);
      else if ((this.todo.length || film.unseen) && this.root.isConnected) this.goOn();
    } catch (error) {
      film.asking = false;
      if (this.live === film) this.fail(error, film);
    }
    if (this.live === film && !film.asking) this.catching("");
  }

  /** Show how far the server is on the way to the live film's next frame. */
  progress(film, done, of) {
    if (this.live !== film) return;
    const all = film.unseen ? countOf(film.plan.goal) : of;
    this.catching(all ? SENTENCES.catching(done, all) : SENTENCES.waiting, done, all);
  }

  async whenVisible() {
    while (this.root.isConnected && !this.isVisible()) await sleep(200);
    return this.root.isConnected;
  }

  arrived(film, {frame, opening}, serves) {
    const followed = this.next === film || this.atEnd;  // else the visitor has gone back in time
    if (opening) film.open(opening);
    film.add(frame);
    this.measure();
    const shows = followed || this.todo.length > 0;
    if (serves) this.todo.shift();
    if (film.quiet && !film.planned()) film.plan = null;
    if (this.todo.length || this.playing || film.unseen) this.goOn();
    // drawn after the next request has been sent, so that the server trains meanwhile
    setTimeout(() => this.showEnd(film, shows));
  }

  /** Show the last frame of a film, or only that the film has grown. */
  showEnd(film, shows) {
    if (this.live !== film) return;
    const end = film.frames.length - 1;
    if (film.unseen) this.progress(film, countOf(film.actions), 0);
    else if (this.next === film) this.adopt(film, end);
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
    const film = this.live, [who] = this.todo;
    if (film.asking) return;
    if (!film.last) return this.extend([]);
    const goal = who ? this.goalWith(film, who, 1) : film.recorded ? null : this.goalOf(film);
    if (goal) return this.extend(goal, who !== undefined);
    this.todo = [];
    this.pause();
  }

  /** @returns {Action[] | null} the actions until the next frame; null where the film pauses */
  goalOf(film) {
    if (!film.plan) return this.goalWith(film, "both", this.speed);
    const goal = film.planned();
    if (!goal) film.plan = null;
    return goal;
  }

  /** @returns {Action[] | null} the film's actions with so many more steps; null, with the reason, at its longest */
  goalWith(film, who, n) {
    const {steps, actions} = this.page.limits, room = Math.min(n, steps - countOf(film.actions));
    const goal = withAction(film.actions, who, Math.max(0, room));
    if (room > 0 && goal.length <= actions) return goal;
    this.note(SENTENCES.end);
    return null;
  }

  /** Go back to step 0: of the recorded film, or in a new film with the same settings. */
  reset() {
    if (this.live?.recorded) this.scrub(0);
    else if (this.live) this.start(this.settings, {about: this.live.about});
  }

  /** One step of both networks, or of one of them, at the end of the film. */
  step(who) {
    this.pause();
    if (!this.live || this.live.recorded && !this.start(this.settings)) return;
    this.live.plan = null;
    if (this.live.last && !this.atEnd && !this.next) this.show(this.film.frames.length - 1, 0);
    this.todo.push(who);
    this.goOn();
  }

  /** Say what went wrong, and what to do. @param {Film | null} film the live one, where it was its request */
  async fail(error, film = null) {
    this.todo = [];
    this.pause();
    this.catching("");
    if (film?.settings.target === "digits" && error.cause !== "connection") {
      await this.askDigits();
      if (this.live !== film) return;
      if (error.cause === "download" || this.digits?.off) return this.refuse(film, error);
    }
    const advice = {server: error.again ? SENTENCES.retry : SENTENCES.change, connection: ""};
    this.note(`${error.message} ${film ? advice[error.cause] ?? SENTENCES.retry : ""}`.trim(), {wrong: true});
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
    if (!this.live) return;
    this.touched.add(name);
    this.restart({...this.settings, [name]: value}, this.closeSketch() || this.playing);
  }

  /** Begin again with other settings, and say once that this is so. */
  restart(settings, play) {
    const begun = this.start(settings, {play});
    if (begun && !this.told) this.note(SENTENCES.restart);
    this.told ||= begun;
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
    const play = this.closeSketch() || this.playing;
    this.restart(this.settingsFor(target), play);
  }

  openSketch(target, drawn) {
    if (!this.sketch.active) this.wasPlaying = this.playing;
    this.turn += 1;  // a film that is being loaded is no longer wanted
    this.pause();
    this.note("");
    this.root.dataset.sketching = "true";
    this.sketch.open(target, drawn);
  }

  /** @returns {boolean} whether a film was playing until the field was opened */
  closeSketch() {
    const played = this.sketch.active && this.wasPlaying;
    delete this.root.dataset.sketching;
    if (this.sketch.active) this.sketch.close();
    return played;
  }

  drawAgain() {
    this.openSketch(this.settings.target, this.settings.drawn);
  }

  undraw() {
    const play = this.closeSketch();
    if (!this.live) return this.openFirst();
    this.identify();
    if (play) this.play();
  }

  drew(target, drawn) {
    this.closeSketch();
    const settings = this.settings?.target === target ? this.settings : this.settingsFor(target);
    this.restart({...settings, drawn}, true);
  }

  // ---- recorded films, stories, links ----

  /** @returns {Promise<boolean>} whether a film is shown or has begun */
  async openFirst(byHand = false) {
    const first = this.page.films.find(({name}) => name === this.page.first) ?? this.page.films[0];
    return first ? this.openFilm(first, byHand || moves()) : this.startPoints();
  }

  startPoints() {
    return this.start(this.page.defaults[this.page.targets.find(({kind}) => kind === "plane").name]);
  }

  /**
   * Load a recorded film.
   * @param {Object} row of the page's table @param {boolean} play
   * @param {number | null} step where to pause, in place of playing
   * @returns {Promise<boolean>} whether it is shown
   */
  async openFilm(row, play, step = null) {
    const turn = this.turn += 1;
    this.closeSketch();
    this.pause();
    if (this.live) this.identify();
    this.note(SENTENCES.loading);
    try {
      const film = await this.wire.film(row.name);
      if (turn === this.turn) this.showFilm(film, row, play, step);
    } catch (error) {
      if (turn !== this.turn) return false;
      if (!this.live) this.startPoints();
      this.fail(error);
      return false;
    }
    return turn === this.turn;
  }

  showFilm(film, row, play, step) {
    this.touched.clear();
    this.todo = [];
    film.about = aboutFilm(row);
    if (film.recipe) film.settings = this.page.defaults[row.target];
    const end = film.frames.length - 1, plays = play && step === null;
    this.adopt(film, step !== null ? film.nearest(step) : play ? 0 : end);
    this.identify();
    this.catching("");
    this.note(SENTENCES.recorded);
    if (plays) this.play();
    else this.pause();
  }

  /** Play a story live to its end. @returns {boolean} whether it has begun */
  tell(story) {
    this.closeSketch();
    const {speeds} = this.page, speed = speeds.find((each) => each * STORY_FRAMES >= story.steps) ?? speeds.at(-1);
    const plan = {goal: [["both", story.steps]], chunk: speed};
    const again = () => this.tell(story);
    if (!this.start(story.settings, {plan, play: true, about: aboutStory(story), again})) return false;
    this.touched.clear();
    this.setSpeed(speed);
    return true;
  }

  /** @param {string[]} hide @returns {string} the address of this moment */
  link(hide) {
    return addressOf(this.page, this.film ? this.linkOf(this.film, this.shown.header, hide)
      : addHide(new URLSearchParams(), hide));
  }

  /** @returns {Object<string, string>} the values of a link to a moment of the film that is shown */
  stateOf(header) {
    return Object.fromEntries(new URLSearchParams(this.linkOf(this.film, header, [])));
  }

  linkOf({recorded, about, settings}, {step, actions}, hide) {
    if (recorded) return encodeFilmLink(about.film, step, hide);
    const atEnd = about.story && sameSetting(actions, [["both", about.story.steps]]);
    return encodeLink(this.page, settings, actions, hide, atEnd ? about.story : null);
  }

  /** Do what the address says; without a word in it, play the first film. */
  async openLink(search) {
    const link = decodeLink(this.page, search, (target) => this.controls.of(target));
    this.hide(link.hide);
    const begun = await this.follow(link);
    if (begun && link.wrong.length) this.note(link.wrong.join(" "), {wrong: true});
  }

  /** @returns {boolean | Promise<boolean>} whether what the link names is shown or has begun */
  follow({story, film, step, settings, actions}) {
    if (film) return this.openFilm(film, moves(), step);
    if (story) return this.tell(story);
    if (!settings) return this.openFirst();
    const plan = actions.length ? {goal: actions, chunk: Math.ceil(countOf(actions) / LINK_FRAMES)} : null;
    return this.start(settings, {plan, play: plan !== null});
  }

  hide(names) {
    this.share.hide = names;
    for (const name of names) this.controls.hidden.add(name);
    for (const group of ["controls", "stories", "layers"]) this.parts[group].hidden = names.includes(group);
    if (names.includes("draw")) this.controls.hideDrawing();
  }

  // ---- files ----

  async savePicture() {
    if (!this.film) return;
    const {look, shown: {header}} = this, pack = {arrays: this.tween.at(performance.now()), shapes: this.shapes};
    const state = this.stateOf(header);
    try {
      const canvas = picture(look, header, pack, {width: this.parts.picture.clientWidth || PICTURE_WIDTH, scale: 2});
      download(await withPassport(await toBlob(canvas, "image/png"), state), `${fileName(look)}-${header.step}.png`);
    } catch (error) {
      this.note(`${SENTENCES.notSaved} ${error.message}`, {wrong: true});
    }
  }

  async saveFilm() {
    if (!this.film || this.saving) return;
    this.pause();
    this.saving = true;
    const {look, page: {gif}} = this, size = {width: Math.round(GIF_SHARE * gif.side), scale: 1};
    const state = this.stateOf(this.shown.header);
    try {
      const frames = await renderFilm([...look.film.frames], gif, ({header, pack}) => picture(look, header, pack, size),
                                      (share) => this.catching(SENTENCES.drawing, share, 1));
      this.catching(SENTENCES.making, 1, 1);
      const bytes = await this.wire.gif(frames, GIF_MILLISECONDS, state);
      download(new Blob([bytes], {type: "image/gif"}), `${fileName(look)}.gif`);
    } catch (error) {
      this.note(`${SENTENCES.notSaved} ${error.message}`, {wrong: true});
    }
    this.saving = false;
    this.catching("");
  }

  // ---- wiring ----

  listen() {
    const {parts} = this, click = (name, action) => parts[name].addEventListener("click", action);
    click("play", () => this.playing ? this.pause() : this.play());
    click("train", () => this.start(this.settings, {play: true}));
    click("reset", () => this.reset());
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
root.ganlab = {stage, unpack, SENTENCES};  // for tests and for the curious
stage.showPlaying();
if (!props.value?.state) stage.openLink(window.location.search);
onState((values) => stage.openLink(`?${linkQuery(values)}`));
stage.askDigits();
