// Points in the plane over a heat map of the discriminator's probability.

/** @typedef {{opening: Pack, arrays: Object<string, Numbers>, shapes: Object<string, number[]>, layers: Set<string>,
 *             colours: Colours, width: number, height: number, scale: number}} Scene */

const DOTS = new Map();

/** A dot, drawn once for each colour, ground and resolution. */
function dot(colour, radius, outline, scale) {
  const key = `${colour} ${radius} ${outline} ${scale}`;
  if (!DOTS.has(key)) {
    const size = Math.ceil((2 * radius + 2) * scale), canvas = scratch(size, size), context = canvas.getContext("2d");
    context.arc(size / 2, size / 2, radius * scale, 0, 2 * Math.PI);
    [context.fillStyle, context.strokeStyle, context.lineWidth] = [colour, outline, 0.75 * scale];
    context.fill();
    context.stroke();
    DOTS.set(key, canvas);
  }
  return DOTS.get(key);
}

/** Coordinates of the pack (-HALF to HALF from edge to edge) to CSS pixels; x2 points up. */
function placeX(i, scene) {
  return (i / HALF + 1) / 2 * scene.width;
}

function placeY(i, scene) {
  return (1 - (i / HALF + 1) / 2) * scene.height;
}

function drawDots(context, points, colour, radius, scene) {
  const {scale} = scene, picture = dot(colour, radius, scene.colours.outline, scale), size = picture.width / scale;
  const whole = (x) => Math.round((x - size / 2) * scale) / scale;  // device pixels, which are quicker to copy
  for (let i = 0; i < points.length; i += 2) {
    context.drawImage(picture, whole(placeX(points[i], scene)), whole(placeY(points[i + 1], scene)), size, size);
  }
}

const HEAT = {canvas: null, pixels: null, image: null};
/** @type {WeakMap<Pack, {canvas: HTMLCanvasElement, key: string, map: ?Numbers}>} of each film, by its opening */
const BACKS = new WeakMap();

/** The map, row 0 lowest, smoothly over the whole picture. */
function drawHeat(context, map, shape, scene) {
  const [rows, columns] = shape;
  if (!HEAT.canvas || HEAT.canvas.width !== columns || HEAT.canvas.height !== rows) {
    HEAT.canvas = scratch(columns, rows);
    HEAT.image = HEAT.canvas.getContext("2d").createImageData(columns, rows);
    HEAT.pixels = new Uint32Array(HEAT.image.data.buffer);
  }
  for (let row = 0; row < rows; row++) {
    const above = (rows - 1 - row) * columns;
    for (let column = 0; column < columns; column++) {
      HEAT.pixels[above + column] = scene.colours.heat[Math.round(map[row * columns + column])];
    }
  }
  HEAT.canvas.getContext("2d").putImageData(HEAT.image, 0, 0);
  context.imageSmoothingEnabled = true;
  context.drawImage(HEAT.canvas, 0, 0, scene.width, scene.height);
}

function drawCurve(context, points, scene) {
  context.beginPath();
  for (let i = 0; i < points.length; i += 2) context.lineTo(placeX(points[i], scene), placeY(points[i + 1], scene));
  [context.strokeStyle, context.lineWidth, context.globalAlpha] = [scene.colours.ink, 1, 0.7];
  context.stroke();
  context.globalAlpha = 1;
}

/** The generator's picture of a regular grid of latents. */
function drawNet(context, net, [rows, columns], scene) {
  context.beginPath();
  const go = (row, column, start) => {
    const i = 2 * (row * columns + column), x = placeX(net[i], scene), y = placeY(net[i + 1], scene);
    if (start) context.moveTo(x, y);
    else context.lineTo(x, y);
  };
  for (let row = 0; row < rows; row++) for (let column = 0; column < columns; column++) go(row, column, column === 0);
  for (let column = 0; column < columns; column++) for (let row = 0; row < rows; row++) go(row, column, row === 0);
  [context.strokeStyle, context.lineWidth, context.globalAlpha] = [scene.colours.strong, 0.8, 0.55];
  context.stroke();
  context.globalAlpha = 1;
}

/** From each of the first generated points the way in which the discriminator pulls it. */
function drawArrows(context, arrows, points, scene) {
  context.beginPath();
  for (let i = 0; i < arrows.length; i += 2) {
    const x = placeX(points[i], scene), y = placeY(points[i + 1], scene);
    const dx = arrows[i] / HALF / 2 * scene.width, dy = -arrows[i + 1] / HALF / 2 * scene.height;
    const length = Math.hypot(dx, dy);
    if (length < 1) continue;
    const head = Math.min(5, length / 2) / length;
    context.moveTo(x, y);
    context.lineTo(x + dx, y + dy);
    context.moveTo(x + dx - head * (dx - dy / 2), y + dy - head * (dy + dx / 2));
    context.lineTo(x + dx, y + dy);
    context.lineTo(x + dx - head * (dx + dy / 2), y + dy - head * (dy - dx / 2));
  }
  [context.strokeStyle, context.lineWidth, context.globalAlpha] = [scene.colours.strong, 1, 0.6];
  context.stroke();
  context.globalAlpha = 1;
}

/** What stays while points move from frame to frame: the map, the real points. @returns {HTMLCanvasElement} */
function background(scene) {
  const {opening, arrays, shapes, layers, colours, width, height, scale} = scene, {arrays: fixed} = opening;
  const name = layers.has("best") ? "best" : "probability", map = arrays[name];
  const key = [width, height, scale, colours.dark, ...layers].join(" ");
  if (!BACKS.has(opening)) BACKS.set(opening, {canvas: scratch(1, 1), key: "", map: null});
  const back = BACKS.get(opening);
  if (back.key === key && back.map === map) return back.canvas;
  const context = sized(back.canvas, width, height, scale);
  [context.fillStyle, context.imageSmoothingEnabled] = [colours.ground, true];
  context.fillRect(0, 0, width, height);
  if (layers.has("learned") || layers.has("best")) drawHeat(context, map, shapes[name], scene);
  if (fixed.curve && layers.has("real")) drawCurve(context, fixed.curve, scene);
  if (layers.has("real")) drawDots(context, fixed.real, REAL, 2.4, scene);
  Object.assign(back, {key, map});
  return back.canvas;
}

const PLANE = {
  /** Arrays whose numbers move from frame to frame. */
  moving: ["generated", "arrows", "net"],

  layers: [["real", "Real points", REAL, true], ["generated", "Generated points", FAKE, true],
           ["learned", "D’s heat map", "heat", true], ["best", "Best possible D", "heat", false],
           ["arrows", "Pull on points", "strong", true], ["net", "Generator’s net", "strong", false]],

  /** Only one of these layers is on at a time. */
  either: ["learned", "best"],

  /** @param {Pack} opening @returns {number} height for a width of 1 */
  aspect({header: {extent: [left, right, low, high]}}) {
    return Math.min(1, Math.max(0.7, (high - low) / (right - left)));
  },

  /** @param {CanvasRenderingContext2D} context @param {Scene} scene */
  draw(context, scene) {
    const {arrays, shapes, layers} = scene;
    context.drawImage(background(scene), 0, 0, scene.width, scene.height);
    if (layers.has("net")) drawNet(context, arrays.net, shapes.net, scene);
    if (layers.has("generated")) drawDots(context, arrays.generated, FAKE, 2.7, scene);
    if (layers.has("arrows")) drawArrows(context, arrays.arrows, arrays.generated, scene);
  },
};
