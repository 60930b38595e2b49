// Numbers: histograms with the true density, and under them the discriminator's probability.

const BINS = 56;
const LABELLED = 70;  // pixels of height from which on D's panel has room for its label

/** @param {Numbers} values in the pack's units @returns {Float64Array} shares of all values, outside ones too */
function histogram(values) {
  const shares = new Float64Array(BINS);
  for (const value of values) {
    const bin = Math.floor((value / HALF + 1) / 2 * BINS);
    if (bin >= 0 && bin < BINS) shares[bin] += 1 / values.length;
  }
  return shares;
}

/** Where the two panels and their axis stand, in CSS pixels. */
function panels({width, height}) {
  const left = 30, right = width - 8;
  return {left, right, top: 8, middle: Math.round(height * 0.6), upper: Math.round(height * 0.66), bottom: height - 22};
}

function drawBars(context, shares, colour, peak, place) {
  const step = (place.right - place.left) / BINS;
  [context.fillStyle, context.globalAlpha] = [colour, 0.5];
  shares.forEach((share, i) => {
    const bar = Math.min(1, share / peak) * (place.middle - place.top);
    context.fillRect(place.left + i * step + 0.5, place.middle - bar, step - 1, bar);
  });
  context.globalAlpha = 1;
}

/** A line through values at equal distances; it is broken where `height` says null. */
function drawLine(context, values, height, place, style) {
  context.beginPath();
  let broken = true;
  for (let i = 0; i < values.length; i++) {
    const y = height(values[i]), x = place.left + i / (values.length - 1) * (place.right - place.left);
    if (y === null) broken = true;
    else {
      if (broken) context.moveTo(x, y);
      else context.lineTo(x, y);
      broken = false;
    }
  }
  Object.assign(context, {lineJoin: "round", ...style});
  context.setLineDash(style.dash || []);
  context.stroke();
  context.setLineDash([]);
}

/** @returns {number[]} about `count` round numbers from low to high */
function ticks(low, high, count) {
  const raw = (high - low) / count, size = 10 ** Math.floor(Math.log10(raw));
  const step = [1, 2, 5, 10].map((n) => n * size).find((n) => n >= raw);
  const found = [];
  for (let i = Math.ceil(low / step); i <= high / step + 1e-9; i++) found.push(Number((i * step).toPrecision(6)));
  return found;
}

function drawLineAxes(context, scene, place) {
  const [low, high] = scene.opening.header.extent, {ink, faint} = scene.colours;
  [context.fillStyle, context.font, context.textAlign, context.textBaseline] = [ink, `11px ${FONT}`, "center", "top"];
  [context.strokeStyle, context.lineWidth] = [faint, 1];
  context.beginPath();
  for (const value of ticks(low, high, 7)) {
    const x = Math.round(place.left + (value - low) / (high - low) * (place.right - place.left)) + 0.5;
    context.moveTo(x, place.top);
    context.lineTo(x, place.bottom);
    context.fillText(String(value).replace("-", "−"), x, place.bottom + 6);
  }
  for (const y of [place.middle, place.upper, place.bottom]) {
    context.moveTo(place.left, y + 0.5);
    context.lineTo(place.right, y + 0.5);
  }
  context.stroke();
  [context.textAlign, context.textBaseline] = ["right", "middle"];
  for (const [share, text] of [[0, "0"], [0.5, "½"], [1, "1"]]) {
    context.fillText(text, place.left - 6, place.bottom - share * (place.bottom - place.upper));
  }
  sideways(context, "density", 12, (place.top + place.middle) / 2);
  if (place.bottom - place.upper < LABELLED) return;
  sideways(context, "D(x)", 10, (place.upper + place.bottom) / 2 - (place.bottom - place.upper) / 4);
}

function sideways(context, text, x, y) {
  context.save();
  context.translate(x, y);
  context.rotate(-Math.PI / 2);
  context.textAlign = "center";
  context.fillText(text, 0, 0);
  context.restore();
}

const LINE = {
  moving: ["generated", "probability"],

  layers: [["real", "Real numbers", REAL, true], ["generated", "Generated numbers", FAKE, true],
           ["density", "True density", "ink", true], ["learned", "D(x)", SECOND, true],
           ["best", "Best possible D", "dashed", true]],
  either: [],

  aspect() {
    return 0.82;
  },

  draw(context, scene) {
    const {opening, arrays, layers, colours} = scene, place = panels(scene), {density: truth} = opening.arrays;
    const [low, high] = opening.header.extent, real = histogram(opening.arrays.real);
    const bin = (high - low) / BINS;  // a share divided by this is a density
    const peak = 1.35 * Math.max(Math.max(...truth) * bin, Math.max(...real));
    drawLineAxes(context, scene, place);
    if (layers.has("real")) drawBars(context, real, REAL, peak, place);
    if (layers.has("generated")) drawBars(context, histogram(arrays.generated), FAKE, peak, place);
    if (layers.has("density")) {
      const height = (value) => place.middle - value * bin / peak * (place.middle - place.top);
      drawLine(context, truth, height, place, {strokeStyle: colours.ink, lineWidth: 1.6});
    }
    const chance = (value) => place.bottom - value / CERTAIN * (place.bottom - place.upper);
    const half = [CERTAIN / 2, CERTAIN / 2];
    drawLine(context, half, chance, place, {strokeStyle: colours.ink, lineWidth: 1, dash: [1, 4]});
    if (layers.has("best")) {
      drawLine(context, arrays.best, (value) => value === NO_ANSWER ? null : chance(value), place,
               {strokeStyle: colours.ink, lineWidth: 1.4, dash: [6, 4]});
    }
    if (layers.has("learned")) {
      drawLine(context, arrays.probability, chance, place, {strokeStyle: SECOND, lineWidth: 2});
    }
  },
};
