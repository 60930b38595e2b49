// Elements, canvases at the screen's resolution, and words that all stages use.

const FONT = "ui-sans-serif, system-ui, -apple-system, 'Segoe UI', Roboto, 'Helvetica Neue', Arial, sans-serif";

const WORDS = {
  noAnswer: "The server does not answer. Check your connection, and try again.",
  copied: "The link is copied.",
  selected: "The link is selected. Copy it.",
  loading: "The pictures are loading.",
  again: "Try again",
  seeds: (most) => `A seed is a whole number from 0 to ${most.toLocaleString("en")}.`,
  noPicture: "The browser could not make a picture.",
};

/**
 * @param {number} share 0 to 1
 * @returns {string} in percent: what is not certain is not called 0% or 100%, and near 50% a digit more shows which side
 *     it is on. `percent` of ganlib/demo/game.py is the same.
 */
function percent(share) {
  if (share >= 0.995) return "over 99%";
  if (share < 0.005) return "under 1%";
  if (Math.abs(share - 0.5) >= 0.005) return `${Math.round(100 * share)}%`;
  return `${((share > 0.5 ? Math.ceil : Math.floor)(1000 * share) / 10).toFixed(1)}%`;
}

function moves() {
  return !window.matchMedia("(prefers-reduced-motion: reduce)").matches;
}

/** @returns {number} device pixels for one CSS pixel, at most 2 */
function density() {
  return Math.min(2, window.devicePixelRatio || 1);
}

/** Set the canvas to a size in CSS pixels. @returns {CanvasRenderingContext2D} which draws in CSS pixels */
function sized(canvas, width, height, scale = density()) {
  const w = Math.max(1, Math.round(width * scale)), h = Math.max(1, Math.round(height * scale));
  if (canvas.width !== w || canvas.height !== h) [canvas.width, canvas.height] = [w, h];
  const context = canvas.getContext("2d");
  context.setTransform(scale, 0, 0, scale, 0, 0);
  context.globalAlpha = 1;
  return context;
}

/** @returns {HTMLCanvasElement} of device pixels, not in the page */
function scratch(width, height) {
  const canvas = document.createElement("canvas");
  [canvas.width, canvas.height] = [width, height];
  return canvas;
}

/**
 * An element with attributes and children. Texts become text nodes, never markup.
 * @param {Object<string, *>} attributes "on…" are listeners; true and false set and leave out
 */
function make(tag, attributes = {}, ...children) {
  const found = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) {
    if (name.startsWith("on")) found.addEventListener(name.slice(2), value);
    else if (value === true) found.setAttribute(name, "");
    else if (value !== false && value !== null && value !== undefined) found.setAttribute(name, value);
  }
  found.append(...children.filter((child) => child !== null && child !== undefined));
  return found;
}

