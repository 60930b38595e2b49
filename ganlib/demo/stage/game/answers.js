// What is shown at the end of a game.

/** @returns {HTMLElement} who got which pictures right, as a row of ten squares */
function marks(rows, who) {
  return make("span", {class: "game-marks", "aria-hidden": "true"},
              ...rows.map((row) => make("i", {"data-right": row[who] === row.truth})));
}

/** One answer of somebody, with whether it was right. */
function says(name, words, right) {
  const label = right ? "right" : "wrong";
  const mark = make("b", {"data-right": right, role: "img", "aria-label": label}, right ? "✓" : "✗");
  return make("span", {class: "game-says"}, `${name}: ${words}`, mark);
}

/** @returns {HTMLLIElement} a picture with the truth, both answers and where it is from */
function answerCard(row, number, picture, openSeed) {
  const canvas = make("canvas", {class: "stage-pixels", role: "img", "aria-label": `Picture ${number}`});
  putPicture(canvas, picture);
  const open = row.seed === null ? null
    : make("button", {type: "button", onclick: () => openSeed(row.seed)}, SENTENCES.seed(row.seed));
  return make("li", {"data-truth": row.truth}, canvas, make("strong", {}, row.truth === "real" ? "Real" : "Generated"),
              says("You", row.guess, row.guess === row.truth),
              says("Discriminator", `${percent(row.probability)} real`, row.discriminator === row.truth),
              make("span", {class: "stage-info"}, row.sentence), open);
}

/** @returns {string} what the scores mean */
function meaning({you, by_chance: chance, usual}) {
  return [SENTENCES.chance(chance, you), you === 7 ? null : SENTENCES.seven, SENTENCES.training,
          usual === null ? SENTENCES.half : SENTENCES.usual(usual)].filter((sentence) => sentence).join(" ");
}

/** Fill the place of the end. @param {Object} answers of the server @param {ImageData[]} pictures */
function showEnd(place, answers, pictures, {openSeed, again, save}) {
  const {you, discriminator, of, pictures: rows} = answers;
  place.replaceChildren(
    make("h3", {}, SENTENCES.score(you, discriminator, of)),
    make("div", {class: "game-sides", "aria-hidden": "true"}, make("span", {}, "You"), marks(rows, "guess"),
         make("span", {}, "Discriminator"), marks(rows, "discriminator")),
    make("p", {class: "stage-info"}, meaning(answers)),
    make("div", {class: "stage-bar"},
         make("button", {type: "button", class: "stage-primary", onclick: again}, "Play again"),
         make("button", {type: "button", title: "All ten pictures with their answers, as a PNG file", onclick: save},
              "Save picture")),
    make("ol", {class: "game-answers"}, ...rows.map((row, i) => answerCard(row, i + 1, pictures[i], openSeed))));
}
