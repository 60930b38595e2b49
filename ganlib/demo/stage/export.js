// Files of what is seen: one frame as PNG, the film as GIF.

const GIF_FRAMES = 60, GIF_WIDTH = 480, GIF_BYTES = 8e6, GIF_MILLISECONDS = 100;
const CAPTION = {line: 20, margin: 14};

/** Hand a file to the visitor. */
function download(blob, name) {
  const address = URL.createObjectURL(blob), link = make("a", {href: address, download: name});
  link.click();
  setTimeout(() => URL.revokeObjectURL(address), 10_000);
}

/** @returns {Promise<Blob>} */
function toBlob(canvas, type, quality) {
  return new Promise((resolve, reject) => canvas.toBlob(
    (blob) => blob ? resolve(blob) : reject(new Error("The browser could not make a picture.")), type, quality));
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
 * @param {function(CanvasRenderingContext2D, number, number, number): void} draw draws into (width, height) at a scale
 * @param {number} lines how many lines of the verdict there is room for
 */
function captioned(draw, {width, height, scale, title, verdict, colours, lines}) {
  const canvas = scratch(1, 1), {line, margin} = CAPTION;
  const context = sized(canvas, width, height + margin + line * (1 + lines) + margin / 2, scale);
  context.fillStyle = colours.ground;
  context.fillRect(0, 0, width, canvas.height);
  draw(context, width, height, scale);
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
 * @param {Moment[]} moments
 * @param {function(Moment): HTMLCanvasElement} render
 * @param {function(number): void} progress share that is done
 * @returns {Promise<string[]>} pictures in base64, which together stay under the server's limit
 */
async function renderAll(moments, render, progress) {
  const found = [];
  let bytes = 0;
  for (const [i, moment] of moments.entries()) {
    const blob = await toBlob(render(moment), "image/webp", 0.92);
    bytes += blob.size;
    require(bytes < GIF_BYTES, "The film's pictures are too large for a GIF.");
    found.push(await toBase64(blob));
    progress((i + 1) / moments.length);
  }
  return found;
}
