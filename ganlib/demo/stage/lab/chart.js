// Small charts over the steps of a film: lines, one level to compare them with, and the present moment.

/** @typedef {{label: string, colour: string, points: [number, number][]}} Series */
/** @typedef {{value: number, label: string}} Level */

const MARGIN = {left: 40, right: 10, top: 8, bottom: 20};

/** @returns {number} the step at x pixels from a chart's left edge */
function stepAt(x, width, end) {
  return Math.max(0, x - MARGIN.left) / (width - MARGIN.left - MARGIN.right) * end;
}

/** Without the last hundredth at either end, so that one spike does not flatten the rest. */
function rangeOf(values, levels) {
  const sorted = values.toSorted((a, b) => a - b), cut = Math.floor(sorted.length / 100);
  const shown = [...sorted.slice(cut, sorted.length - cut), ...levels];
  return shown.length ? [Math.min(...shown), Math.max(...shown)] : [0, 1];
}

/** @returns {{at: (value: number) => number, marks: number[]}} a value to its place, 0 (lowest) to 1 (highest) */
function linearScale([low, high]) {
  const margin = 0.08 * (high - low) + 0.02;
  [low, high] = [low - margin, high + margin];
  return {at: (value) => (value - low) / (high - low), marks: ticks(low, high, 4)};
}

/** The same by orders of magnitude; `marks` are 1, 2 and 5 times powers of ten. */
function logScale([low, high]) {
  [low, high] = [Math.log10(Math.max(low, 1e-4) / 1.25), Math.log10(Math.max(high, 2e-4) * 1.25)];
  const marks = [];
  for (let power = Math.floor(low); power <= high; power++) {
    for (const digit of [1, 2, 5]) marks.push(digit * 10 ** power);
  }
  const inside = marks.filter((mark) => Math.log10(mark) >= low && Math.log10(mark) <= high);
  const every = Math.ceil(inside.length / 4);
  return {at: (value) => (Math.log10(Math.max(value, 1e-4)) - low) / (high - low),
          marks: inside.filter((_, i) => i % every === 0)};
}

/**
 * @param {HTMLCanvasElement} canvas @param {number} width @param {number} height
 * @param {{series: Series[], levels: Level[], log: boolean, end: number, now: number, colours: Colours}} chart
 */
function drawChart(canvas, width, height, {series, levels, log, end, now, colours}) {
  const context = sized(canvas, width, height), right = width - MARGIN.right, bottom = height - MARGIN.bottom;
  const values = series.flatMap(({points}) => points.map(([, y]) => y));
  const scale = (log ? logScale : linearScale)(rangeOf(values, levels.map(({value}) => value)));
  const x = (step) => MARGIN.left + step / Math.max(end, 1) * (right - MARGIN.left);
  const y = (value) => bottom - Math.max(-0.02, Math.min(1.02, scale.at(value))) * (bottom - MARGIN.top);
  context.clearRect(0, 0, width, height);
  drawGrid(context, {scale, x, y, end, right, bottom, colours});
  for (const {value} of levels) drawLevel(context, y(value), right, colours);
  for (const {points, colour} of series) {
    context.beginPath();
    for (const [step, value] of points) context.lineTo(x(step), y(value));
    [context.strokeStyle, context.lineWidth, context.lineJoin] = [colour, 1.6, "round"];
    context.stroke();
    const last = points.findLast(([step]) => step <= now);
    if (last) {
      context.beginPath();
      context.arc(x(last[0]), y(last[1]), 3, 0, 2 * Math.PI);
      context.fillStyle = colour;
      context.fill();
    }
  }
  drawUpright(context, x(now), bottom, colours);
}

function drawGrid(context, {scale, x, y, end, right, bottom, colours}) {
  [context.strokeStyle, context.lineWidth] = [colours.faint, 1];
  [context.fillStyle, context.font, context.textAlign, context.textBaseline] =
    [colours.ink, `11px ${FONT}`, "right", "middle"];
  context.beginPath();
  for (const mark of scale.marks) {
    const place = Math.round(y(mark)) + 0.5;
    context.moveTo(MARGIN.left, place);
    context.lineTo(right, place);
    context.fillText(short(mark).replace("-", "−"), MARGIN.left - 6, place);
  }
  context.stroke();
  [context.textAlign, context.textBaseline] = ["center", "top"];
  for (const mark of end > 0 ? ticks(0, end, 3) : [0]) {
    if (Number.isInteger(mark)) context.fillText(mark.toLocaleString("en"), Math.min(x(mark), right - 10), bottom + 6);
  }
}

function drawLevel(context, y, right, colours) {
  context.beginPath();
  context.moveTo(MARGIN.left, y);
  context.lineTo(right, y);
  context.setLineDash([2, 4]);
  [context.strokeStyle, context.lineWidth] = [colours.ink, 1.2];
  context.stroke();
  context.setLineDash([]);
}

function drawUpright(context, x, bottom, colours) {
  context.beginPath();
  context.moveTo(x, MARGIN.top);
  context.lineTo(x, bottom);
  [context.strokeStyle, context.lineWidth, context.globalAlpha] = [colours.ink, 1, 0.5];
  context.stroke();
  context.globalAlpha = 1;
}

/** The words over a chart: what each line is. A `colour` of null stands for the dotted level. */
function legend(place, title, entries) {
  place.replaceChildren(make("strong", {}, title), ...entries.map(({label, colour}) => {
    const mark = make("i", {class: colour ? "lab-mark" : "lab-mark lab-dotted"});
    if (colour) mark.style.background = colour;
    return make("span", {}, mark, label);
  }));
}

/** Write a legend where it differs from the one that stands there. */
function legendOnce(place, title, entries, unit) {
  const key = JSON.stringify([title, entries.map(({label}) => label)]);
  place.title = title === "Losses" ? "" : unit;
  if (place.dataset.key === key) return;
  place.dataset.key = key;
  legend(place, title, entries);
}

/** @param {Moment[]} frames @returns {[number, number][]} step and value, where there is one */
function seriesOf(frames, name) {
  return frames.filter(({header}) => Number.isFinite(header[name])).map(({header}) => [header.step, header[name]]);
}
