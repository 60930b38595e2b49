// Files of what is seen: one frame as PNG, the film as GIF.

const GIF_FRAMES = 60, GIF_WIDTH = 480, GIF_MILLISECONDS = 100;
const GIF_BYTES = 9.5e6;  // of all pictures together; the server takes 12 MB
const CAPTION = {line: 20, margin: 14};

/** Hand a file to the visitor. */
function download(blob, name) {
  const address = URL.createObjectURL(blob), link = make("a", {href: address, download: name});
  link.click();
  setTimeout(() => URL.revokeObjectURL(address), 10_000);
}

/** @returns {Promise<Blob>} */
function toBlob(canvas, type) {
  return new Promise((resolve, reject) => canvas.toBlob(
    (blob) => blob ? resolve(blob) : reject(new Error("The browser could not make a picture.")), type));
}

/** Break a text into lines that are not wider than `width`. */
function wrap(context, text, width) {
  const lines = [""];
  for (const word of text.split(" ")) {
    const longer = `${lines[lines.length - 1]} ${word}`.trim();
    if (context.measureText(longer).width <= width) lines[lines.length - 1] = longer;
    else lines.push(word);
  }
  return lines;
}

/**
 * A picture with its title and verdict under it, on a canvas of its own.
 * @param {(context: CanvasRenderingContext2D, width: number, height: number, scale: number) => void} draw
 * @param {Object} caption the size and scale of the picture, its words, and how many lines there are for the verdict
 */
function captioned(draw, {width, height, scale, title, verdict, colours, lines}) {
  const canvas = scratch(1, 1), {line, margin} = CAPTION;
  const context = sized(canvas, width, height + margin + line * (1 + lines) + margin / 2, scale);
  context.fillStyle = colours.ground;
  context.fillRect(0, 0, width, canvas.height);
  context.save();
  context.beginPath();
  context.rect(0, 0, width, height);
  context.clip();
  draw(context, width, height, scale);
  context.restore();
  [context.textAlign, context.textBaseline, context.fillStyle] = ["left", "top", colours.strong];
  context.font = `600 14px ${FONT}`;
  context.fillText(title, margin, height + margin);
  [context.font, context.fillStyle] = [`13px ${FONT}`, colours.ink];
  wrap(context, verdict, width - 2 * margin).slice(0, lines)
    .forEach((text, i) => context.fillText(text, margin, height + margin + line * (i + 1)));
  return canvas;
}

/** @returns {*[]} at most `count` of the items, evenly, with the first and the last */
function evenly(items, count) {
  if (items.length <= count) return items;
  return Array.from({length: count}, (_, i) => items[Math.round(i * (items.length - 1) / (count - 1))]);
}

/**
 * Pictures of a film in base64: as many as stay under the limit, evenly chosen.
 * @param {Moment[]} moments
 * @param {(moment: Moment) => HTMLCanvasElement} render
 * @param {(share: number) => void} progress is told the share that is done
 * @returns {Promise<string[]>}
 */
async function renderFilm(moments, render, progress) {
  const picture = (moment) => toBlob(render(moment), "image/png"), found = [];
  const samples = await Promise.all(evenly(moments, 3).map(picture));
  const largest = Math.max(...samples.map(({size}) => size));
  const chosen = evenly(moments, Math.max(2, Math.min(GIF_FRAMES, Math.floor(GIF_BYTES / largest))));
  for (const [i, moment] of chosen.entries()) {
    found.push(await toBase64(await picture(moment)));
    progress((i + 1) / chosen.length);
  }
  return found;
}
