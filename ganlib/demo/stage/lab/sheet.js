// The sheet of digits, each with the discriminator's probability under it.

const COLUMNS = 10, HEADER = 20;
const SHEET = {canvas: null, image: null};

/** @returns {{side: number, rows: number}} of digits in an array of this shape, which stand in ten columns */
function sheetSize([count, side]) {
  return {side, rows: count / COLUMNS};
}

/** @param {Numbers} pixels @returns {HTMLCanvasElement} all digits side by side, without gaps */
function sheetOf(pixels, {side, rows}) {
  const width = COLUMNS * side, height = rows * side;
  if (SHEET.canvas?.width !== width || SHEET.canvas.height !== height) {
    SHEET.canvas = scratch(width, height);
    SHEET.image = SHEET.canvas.getContext("2d").createImageData(width, height);
  }
  const data = SHEET.image.data;
  for (let i = 0; i < pixels.length; i++) {
    const digit = Math.floor(i / (side * side)), inside = i % (side * side);
    const x = digit % COLUMNS * side + inside % side;
    const y = Math.floor(digit / COLUMNS) * side + Math.floor(inside / side), place = 4 * (y * width + x);
    const share = pixels[i] / 255;
    data[place] = 13 + share * 242;  // from the page's dark ground, #0d0f16, to white
    data[place + 1] = 15 + share * 240;
    data[place + 2] = 22 + share * 233;
    data[place + 3] = 255;
  }
  SHEET.canvas.getContext("2d").putImageData(SHEET.image, 0, 0);
  return SHEET.canvas;
}

/** The edge of a digit in CSS pixels: whole multiples of its side in device pixels where that wastes little room. */
function edgeOf(cell, side, scale) {
  const room = (cell - 4) * scale, whole = Math.floor(room / side) * side;
  return (whole >= 0.93 * room ? whole : Math.floor(room)) / scale;
}

const DIGITS = {
  moving: ["sheet", "probability"],

  layers: [["generated", "Generated digits", FAKE, true], ["real", "Real digits", REAL, false],
           ["learned", "D’s probability", "chance", true]],
  either: ["generated", "real"],

  aspect(opening, width) {
    const {rows} = sheetSize(opening.shapes.real);
    return (HEADER + rows * (width / COLUMNS + 4) + 6) / width;
  },

  draw(context, scene) {
    const {arrays, shapes, opening, layers, width, scale, colours} = scene, real = layers.has("real");
    const size = sheetSize(real ? opening.shapes.real : shapes.sheet), {side, rows} = size;
    const sheet = sheetOf(real ? opening.arrays.real : arrays.sheet, size);
    const cell = width / COLUMNS, edge = edgeOf(cell, side, scale);
    [context.fillStyle, context.font] = [colours.ink, `600 12px ${FONT}`];
    [context.textAlign, context.textBaseline] = ["center", "middle"];
    for (let i = 0; i < COLUMNS; i++) context.fillText(String(i), (i + 0.5) * cell, HEADER / 2 + 1);
    context.imageSmoothingEnabled = false;
    for (let i = 0; i < rows * COLUMNS; i++) {
      const column = i % COLUMNS, row = Math.floor(i / COLUMNS);
      const x = Math.round((column * cell + (cell - edge) / 2) * scale) / scale;
      const y = Math.round((HEADER + row * (cell + 4)) * scale) / scale;
      context.drawImage(sheet, column * side, row * side, side, side, x, y, edge, edge);
      if (!layers.has("learned") || real) continue;
      drawChance(context, arrays.probability[i] / CERTAIN, x, y + edge + 1, edge, colours);
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
