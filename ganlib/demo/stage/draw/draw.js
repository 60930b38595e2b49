// The tab in one piece: what is drawn is read, found, shared.

const QUIET = 80;  // milliseconds from one request to the next, at least
const REST = 400;  // milliseconds to the next request after one that failed
const ALOUD = 1_200;

class Draw {
  constructor(root) {
    this.root = root;
    this.parts = partsOf(root);
    const {parts} = this;
    this.wire = new Wire(server);
    this.waiting = new Waiting(parts.note, WORDS_OF_DRAWING.slow);
    this.ink = new Ink();
    this.said = null;  // the last answer, null where nothing is drawn
    this.version = 0;  // of what is to be read
    this.failed = false;  // whether the last request did
    this.wanted = false;
    this.asking = false;
    this.answers = 0;
    this.models = new ModelChoice(parts.models, PAGE.models, () => this.choose(null));
    this.field = new Field(parts, this.ink, () => this.changed(), (file) => this.openPhoto(file));
    this.finder = new Finder(root, parts, this);
    this.bars = Array.from({length: 10}, (_, digit) => make("i", {}, make("b", {}, String(digit))));
    parts.digits.append(...this.bars);
    parts.examples.append(make("span", {"aria-hidden": "true"}, WORDS_OF_DRAWING.examples), ...Object.keys(EXAMPLES).map((name) =>
      make("button", {type: "button", "aria-label": WORDS_OF_DRAWING.example(name), onclick: () => this.example(name)},
           name)));
    const save = make("button", {type: "button", onclick: () => this.save()}, WORDS_OF_DRAWING.save);
    new LinkButton(parts.share, () => this.values(), save);
    this.listen();
    this.field.draw();
    this.changed();
  }

  listen() {
    const {parts} = this, click = (name, action) => parts[name].addEventListener("click", action);
    const undo = () => this.edit(() => this.ink.undo()), clear = () => this.edit(() => this.ink.clear());
    click("undo", undo);
    click("clear", clear);
    click("choose", () => parts.file.click());
    parts.file.addEventListener("change", () => {
      const [file] = parts.file.files;
      if (file) this.openPhoto(file);
      parts.file.value = "";
    });
    parts.class.addEventListener("change", () => this.changed());
    click("morph", () => goTo("interpolate", {model: this.model, add: this.finder.shown}));
    click("explore", () => goTo("explore", {model: this.model, point: this.finder.shown}));
    parts.canvas.addEventListener("keydown", (event) => {
      if (event.ctrlKey || event.altKey || event.metaKey) return;
      const action = {Backspace: undo, Delete: clear}[event.key]
        ?? (Object.hasOwn(EXAMPLES, event.key) ? () => this.example(event.key) : null);
      if (!action) return;
      event.preventDefault();
      action();
    });
    const press = (event) => {
      if (!this.root.isConnected) return document.removeEventListener("keydown", press);
      const undoes = event.key === "z" && (event.ctrlKey || event.metaKey);
      if (!undoes || !isSeen(this.root) || event.target.closest("input, select, textarea")) return;
      event.preventDefault();
      undo();
    };
    document.addEventListener("keydown", press);
  }

  /** Change the drawing, but not by the pen. */
  edit(action) {
    action();
    this.steps([]);
    this.waiting.say("");
    this.field.update();
  }

  example(name) {
    this.edit(() => this.ink.example(name));
  }

  get model() {
    return this.models.value;
  }

  /** What the class's select says: null for the class that is read. */
  get chosen() {
    const {class: select, classes} = this.parts;
    return classes.hidden || select.value === "" ? null : Number(select.value);
  }

  /** The last answer, if it is to the present drawing. */
  get current() {
    return this.said?.version === this.version ? this.said : null;
  }

  /**
   * The drawing as the networks see it, once they have seen it, for a search, a link or a file.
   * @returns {Promise<?string>} null where nothing is drawn, or where it could not be read, which the note says then
   */
  async drawing() {
    if (!this.asking && !this.current && !this.ink.empty) this.read();  // it failed before
    while (this.asking) await sleep(20);
    return this.current?.drawing ?? this.ink.text;
  }

  /** @returns {Promise<?Object<string, *>>} the values of the link; null where the drawing could not be read */
  async values() {
    const drawing = await this.drawing();
    if (!drawing && !this.ink.empty) return null;
    return {model: this.model, class: this.chosen, drawing, latent: drawing && this.finder.latent};
  }

  choose(chosen) {
    this.wantedClass = chosen;
    this.parts.class.value = chosen === null ? "" : String(chosen);
    this.changed();
  }

  /** The drawing, the model or the class is another: what was found no longer holds. */
  changed() {
    const {ink, parts} = this;
    this.version += 1;
    this.finder.reset();
    if (ink.empty) Object.assign(this, {said: null, failed: false});
    this.show();
    parts.find.disabled = ink.empty;
    parts.undo.disabled = !ink.before.length;
    parts.clear.disabled = ink.empty;
    if (ink.full) this.waiting.say(WORDS_OF_DRAWING.full, true);
    this.wanted = true;
    if (!this.asking) this.read();
  }

