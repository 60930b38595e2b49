// The sheet of digits, each with the discriminator's probability under it.

const SIDE = 28, COLUMNS = 10, HEADER = 20;
const SHEET = {canvas: null, image: null};

/** @param {Numbers} pixels (count, 28, 28) @returns {HTMLCanvasElement} all digits side by side, without gaps */
function sheetOf(pixels, rows) {
  if (!SHEET.canvas || SHEET.canvas.height !== rows * SIDE) {
    SHEET.canvas = scratch(COLUMNS * SIDE, rows * SIDE);
    SHEET.image = SHEET.canvas.getContext("2d").createImageData(COLUMNS * SIDE, rows * SIDE);
  }
  const data = SHEET.image.data;
  for (let i = 0; i < pixels.length; i++) {
    const digit = Math.floor(i / (SIDE * SIDE)), inside = i % (SIDE * SIDE);
    const x = digit % COLUMNS * SIDE + inside % SIDE;
    const y = Math.floor(digit / COLUMNS) * SIDE + Math.floor(inside / SIDE), place = 4 * (y * COLUMNS * SIDE + x);
    const share = pixels[i] / 255;
    data[place] = 13 + share * 242;  // from the page's dark ground, #0d0f16, to white
    data[place + 1] = 15 + share * 240;
    data[place + 2] = 22 + share * 233;
    data[place + 3] = 255;
  }
  SHEET.canvas.getContext("2d").putImageData(SHEET.image, 0, 0);
  return SHEET.canvas;
}

/** The edge of a digit in CSS pixels: whole multiples of 28 device pixels where that wastes little room. */
function edgeOf(cell, scale) {
  const room = (cell - 4) * scale, whole = Math.floor(room / SIDE) * SIDE;
  return (whole >= 0.93 * room ? whole : Math.floor(room)) / scale;
}

const DIGITS = {
  moving: ["sheet", "probability"],

  layers: [["generated", "Generated digits", FAKE, true], ["real", "Real digits", REAL, false],
           ["learned", "D’s probability", "heat", true]],
  either: ["generated", "real"],

  aspect(opening, width) {
    const rows = opening.arrays.real.length / (SIDE * SIDE * COLUMNS);
    return (HEADER + rows * (width / COLUMNS + 4) + 6) / width;
  },

  draw(context, scene) {
    const {arrays, opening, layers, width, scale, colours} = scene, real = layers.has("real");
    const pixels = real ? opening.arrays.real : arrays.sheet, count = pixels.length / (SIDE * SIDE);
    const sheet = sheetOf(pixels, count / COLUMNS), cell = width / COLUMNS, edge = edgeOf(cell, scale);
    [context.fillStyle, context.font] = [colours.ink, `600 12px ${FONT}`];
    [context.textAlign, context.textBaseline] = ["center", "middle"];
    for (let i = 0; i < COLUMNS; i++) context.fillText(String(i), (i + 0.5) * cell, HEADER / 2 + 1);
    context.imageSmoothingEnabled = false;
    for (let i = 0; i < count; i++) {
      const column = i % COLUMNS, row = Math.floor(i / COLUMNS);
      const x = Math.round((column * cell + (cell - edge) / 2) * scale) / scale;
      const y = Math.round((HEADER + row * (cell + 4)) * scale) / scale;
      context.drawImage(sheet, column * SIDE, row * SIDE, SIDE, SIDE, x, y, edge, edge);
      if (!layers.has("learned") || real) continue;
      drawChance(context, arrays.probability[i] / 254, x, y + edge + 1, edge, colours);
    }
  },
};

/** A bar as long as the probability that the digit is real. */
function drawChance(context, share, x, y, width, colours) {
  context.fillStyle = colours.faint;
  context.fillRect(x, y, width, 3);
  context.fillStyle = probabilityColour(share);
  context.fillRect(x, y, Math.max(1, share * width), 3);
}
