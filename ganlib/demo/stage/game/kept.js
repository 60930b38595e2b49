// What the browser's tab keeps over a reload: the round that is played, and the scores of earlier rounds.

const KEPT = "ganlib-game", MAX_SCORES = 50;

/** @returns {{model: ?string, round: ?number, guesses: string[], scores: Object[]}} */
function readKept() {
  const none = {model: null, round: null, guesses: [], scores: []};
  try {
    return {...none, ...JSON.parse(sessionStorage.getItem(KEPT))};
  } catch {
    return none;
  }
}

function writeKept(kept) {
  try {
    sessionStorage.setItem(KEPT, JSON.stringify(kept));
  } catch {
    // the browser keeps nothing
  }
}
