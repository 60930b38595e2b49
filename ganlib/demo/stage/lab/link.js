// Links: settings and a moment of the film to the query of an address, and back.

const LETTERS = {both: "b", discriminator: "d", generator: "g"};
const HIDEABLE = {controls: "All controls", stories: "Stories", layers: "Layers", draw: "Drawing"};

function hex(value) {
  return Math.round(Math.min(1, Math.max(0, value)) * 255).toString(16).padStart(2, "0");
}

/** @param {number[] | number[][]} drawn @returns {string} two hexadecimal digits for each height or coordinate */
function encodeDrawn(drawn) {
  const point = (item) => item.map((value) => hex((value + 1) / 2)).join("");
  return drawn.map((item) => Array.isArray(item) ? point(item) : hex(item)).join("");
}

/** @returns {number[] | number[][] | null} null where the text is no drawing of that target */
function decodeDrawn(text, target, limits) {
  if (!/^([0-9a-f]{2})+$/.test(text)) return null;
  const values = text.match(/../g).map((pair) => parseInt(pair, 16) / 255);
  if (target === "drawn-line") return values.length === limits.heights && Math.max(...values) > 0 ? values : null;
  if (target !== "drawn-cloud" || values.length % 2 || values.length / 2 > limits.points) return null;
  return values.flatMap((x, i) => i % 2 ? [] : [[x * 2 - 1, values[i + 1] * 2 - 1]]);
}

/** @param {Action[]} actions @returns {[string, string] | null} the part of the query that names this moment */
function encodeActions(actions) {
  if (!actions.length) return null;
  if (actions.every(([who]) => who === "both")) return ["step", String(countOf(actions))];
  return ["do", actions.map(([who, n]) => LETTERS[who] + n).join("-")];
}

/** @returns {Action[] | null} null where they are no actions that the film can have */
function decodeActions(query, limits) {
  if (query.has("step")) {
    const step = query.get("step");
    return /^\d{1,7}$/.test(step) && Number(step) <= limits.steps ? withAction([], "both", Number(step)) : null;
  }
  const parts = query.get("do").split("-"), found = [];
  if (parts.length > limits.actions || !parts.every((part) => /^[bdg]\d{1,7}$/.test(part))) return null;
  for (const part of parts) {
    const who = Object.keys(LETTERS).find((name) => LETTERS[name] === part[0]);
    found.push([who, Number(part.slice(1))]);
  }
  const merged = found.reduce((actions, [who, n]) => withAction(actions, who, n), []);
  return countOf(merged) <= limits.steps ? merged : null;
}

function addHide(query, hide) {
  if (hide.length) query.set("hide", hide.join(","));
  return query.toString().replaceAll("%2C", ",");
}

/** The query of a link to a moment of a recorded film. @param {string} film its name @param {number} step */
function encodeFilmLink(film, step, hide) {
  return addHide(new URLSearchParams({tab: "lab", film, step}), hide);
}

function sameSetting(one, other) {
  return JSON.stringify(one) === JSON.stringify(other);
}

/**
 * The query of a link.
 * @param {Object} page @param {Object} settings @param {Action[]} actions @param {string[]} hide
 * @param {Object | null} story where the moment is the end of an unchanged story
 */
function encodeLink(page, settings, actions, hide, story) {
  const query = new URLSearchParams({tab: "lab"}), defaults = page.defaults[settings.target];
  if (story) query.set("story", story.name);
  else {
    query.set("target", settings.target);
    for (const [name, value] of Object.entries(settings)) {
      if (name === "target" || sameSetting(value, defaults[name])) continue;
      query.set(name, name === "drawn" ? encodeDrawn(value) : String(value));
    }
    const moment = encodeActions(actions);
    if (moment) query.set(...moment);
  }
  return addHide(query, hide);
}

/** @returns {* } the value of a control that a text stands for; undefined where it is not allowed */
function decodeValue(control, text) {
  if (control.type === "choice") return control.choices.map(([value]) => value).find((value) => String(value) === text);
  const value = Number(text), whole = control.type !== "whole" || Number.isInteger(value);
  return text.trim() !== "" && whole && value >= control.low && value <= control.high ? value : undefined;
}

/**
 * The state that a query names.
 * @param {Object} page @param {string} search @param {(target: string) => Control[]} controlsOf of a target
 * @returns {{story: ?Object, film: ?Object, step: ?number, settings: ?Object, actions: Action[], hide: string[],
 *            wrong: string[]}} `step` is of the film; `wrong` are sentences for the visitor
 */
function decodeLink(page, search, controlsOf) {
  const query = new URLSearchParams(search), wrong = [];
  const found = {story: null, film: null, step: null, settings: null, actions: [],
                 hide: decodeHide(page, query, wrong), wrong};
  const one = (rows, key, sentence) => {
    const row = rows.find(({name}) => name === query.get(key)) ?? null;
    if (!row) wrong.push(sentence);
    return row;
  };
  if (query.has("story")) found.story = one(page.stories, "story", SENTENCES.badStory);
  else if (query.has("film")) {
    found.film = one(page.films, "film", SENTENCES.badFilm);
    if (found.film) found.step = decodeStep(query, wrong);
  } else if (query.has("target")) {
    const target = one(page.targets, "target", SENTENCES.badTarget);
    if (target) found.settings = decodeSettings(page, query, target.name, controlsOf(target.name), wrong);
    if (target) found.actions = decodeMoment(query, page.limits, wrong);
  }
  return found;
}

/** @returns {number | null} the step of a recorded film; null where the link names none */
function decodeStep(query, wrong) {
  if (!query.has("step")) return null;
  if (/^\d{1,9}$/.test(query.get("step"))) return Number(query.get("step"));
  wrong.push(SENTENCES.badStep);
  return null;
}

/** @returns {Action[]} the moment of a live film; none where the link names none */
function decodeMoment(query, limits, wrong) {
  if (!query.has("step") && !query.has("do")) return [];
  const actions = decodeActions(query, limits);
  if (!actions) wrong.push(SENTENCES.badStep);
  return actions ?? [];
}

function decodeHide(page, query, wrong) {
  const names = (query.get("hide") || "").split(",").filter((name) => name);
  const known = new Set(["target", ...Object.keys(HIDEABLE), ...page.controls.map(({name}) => name)]);
  if (names.some((name) => !known.has(name))) wrong.push(SENTENCES.badHide);
  return names.filter((name) => known.has(name));
}

function decodeSettings(page, query, target, controls, wrong) {
  const settings = {...page.defaults[target]}, labels = [];
  for (const control of controls) {
    if (!query.has(control.name)) continue;
    const value = decodeValue(control, query.get(control.name));
    if (value === undefined) labels.push(control.label);
    else settings[control.name] = value;
  }
  if (query.has("drawn")) {
    const drawn = decodeDrawn(query.get("drawn"), target, page.limits);
    if (drawn) settings.drawn = drawn;
    else labels.push(HIDEABLE.draw);
  }
  if (labels.length) wrong.push(SENTENCES.badSettings(labels.join(", ")));
  return settings;
}
