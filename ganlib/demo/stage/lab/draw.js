// What all drawers share: colours.

/** The colours of ganlib/charts.py: blue is real, orange is generated. */
const REAL = "#3b82f6", FAKE = "#f97316", SECOND = "#a855f7";
const REAL_RGB = [59, 130, 246], FAKE_RGB = [249, 115, 22];
const LN2 = Math.log(2);

/** Of the packs: coordinates in half an extent, the shade of probability 1, and the shade of no answer. */
const {half: HALF, real: CERTAIN, none: NO_ANSWER} = PAGE.units;

/** @typedef {{dark: boolean, ground: string, ink: string, strong: string, faint: string, outline: string,
 *             heat: Uint32Array}} Colours */

const LIGHT = {dark: false, ground: "#ffffff", ink: "#4b5468", strong: "#1f2937", faint: "#e3e7f0",
               outline: "rgba(255,255,255,0.85)", heat: heatColours([251, 252, 254])};
const DARK = {dark: true, ground: "#11141e", ink: "#a9b2c6", strong: "#e5e9f2", faint: "#2a3145",
              outline: "rgba(13,15,22,0.75)", heat: heatColours([21, 25, 37])};

/** @returns {Colours} */
function coloursNow() {
  return document.body.classList.contains("dark") ? DARK : LIGHT;
}

/** The colours of all shades as pixels: orange for 0, `middle` for 1/2, blue for 1; nothing for no answer. */
function heatColours(middle) {
  const pixels = new Uint32Array(256), half = CERTAIN / 2;
  for (let i = 0; i <= CERTAIN; i++) {
    const share = (Math.abs(i - half) / half) ** 0.8 * 0.72, end = i < half ? FAKE_RGB : REAL_RGB;
    const [r, g, b] = middle.map((value, c) => Math.round(value + (end[c] - value) * share));
    pixels[i] = (255 << 24 | b << 16 | g << 8 | r) >>> 0;
  }
  return pixels;
}

/** @param {number} pixel of `heatColours` */
function pixelColour(pixel) {
  return `rgb(${pixel & 255},${pixel >> 8 & 255},${pixel >> 16 & 255})`;
}

function gradient(colours) {
  return `linear-gradient(to right, ${colours.join(", ")})`;
}

/** The legend of a layer as a CSS background: a colour of its own, or what it is drawn with in these colours. */
function markOf(colour, colours) {
  const marks = {ink: () => colours.ink, strong: () => colours.strong, dashed: () => colours.ink,
                 heat: () => gradient([0, CERTAIN / 2, CERTAIN].map((i) => pixelColour(colours.heat[Math.round(i)]))),
                 chance: () => gradient([0, 0.5, 1].map(probabilityColour))};
  return Object.hasOwn(marks, colour) ? marks[colour]() : colour;
}

/** Between orange (0) and blue (1), by way of grey. */
function probabilityColour(share) {
  const grey = [148, 156, 176], weight = Math.abs(share - 0.5) * 2, end = share < 0.5 ? FAKE_RGB : REAL_RGB;
  return `rgb(${grey.map((value, c) => Math.round(value + (end[c] - value) * weight)).join(",")})`;
}

/** @param {number} value @returns {string} as short as it is exact enough */
function short(value) {
  if (value === 0) return "0";
  const size = Math.abs(value);
  if (size >= 1000) return Math.round(value).toLocaleString("en");
  if (size < 0.001) return value.toExponential(0).replace("e-", "e−");
  return String(Number(value.toPrecision(3)));
}
