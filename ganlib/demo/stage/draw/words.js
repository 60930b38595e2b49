// Sentences of this tab.

/** @param {number} share 0 to 1 @returns {string} in percent; what is not certain is not called 0 or 100 % */
function percent(share) {
  if (share >= 0.995) return "over 99%";
  return share < 0.005 ? "under 1%" : `${Math.round(100 * share)}%`;
}

const article = (digit) => digit === 8 ? "an 8" : `a ${digit}`;
const capital = (words) => words[0].toUpperCase() + words.slice(1);

const WORDS_OF_DRAWING = {
  empty: "Draw, and both networks answer.",
  line: ({read, sure, probability}) => `${capital(article(read))}, ${percent(sure)}`
    + (probability === null ? "" : ` · ${percent(probability)} real`),
  aloud: ({read, sure, probability}) => `Reads ${article(read)}, ${percent(sure)}`
    + (probability === null ? "." : `; ${percent(probability)} real.`),
  real: (model, name) => `real, says the discriminator of ${model}`
    + (name === null ? "" : `, asked about class ${name}`),
  noDiscriminator: (model) => `${model} has no discriminator`,
  read: (sure) => `says the classifier, ${percent(sure)}`,
  noPhoto: "The browser cannot read this file as a picture.",
  photo: "The digit of the photo, as MNIST would have it:",
  reading: "The photo is being read …",
  about: (model) => `Searches the random numbers from which ${model} makes the picture that is closest to yours.`,
  asRead: "as the classifier reads it",
  nothing: "Draw something first.",
  again: (seed) => `Search from seed ${seed}`,
  stopped: "Stopped. ",
  // PSNR and the root of the mean squared difference are the same number in two ways
  result: ({psnr, off, read, sure}) => `PSNR ${psnr.toFixed(1)} dB: a pixel differs by ${Math.round(100 * off)}% `
    + `of the range from black to white (root mean square). ${closeness(psnr)} The classifier reads ${article(read)}, `
    + `${percent(sure)}.`,
  difference: "Blue: only in the drawing. Orange: only in the generated picture.",
};

/** @param {number} psnr in dB @returns {string} */
function closeness(psnr) {
  if (psnr >= 20) return "That is close.";
  return psnr >= 15 ? "The shape is found, but not every line." : "The search found nothing like it.";
}
