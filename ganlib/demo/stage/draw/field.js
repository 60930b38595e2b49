// The field: pen, finger and mouse make strokes; photos are dropped on it.

const GROUND = "#0d0f16", GUIDE = "#2b3247";

class Field {
  /**
   * @param {Object<string, HTMLElement>} parts @param {Ink} ink
   * @param {() => void} changed @param {(file: File) => void} dropped
   */
  constructor(parts, ink, changed, dropped) {
    const {field: place, canvas, hint} = parts;
    Object.assign(this, {place, canvas, hint, ink, changed, dropped, pointer: null});
    this.listenToPen();
    this.listenToDrops();
    new ResizeObserver(() => requestAnimationFrame(() => this.draw())).observe(this.canvas);
  }

  listenToPen() {
    const {canvas} = this;
    const place = (event) => {
      const {left, top, width, height} = canvas.getBoundingClientRect();
      // a mouse and most fingers have no pressure
      const pressure = event.pointerType === "pen" && event.pressure ? 0.6 + 0.8 * event.pressure : 1;
      return [(event.clientX - left) / width * SIDE, (event.clientY - top) / height * SIDE, pressure];
    };
    canvas.addEventListener("pointerdown", (event) => {
      if (event.button !== 0 || this.pointer !== null) return;
      event.preventDefault();
      canvas.setPointerCapture(event.pointerId);
      this.pointer = event.pointerId;
      this.ink.begin(...place(event));
      this.update();
    });
    canvas.addEventListener("pointermove", (event) => {
      if (event.pointerId !== this.pointer) return;
      const events = event.getCoalescedEvents?.() ?? [];
      for (const each of events.length ? events : [event]) this.ink.extend(...place(each));
      this.update();
    });
    for (const name of ["pointerup", "pointercancel", "lostpointercapture"]) {
      canvas.addEventListener(name, (event) => {
        if (event.pointerId === this.pointer) this.pointer = null;
      });
    }
  }

  /** The page has a drop of its own, for pictures with a passport, which must not see those of the field. */
  listenToDrops() {
    for (const name of ["dragenter", "dragover", "dragleave", "drop"]) {
      this.place.addEventListener(name, (event) => {
        event.preventDefault();
        event.stopPropagation();
        this.place.classList.toggle("draw-over", name === "dragenter" || name === "dragover");
        const [file] = name === "drop" ? event.dataTransfer.files : [];
        if (file) this.dropped(file);
      });
    }
  }

  get drawing() {
    return this.pointer !== null;
  }

  update() {
    this.draw();
    this.changed();
  }

  draw() {
    const side = this.canvas.clientWidth;
    if (!side) return;
    const context = sized(this.canvas, side, side), edge = (SIDE - BOX) / 2 / SIDE * side;
    context.fillStyle = GROUND;
    context.fillRect(0, 0, side, side);
    [context.strokeStyle, context.lineWidth] = [GUIDE, 1];
    context.setLineDash([4, 6]);
    context.strokeRect(edge, edge, side - 2 * edge, side - 2 * edge);
    context.setLineDash([]);
    this.ink.draw(context, side);
    this.hint.hidden = !this.ink.empty;
  }
}

/** A photo's file with at most so many pixels a side, upright, on white. @returns {Promise<string>} base64 */
async function shrunk(file, most) {
  let picture = null;
  try {
    picture = await createImageBitmap(file);
  } catch {
    throw new Trouble(WORDS_OF_DRAWING.noPhoto, "server");
  }
  const scale = Math.min(1, most / Math.max(picture.width, picture.height));
  const [width, height] = [picture.width, picture.height].map((side) => Math.max(1, Math.round(side * scale)));
  const canvas = scratch(width, height), context = canvas.getContext("2d");
  context.fillStyle = "#fff";
  context.fillRect(0, 0, width, height);
  context.imageSmoothingQuality = "high";
  context.drawImage(picture, 0, 0, width, height);
  picture.close();
  return toBase64(await toBlob(canvas, "image/jpeg"));
}
