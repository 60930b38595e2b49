// The row of recorded films and stories. A story that cures another stands beside it.

/** @returns {HTMLButtonElement} */
function card(kind, {name, title}, sentence, choose) {
  return make("button", {type: "button", class: `lab-card lab-${kind}`, "data-story": `${kind}:${name}`,
                         "aria-pressed": "false", title: sentence, onclick: choose},
              make("small", {}, {film: "Film", story: "Story", cure: "Cured"}[kind]), make("span", {}, title));
}

/** @returns {About} of a film that was recorded */
function aboutFilm({name, title, sentence}) {
  return {key: `film:${name}`, title, sentences: [sentence], film: name, story: null};
}

/** @returns {About} of a film that a story is */
function aboutStory(story) {
  return {key: `story:${story.name}`, title: story.title, sentences: story.watch, film: null, story};
}

/** @param {Object[]} stories @returns {Object[][]} each with those that cure it */
function withCures(stories) {
  return stories.filter(({cures}) => !cures || !stories.some(({name}) => name === cures))
    .map((story) => [story, ...stories.filter(({cures}) => cures === story.name)]);
}

class Stories {
  /**
   * @param {HTMLElement} place
   * @param {Object} page
   * @param {(film: Object) => void} film is told the recorded film that was chosen
   * @param {(story: Object) => void} story
   */
  constructor(place, page, film, story) {
    this.place = place;
    const films = page.films.map((one) => card("film", one, one.sentence, () => film(one)));
    const groups = withCures(page.stories).map((group) => make("div", {class: "lab-pair"}, ...group.map((one, i) =>
      card(i ? "cure" : "story", one, one.watch.join(" "), () => story(one)))));
    place.append(...films, ...groups);
  }

  /** Mark the one that is shown. @param {string | null} key "film:NAME" or "story:NAME" */
  mark(key) {
    for (const button of this.place.querySelectorAll("[data-story]")) {
      const on = key !== null && button.dataset.story.replace("cure:", "story:") === key;
      button.setAttribute("aria-pressed", String(on));
    }
  }
}