  /** Ask what the networks say, again and again while the drawing changes. */
  async read() {
    this.asking = true;
    do {
      this.wanted = false;
      const begun = performance.now();
      await this.waiting.during(() => this.ask(), {again: () => this.changed(), source: this});
      await sleep(this.failed ? REST : Math.max(0, QUIET - (performance.now() - begun)));
    } while (this.wanted);
    this.asking = false;
  }

  /** Ask once. The last answer stays where this fails. */
  async ask() {
    const {version, model, chosen, ink} = this;
    const drawn = ink.empty ? {} : ink.text ? {drawing: ink.text} : {ink: ink.raster(PAGE.inkSide)};
    try {
      const answer = await this.wire.call("draw_read", {model, class: chosen, ...drawn});
      this.failed = false;
      this.answers += 1;
      if (model === this.model) this.showClasses(answer);
      if (!ink.empty && answer.drawing) this.said = {...answer, model, version};
      if (this.current) this.finder.showPass(answer.drawing, answer.encoded);
    } catch (trouble) {
      this.failed = true;
      this.finder.forget();
      throw trouble;
    } finally {
      this.show();
    }
  }

  /** Show the last answer, or why there is none. */
  show() {
    const {parts, said, failed} = this;
    this.root.toggleAttribute("data-unread", failed);
    const nothing = new ImageData(SIDE, SIDE), picture = said ? picturesOf(said)[0] : nothing;
    putPicture(parts.seen, picture);
    putPicture(parts.mine, failed ? nothing : picture);
    this.bars.forEach((bar, digit) => {
      bar.style.setProperty("--share", said ? said.digits[digit] : 0);
      bar.classList.toggle("draw-most", said?.read === digit);
    });
    const judged = said !== null && said.probability !== null;
    for (const name of ["scale", "ends"]) parts[name].classList.toggle("draw-unjudged", said !== null && !judged);
    parts.needle.hidden = !judged;
    if (judged) parts.needle.style.left = `${100 * said.probability}%`;
    parts.real.textContent = judged ? percent(said.probability) : "";
    const none = this.ink.empty ? WORDS_OF_DRAWING.empty : failed ? WORDS_OF_DRAWING.unread : WORDS_OF_DRAWING.looking;
    parts.realWords.textContent = !said ? none : judged ? WORDS_OF_DRAWING.real(said)
      : WORDS_OF_DRAWING.noDiscriminator(said);
    parts.read.textContent = said ? capital(article(said.read)) : "";
    parts.readWords.textContent = said ? WORDS_OF_DRAWING.read(said.sure) : "";
    parts.line.textContent = said && !failed ? WORDS_OF_DRAWING.line(said) : none;
    parts.sees.textContent = failed && said ? WORDS_OF_DRAWING.saw : WORDS_OF_DRAWING.sees;
    this.tell(said && !failed ? WORDS_OF_DRAWING.aloud(said) : "");
  }

  /** Say it to those who hear the page, once the pen rests. */
  tell(words) {
    clearTimeout(this.telling);
    this.telling = setTimeout(() => {
      if (this.parts.aloud.textContent !== words) this.parts.aloud.textContent = words;
    }, ALOUD);
  }

  /** The classes of a model, to choose from. */
  showClasses({names, asRead}) {
    const {class: select, classes} = this.parts, key = JSON.stringify([names, asRead]);
    classes.hidden = !names.length;
    if (this.shownClasses === key) return;
    this.shownClasses = key;
    const before = this.wantedClass ?? null;
    select.replaceChildren(...(asRead ? [make("option", {value: ""}, WORDS_OF_DRAWING.asRead)] : []),
                           ...names.map((name, i) => make("option", {value: i}, name)));
    if (before !== null && before < names.length) select.value = String(before);
    if (names.length && this.chosen !== null) this.wanted = true;
  }

  // ---- photos, links, files ----

  async openPhoto(file) {
    await this.waiting.during(async () => {
      this.steps([]);
      const photo = await shrunk(file, PAGE.maxPhoto);
      const {drawing, steps} = await this.wire.call("draw_photo", {photo});
      this.edit(() => this.ink.open(drawing));
      this.waiting.say(WORDS_OF_DRAWING.photo);
      this.steps(steps);
    }, {again: () => this.openPhoto(file), source: "photo"});
  }

  /** The steps from a photo to a digit. */
  steps(steps) {
    this.parts.steps.hidden = !steps.length;
    this.parts.steps.replaceChildren(...steps.map(({words, png}) =>
      make("li", {}, make("img", {src: `data:image/png;base64,${png}`, alt: ""}), words)));
  }

  /** Open the state of a link or a passport. */
  async open({model, class: chosen, drawing, latent}) {
    this.models.show(model);
    if (drawing) this.ink.open(drawing);
    this.steps([]);
    this.waiting.say("");
    this.field.draw();
    this.choose(chosen ?? null);
    if (drawing && latent) await this.finder.open(latent);
  }

  async save() {
    if (this.ink.empty) return this.waiting.say(WORDS_OF_DRAWING.nothing, true);
    const values = await this.values();
    if (!values) return;
    await this.waiting.during(async () => saveFile(await this.wire.call("draw_save", values)),
                              {again: () => this.save(), source: "file"});
  }
}

const root = element.querySelector(".draw");
const draw = new Draw(root);
root.ganlab = draw;  // for tests and for the curious
onState((values) => draw.open(values));
