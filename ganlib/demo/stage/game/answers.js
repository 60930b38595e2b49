// What is shown at the end of a game.

/** @returns {HTMLElement} who got which pictures right, as a row of ten squares */
function marks(rows, who) {
  return make("span", {class: "game-marks", "aria-hidden": "true"},
              ...rows.map((row) => make("i", {"data-right": row[who] === row.truth})));
}

/** One answer of somebody, with whether it was right. */
function says(name, words, right) {
  const mark = make("b", {"data-right": right, role: "img", "aria-label": SENTENCES.verdict[right]}, right ? "✓" : "✗");
  return make("span", {class: "game-says"}, `${name}: ${words}`, mark);
}

/** @returns {HTMLLIElement} a picture with the truth, both answers and where it is from */
function answerCard(row, number, picture, openSeed) {
  const canvas = make("canvas", {class: "stage-pixels", role: "img", "aria-label": SENTENCES.card(number)});
  putPicture(canvas, picture);
  const open = row.seed === null ? null
    : make("button", {type: "button", onclick: () => openSeed(row.seed)}, SENTENCES.seed(row.seed));
  return make("li", {"data-truth": row.truth}, canvas, make("strong", {}, SENTENCES.truth[row.truth]),
              says(SENTENCES.you, row.guess, row.guess === row.truth),
              says(SENTENCES.discriminator, SENTENCES.real(row.probability), row.discriminator === row.truth),
              make("span", {class: "stage-info"}, row.sentence), open);
}

/** @returns {string} what the scores mean */
function meaning({you, by_chance: chance, usual}) {
  return [SENTENCES.few, you === 0 ? null : SENTENCES.chance(chance, you), you === 7 ? null : SENTENCES.seven,
          SENTENCES.training, usual === null ? SENTENCES.half : SENTENCES.usual(usual)]
    .filter((sentence) => sentence).join(" ");
}

/** Fill the place of the end. @param {Object} answers of the server @param {ImageData[]} pictures */
function showEnd(place, answers, pictures, {openSeed, again, save, link}) {
  const {you, discriminator, of, pictures: rows} = answers, share = make("div", {class: "game-share"});
  new LinkButton(share, link, make("button", {type: "button", title: SENTENCES.saved, onclick: save}, SENTENCES.save));
  share.firstElementChild.prepend(
    make("button", {type: "button", class: "stage-primary", onclick: again}, SENTENCES.again));
  place.replaceChildren(
    make("h2", {}, SENTENCES.score(you, discriminator, of)),
    make("div", {class: "game-sides", "aria-hidden": "true"}, make("span", {}, SENTENCES.you), marks(rows, "guess"),
         make("span", {}, SENTENCES.discriminator), marks(rows, "discriminator")),
    make("p", {class: "stage-info"}, meaning(answers)), share, make("p", {class: "stage-info"}, SENTENCES.link),
    make("ol", {class: "game-answers"}, ...rows.map((row, i) => answerCard(row, i + 1, pictures[i], openSeed))));
}

/** Fill the place of the scores of all games. @param {{model, round, you, discriminator, of}[]} scores newest last */
function showScores(place, scores) {
  const sum = (who) => scores.reduce((all, score) => all + score[who], 0), of = sum("of");
  const row = (tag, cells) => make("tr", {}, ...cells.map((cell) => make(tag, {}, String(cell))));
  const rows = scores.slice(-5).reverse().map(({model, round, you, discriminator}) =>
    row("td", [model, round, you, discriminator]));
  if (scores.length > 1) {
    rows.push(row("td", [SENTENCES.all, "", ...["you", "discriminator"].map((who) => SENTENCES.place(sum(who), of))]));
  }
  place.hidden = !scores.length;
  place.replaceChildren(make("table", {class: "game-scores"}, make("caption", {class: "stage-label"}, SENTENCES.games),
                             make("thead", {}, row("th", SENTENCES.columns)), make("tbody", {}, ...rows)));
}
