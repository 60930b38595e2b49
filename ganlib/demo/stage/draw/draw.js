// The tab in one piece: what is drawn is read, found, shared.

const QUIET = 80;  // milliseconds from one request to the next, at least
const ALOUD = 1_200;

class Draw {
  constructor(root) {
    this.root = root;
    this.parts = partsOf(root);
    this.wire = new Wire(server);
    this.ink = new Ink();
    this.said = null;  // the last answer, null where nothing is drawn
    this.wanted = false;
    this.asking = false;
    this.answers = 0;
    const {parts} = this;
    this.field = new Field(parts, this.ink, () => this.changed(), (file) => this.openPhoto(file));
    this.finder = new Finder(root, parts, this);
    this.models = new ModelChoice(parts.models, PAGE.models, () => this.choose(null));
    this.bars = Array.from({length: 10}, (_, digit) => make("i", {}, make("b", {}, String(digit))));
    parts.digits.append(...this.bars);
    parts.examples.append("Examples", ...Object.keys(EXAMPLES).map((name) =>
      make("button", {type: "button", "aria-label": `Example ${name}`, onclick: () => {
        this.edit(() => this.ink.example(name));
      }}, name)));
    const save = make("button", {type: "button", onclick: () => this.save()}, "Save picture");
    new LinkButton(parts.share, () => this.values(), save);
    this.listen();
    this.field.draw();
    this.changed();
  }

  listen() {
    const {parts} = this, click = (name, action) => parts[name].addEventListener("click", action);
    click("undo", () => this.edit(() => this.ink.undo()));
    click("clear", () => this.edit(() => this.ink.clear()));
    click("choose", () => parts.file.click());
    parts.file.addEventListener("change", () => {
      const [file] = parts.file.files;
      if (file) this.openPhoto(file);
      parts.file.value = "";
    });
    parts.class.addEventListener("change", () => this.changed());
    click("morph", () => goTo("interpolate", {model: this.models.value, add: this.finder.latent}));
    click("explore", () => goTo("explore", {model: this.models.value, point: this.finder.latent}));
    document.addEventListener("keydown", (event) => {
      const undoes = event.key === "z" && (event.ctrlKey || event.metaKey);
      if (!undoes || !isSeen(this.root) || event.target.closest("input, select, textarea")) return;
      event.preventDefault();
      this.edit(() => this.ink.undo());
    });
  }

  /** Change the drawing, but not by the pen. */
  edit(action) {
    action();
    this.steps([]);
    this.note("");
    this.field.update();
  }

  /** What the class's select says: null for the class that is read. */
  get chosen() {
    const {class: select, classes} = this.parts;
    return classes.hidden || select.value === "" ? null : Number(select.value);
  }

  /** The drawing as the networks saw it last, for a search, a link or a file. */
  asked() {
    return {model: this.models.value, class: this.chosen, drawing: this.said?.drawing ?? this.ink.text};
  }

  /** The values of the link. */
  values() {
    const {model, class: chosen, drawing} = this.asked();
    return {model, class: chosen, drawing, latent: drawing && this.finder.latent};
  }

  choose(chosen) {
    this.wantedClass = chosen;
    this.parts.class.value = chosen === null ? "" : String(chosen);
    this.changed();
  }

  /** The drawing, the model or the class is another: what was found no longer holds. */
  changed() {
    this.finder.reset();
    if (this.ink.empty) this.show(null);
    this.parts.find.disabled = this.ink.empty;
    this.parts.undo.disabled = !this.ink.before.length;
    this.parts.clear.disabled = this.ink.empty;
    this.wanted = true;
    if (!this.asking) this.read();
  }

  /** Ask what the networks say, again and again while the drawing changes. */
  async read() {
    this.asking = true;
    do {
      this.wanted = false;
      const begun = performance.now(), model = this.models.value, {ink} = this;
      const drawn = ink.empty ? {} : ink.text ? {drawing: ink.text} : {ink: ink.raster(PAGE.inkSide)};
      try {
        const answer = await this.wire.call("draw_read", {model, class: this.chosen, ...drawn});
        this.answers += 1;
        if (model === this.models.value) this.showClasses(answer);
        if (!ink.empty && answer.drawing) this.show(answer, model);
        if (this.wrong) this.note("");
      } catch (error) {
        this.show(null);
        this.note(error.message, true);
      }
      await sleep(Math.max(0, QUIET - (performance.now() - begun)));
    } while (this.wanted);
    this.asking = false;
  }

  /** Wait until the networks have seen the present drawing. */
  async settled() {
    while (this.asking) await sleep(20);
  }

  /** @param {?Object} said by the server */
  show(said, model = "") {
    const {parts} = this;
    this.said = said;
    const picture = said ? picturesOf(said)[0] : new ImageData(SIDE, SIDE);
    putPicture(parts.seen, picture);
    putPicture(parts.mine, picture);
    this.bars.forEach((bar, digit) => {
      bar.style.setProperty("--share", said ? said.digits[digit] : 0);
      bar.classList.toggle("draw-most", said?.read === digit);
    });
    const judged = said !== null && said.probability !== null;
    parts.needle.hidden = !judged;
    if (judged) parts.needle.style.left = `${100 * said.probability}%`;
    parts.real.textContent = judged ? percent(said.probability) : "–";
    const name = said && said.class !== null ? said.names[said.class] : null;
    parts.realWords.textContent = !said ? WORDS_OF_DRAWING.empty : judged ? WORDS_OF_DRAWING.real(model, name)
      : WORDS_OF_DRAWING.noDiscriminator(model);
    parts.read.textContent = said ? capital(article(said.read)) : "–";
    parts.readWords.textContent = said ? WORDS_OF_DRAWING.read(said.sure) : "";
    parts.line.textContent = said ? WORDS_OF_DRAWING.line(said) : WORDS_OF_DRAWING.empty;
    parts.about.textContent = WORDS_OF_DRAWING.about(this.models.value);
    this.tell(said ? WORDS_OF_DRAWING.aloud(said) : "");
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

  note(words, wrong = false) {
    this.wrong = wrong;
    this.parts.note.textContent = words;
    this.parts.note.classList.toggle("stage-wrong", wrong);
  }

  // ---- photos, links, files ----

  async openPhoto(file) {
    this.note(WORDS_OF_DRAWING.reading);
    try {
      const photo = await shrunk(file, PAGE.maxPhoto);
      const {drawing, steps} = await this.wire.call("draw_photo", {photo});
      this.edit(() => this.ink.open(drawing));
      this.note(WORDS_OF_DRAWING.photo);
      this.steps(steps);
    } catch (error) {
      this.steps([]);
      this.note(error.message, true);
    }
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
    this.note("");
    this.field.draw();
    this.choose(chosen ?? null);
    if (!drawing || !latent) return;
    const {now} = this.ink;
    await this.settled();
    if (now === this.ink.now) this.finder.open(latent);
  }

  async save() {
    await this.settled();
    const {model, class: chosen, drawing, latent} = this.values();
    if (!drawing) return this.note(WORDS_OF_DRAWING.nothing, true);
    try {
      const {png, name} = await this.wire.call("draw_save", {model, class: chosen, drawing, latent});
      download(new Blob([fromBase64(png)], {type: "image/png"}), name);
    } catch (error) {
      this.note(error.message, true);
    }
  }
}

const root = element.querySelector(".draw");
const draw = new Draw(root);
root.ganlab = draw;  // for tests and for the curious
onState((values) => draw.open(values));
