// The course: a list of steps, of which one is shown: its title, its text, its figure. Changing it needs no server.

const BROKEN = "This figure does not work in your browser. The text and the other figures do.";
const SMALLEST_FORMULA = 0.72;  // of a formula on a narrow screen, as a share of its size
const FORMULA_SIDES = 20;  // pixels beside a formula in its box
const FIGURE_MARGIN = 12;  // pixels of the window above or below a figure that stays in view

class Course {
  /** @param {HTMLElement} root of the stage, with the texts as children @param {Wire} wire */
  constructor(root, wire) {
    Object.assign(this, {root, wire, parts: partsOf(root), step: 0, seen: false, fitting: 0, places: {}, figures: {}});
    const {parts} = this, last = PAGE.steps.length;
    this.links = PAGE.steps.map(({title}, i) => make("a", {
      href: `?${linkQuery({tab: PAGE.tab, step: i + 1})}`, title, "aria-label": `Step ${i + 1}: ${title}`,
      onclick: (event) => this.clicked(event, i + 1)}, make("b", {}, String(i + 1)), make("span", {}, title)));
    parts.steps.append(...this.links.map((link) => make("li", {}, link)));
    parts.steps.addEventListener("keydown", (event) => this.pressed(event));
    parts.previous.addEventListener("click", () => this.go(this.step - 1));
    parts.next.addEventListener("click", () => this.go(this.step + 1 > last ? 1 : this.step + 1));
    parts.more.addEventListener("click", () => goTo(PAGE.steps[this.step - 1].more, {}));
    new LinkButton(parts.share, () => ({step: this.step}));
    // the figure stops while its tab is not shown; the texts come after the first figure
    new ResizeObserver(() => requestAnimationFrame(() => {
      this.look();
      this.fit();
    })).observe(root);
    // a figure that is taller than the window stays in view with its lower end
    const stick = () => {
      if (!root.isConnected) return window.removeEventListener("resize", stick);
      const room = window.innerHeight - parts.place.offsetHeight;
      parts.place.style.top = `${Math.min(FIGURE_MARGIN, room - FIGURE_MARGIN)}px`;
    };
    new ResizeObserver(() => requestAnimationFrame(stick)).observe(parts.place);
    window.addEventListener("resize", stick);
    const look = () => root.isConnected ? this.look() : document.removeEventListener("visibilitychange", look);
    document.addEventListener("visibilitychange", look);
    // formulas are wider or narrower in their own fonts, which come late
    const fit = () => root.isConnected ? this.fit() : document.fonts.removeEventListener("loadingdone", fit);
    document.fonts.addEventListener("loadingdone", fit);
  }

  /** A click without a key that means a new tab or window. */
  clicked(event, step) {
    if (event.ctrlKey || event.metaKey || event.shiftKey || event.altKey) return;
    event.preventDefault();
    this.go(step);
  }

  /** Keys on the list of steps. */
  pressed(event) {
    const last = PAGE.steps.length;
    const wanted = {ArrowLeft: this.step - 1, ArrowRight: this.step + 1, Home: 1, End: last}[event.key];
    if (wanted === undefined || event.ctrlKey || event.metaKey || event.altKey) return;
    event.preventDefault();
    this.open(Math.min(last, Math.max(1, wanted)));
    this.links[this.step - 1].focus();
  }

  /** Open a step, and go to its beginning. */
  go(step) {
    this.open(step);
    const {title} = this.parts, {top, bottom} = title.getBoundingClientRect();
    title.focus({preventScroll: true});
    if (top < 0 || bottom > window.innerHeight) this.root.scrollIntoView({block: "start"});
  }

  open(step) {
    if (step === this.step) return;
    if (this.seen) this.tell("hide");
    this.step = step;
    const {parts, links} = this, {title, figure, more} = PAGE.steps[step - 1];
    this.root.dataset.step = step;  // how.css shows its text
    parts.title.textContent = title;
    links.forEach((link, i) => {
      if (i + 1 === step) link.setAttribute("aria-current", "step");
      else link.removeAttribute("aria-current");
      link.tabIndex = i + 1 === step ? 0 : -1;
    });
    parts.previous.disabled = step === 1;
    parts.next.textContent = step === links.length ? "Start again" : "Next";
    parts.more.hidden = !more;
    parts.more.textContent = more ? `Go on in ${PAGE.tabs[more]}` : "";
    for (const [name, place] of Object.entries(this.places)) place.hidden = name !== figure;
    this.seen = false;
    this.look();
    this.fit();
  }

  /** Show or hide the figure, as its tab is shown or not. */
  look() {
    const seen = isSeen(this.root);
    if (seen === this.seen || !this.step) return;
    this.seen = seen;
    if (seen && !this.places[this.name]) this.begin(this.name);
    this.tell(seen ? "show" : "hide");
  }

  /** Make wide formulas of the shown text a little smaller; what is still too wide can be scrolled, by keys too. */
  fit() {
    cancelAnimationFrame(this.fitting);
    const boxes = this.root.querySelectorAll(`#how-text-${this.step} .katex-display`);
    // KaTeX makes the formulas some frames after the texts come
    if (!boxes.length && this.seen) this.fitting = requestAnimationFrame(() => this.fit());
    for (const box of boxes) {
      box.style.setProperty("--how-fit", 1);
      const share = (box.clientWidth - FORMULA_SIDES) / (box.scrollWidth - FORMULA_SIDES);
      if (share < 1) box.style.setProperty("--how-fit", Math.max(SMALLEST_FORMULA, Math.floor(100 * share) / 100 - 0.01));
      if (box.scrollWidth > box.clientWidth) box.tabIndex = 0;
      else box.removeAttribute("tabindex");
    }
  }

  get name() {
    return PAGE.steps[this.step - 1].figure;
  }

  begin(name) {
    const place = this.places[name] = make("div", {class: "how-figure", "data-figure": name});
    this.parts.place.append(place);
    this.guard(name, () => { this.figures[name] = FIGURES[name](place, this.wire); });
  }

  tell(what) {
    this.guard(this.name, () => this.figures[this.name]?.[what]());
  }

  /** A figure that fails leaves a sentence, and the course goes on. */
  guard(name, action) {
    try {
      action();
    } catch (error) {
      console.error(error);
      delete this.figures[name];
      this.places[name].replaceChildren(make("p", {class: "stage-note stage-wrong"}, BROKEN));
    }
  }
}

const course = new Course(element, new Wire(server));
element.ganlab = {course, FIGURES};  // for tests and for the curious
onState(({step}) => course.open(step));
if (!course.step) course.open(1);
