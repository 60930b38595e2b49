// Files of what is seen: one frame as PNG, the film as GIF.

const GIF_SHARE = 0.6, GIF_MILLISECONDS = 100;  // the width, of the side that the server takes at most
const BYTES_SHARE = 0.8;  // of the bytes that the server takes at most, because sizes are estimated
const PICTURE_WIDTH = 560;  // where the picture on the page has none
const CAPTION = {line: 20, margin: 14, verdictLines: 3};

/** @typedef {{film: Film, drawer: Object, layers: Set<string>, title: string, colours: Colours}} Look */

/** Draw a frame of a film. @param {Look} look @param {{arrays: Object, shapes: Object}} pack */
function render(context, {film, drawer, layers, colours}, {arrays, shapes}, {width, height, scale}) {
  context.fillStyle = colours.ground;
  context.fillRect(0, 0, width, height);
  drawer.draw(context, {opening: film.opening, arrays, shapes, layers, colours, width, height, scale});
}

/** @param {Look} look @returns {HTMLCanvasElement} a frame with its caption */
function picture(look, {verdict}, pack, {width, scale}) {
  const height = Math.round(width * look.drawer.aspect(look.film.opening, width));
  const draw = (context) => render(context, look, pack, {width, height, scale});
  return captioned(draw, {width, height, scale, title: look.title, verdict, colours: look.colours});
}

/** @param {Look} look */
function fileName(look) {
  return `gan-lab-${look.film.settings.target}`;
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
 * @param {(context: CanvasRenderingContext2D) => void} draw
 * @param {Object} caption the size and scale of the picture, and its words
 */
function captioned(draw, {width, height, scale, title, verdict, colours}) {
  const canvas = scratch(1, 1), {line, margin, verdictLines} = CAPTION;
  const context = sized(canvas, width, height + margin + line * (1 + verdictLines) + margin / 2, scale);
  context.fillStyle = colours.ground;
  context.fillRect(0, 0, width, canvas.height);
  context.save();
  context.beginPath();
  context.rect(0, 0, width, height);
  context.clip();
  draw(context);
  context.restore();
  [context.textAlign, context.textBaseline, context.fillStyle] = ["left", "top", colours.strong];
  context.font = `600 14px ${FONT}`;
  context.fillText(title, margin, height + margin);
  [context.font, context.fillStyle] = [`13px ${FONT}`, colours.ink];
  wrap(context, verdict, width - 2 * margin).slice(0, verdictLines)
    .forEach((text, i) => context.fillText(text, margin, height + margin + line * (i + 1)));
  return canvas;
}

/** @returns {*[]} at most `count` of the items, evenly, with the first and the last */
function evenly(items, count) {
  if (items.length <= count) return items;
  return Array.from({length: count}, (_, i) => items[Math.round(i * (items.length - 1) / (count - 1))]);
}

/**
 * Pictures of a film in base64: as many as stay under the limits, evenly chosen.
 * @param {Moment[]} moments
 * @param {{frames: number, bytes: number}} limits of the server
 * @param {(moment: Moment) => HTMLCanvasElement} render
 * @param {(share: number) => void} progress is told the share that is done
 * @returns {Promise<string[]>}
 */
async function renderFilm(moments, limits, render, progress) {
  const picture = (moment) => toBlob(render(moment), "image/png"), found = [];
  const samples = await Promise.all(evenly(moments, 3).map(picture));
  const largest = Math.max(...samples.map(({size}) => size));
  const count = Math.min(limits.frames, Math.floor(BYTES_SHARE * limits.bytes / largest));
  const chosen = evenly(moments, Math.max(2, count));
  for (const [i, moment] of chosen.entries()) {
    found.push(await toBase64(await picture(moment)));
    progress((i + 1) / chosen.length);
  }
  return found;
}
