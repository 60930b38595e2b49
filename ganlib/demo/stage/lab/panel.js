// What stands around the picture: layers, charts, verdict, time.

const SPOKEN_EVERY = 3_000, SEEN_EVERY = 200, CHARTS_EVERY = 120;  // milliseconds, while the film plays

/** The boxes that switch layers; they are the legend too. @param {() => void} changed */
function showLayers(place, drawer, on, changed) {
  place.replaceChildren(...drawer.layers.map(([name, label, colour]) => {
    const box = make("input", {type: "checkbox", "data-layer": name});
    box.checked = on.has(name);
    box.addEventListener("change", () => {
      if (box.checked) on.add(name);
      else on.delete(name);
      if (box.checked && drawer.either.includes(name)) {
        for (const other of drawer.either) if (other !== name) on.delete(other);
      }
      for (const each of place.querySelectorAll("input")) each.checked = on.has(each.dataset.layer);
      changed();
    });
    const mark = make("i", {class: `lab-mark ${colour.startsWith("#") ? "" : `lab-${colour}`}`, "data-mark": colour});
    return make("label", {class: "lab-layer"}, box, mark, label);
  }));
  colourMarks(place);
}

/** Give the legend of the layers the colours in which they are drawn now. */
function colourMarks(place) {
  const colours = coloursNow();
  for (const mark of place.querySelectorAll("[data-mark]")) {
    mark.style.setProperty("--lab-mark", markOf(mark.dataset.mark, colours));
  }
}

/** @returns {string} what is real, and whether D's probability can be taken at its word */
function factsOf(film, header) {
  const {truth} = film.opening.header, calibrated = header.calibrated ? SENTENCES.calibrated : SENTENCES.raw;
  return truth ? `${truth[0].toUpperCase()}${truth.slice(1)}. ${calibrated}` : calibrated;
}

/** @returns {Object} the two charts of a film, as `drawChart` takes them */
function chartsOf(film, now, colours) {
  const {frames, opening: {header}} = film, common = {end: film.last.header.step, now, colours};
  const floor = film.last.header.distance_of_real;
  return {
    losses: {...common, log: false, levels: header.ln2 ? [{value: LN2, label: "ln 2"}] : [], series: [
      {label: "discriminator", colour: SECOND, points: seriesOf(frames, "discriminator_loss")},
      {label: "generator", colour: FAKE, points: seriesOf(frames, "generator_loss")}]},
    distance: {...common, log: true, levels: [{value: floor, label: "as many real samples"}], series: [
      {label: "generated", colour: FAKE, points: seriesOf(frames, "distance")}]},
  };
}

/** A value of a frame in words. */
function valueText(value) {
  return Number.isFinite(value) ? short(value) : "none yet";
}

class Panel {
  /** @param {Object<string, HTMLElement>} parts of the component, by their names in the template */
  constructor(parts) {
    this.parts = parts;
    this.last = {spoken: -Infinity, seen: -Infinity, charts: -Infinity};
  }

  /** @returns {boolean} whether it is time for something that is done every so often */
  due(name, now, every, hurry) {
    if (!hurry && now - this.last[name] < every) return false;
    this.last[name] = now;
    return true;
  }

  /** Show where the film is. @param {boolean} hurry whether nothing may be left for later */
  show(film, position, title, now, hurry) {
    const {header} = film.frames[position];
    this.showTime(film, position);
    if (this.due("seen", now, SEEN_EVERY, hurry)) this.showWords(film, header);
    if (this.due("spoken", now, SPOKEN_EVERY, hurry)) this.speak(title, header.verdict);
    if (this.due("charts", now, CHARTS_EVERY, hurry)) this.showCharts(film, header);
  }

  showTime(film, position) {
    const {time, step} = this.parts, words = `step ${film.frames[position].header.step.toLocaleString("en")}`;
    time.max = String(film.frames.length - 1);
    time.value = String(position);
    time.style.setProperty("--stage-share", `${100 * position / Math.max(1, film.frames.length - 1)}%`);
    time.setAttribute("aria-valuetext", words);
    step.textContent = words;
  }

  showWords(film, header) {
    this.parts.verdict.textContent = header.verdict;
    const facts = factsOf(film, header);
    if (this.parts.facts.textContent !== facts) this.parts.facts.textContent = facts;
  }

  speak(title, verdict) {
    if (this.parts.aloud.textContent !== verdict) this.parts.aloud.textContent = verdict;
    this.parts.canvas.setAttribute("aria-label", `${title}. ${verdict}`);
  }

  showCharts(film, header) {
    const colours = coloursNow(), charts = chartsOf(film, header.step, colours), {unit} = film.opening.header;
    const [discriminator, generator, distance, floor] = ["discriminator_loss", "generator_loss", "distance",
                                                         "distance_of_real"].map((name) => valueText(header[name]));
    const words = {losses: SENTENCES.losses(discriminator, generator, header.step),
                   distance: SENTENCES.distance(unit, distance, floor, header.step)};
    const titles = {losses: "Losses", distance: "Distance to the target"};
    for (const [name, chart] of Object.entries(charts)) {
      const canvas = this.parts[name], width = canvas.clientWidth;
      if (!width) continue;
      drawChart(canvas, width, canvas.clientHeight, chart);
      canvas.setAttribute("aria-label", words[name]);
      legendOnce(this.parts[`${name}-legend`], titles[name], [...chart.series, ...chart.levels], unit);
    }
  }
}
