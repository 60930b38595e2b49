// Sentences of this tab.

const article = (digit) => digit === 8 ? "an 8" : `a ${digit}`;
const capital = (words) => words[0].toUpperCase() + words.slice(1);

const WORDS_OF_DRAWING = {
  empty: "Draw, and the networks answer.",
  looking: "The networks look at it …",
  slow: "The server is at work.",
  unread: "Not read yet",
  sees: "What the networks see",
  saw: "What the networks saw last",
  line: ({read, sure, probability}) => `${capital(article(read))}, ${percent(sure)}`
    + (probability === null ? "" : ` · ${percent(probability)} real`),
  aloud: ({read, sure, probability}) => `Reads ${article(read)}, ${percent(sure)}`
    + (probability === null ? "." : `; ${percent(probability)} real.`),
  real: ({model, names, class: label, asRead}) => "real"
    + (label === null ? "" : asRead ? ` for ${article(label)}` : ` for the class ${names[label]}`)
    + `, says the discriminator of ${model}`,
  noDiscriminator: ({model}) => `${model} has no discriminator: nothing here says how real it looks.`,
  read: (sure) => `says the classifier, ${percent(sure)}`,
  examples: "Examples",
  example: (digit) => `Example ${digit}`,
  full: "The drawing has as many points as it may have. Undo or clear something.",
  noPhoto: "The browser cannot read this file as a picture.",
  photo: "Your photo, made into a digit like those from which the networks learned:",
  about: (model) => `Find it searches the random numbers from which ${model} makes the picture closest to yours.`,
  pass: (model) => `The encoder of ${model} reads your drawing in one pass, and its generator draws this. `
    + "Find it begins here.",
  passed: "Its reconstruction, in one pass",
  closest: "The generator’s closest",
  asRead: "as the classifier reads it",
  nothing: "Draw something first.",
  save: "Save picture",
  again: (seed) => `Search from seed ${seed}`,
  stopped: "Stopped.",
  broken: "The search broke off.",
  // PSNR and the root of the mean squared difference are the same number in two ways
  result: ({psnr, off, read, sure}, pass) => `${closeness(psnr)} A pixel typically differs by ${Math.round(100 * off)}% of the `
    + `range from black to white (PSNR ${psnr.toFixed(1)} dB). The classifier reads ${article(read)}, ${percent(sure)}.`
    + (pass ? ` One pass of the encoder: PSNR ${pass.psnr.toFixed(1)} dB.` : ""),
};

/** @param {number} psnr in dB @returns {string} */
function closeness(psnr) {
  if (psnr >= 20) return "That is close.";
  return psnr >= 15 ? "The shape is found, but not every line." : "The search found nothing like it.";
}
