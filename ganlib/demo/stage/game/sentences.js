// All sentences of the game, apart from those of the server.

const percent = (share) => `${(100 * share).toFixed(share < 0.01 || share > 0.99 ? 1 : 0)}%`;

const SENTENCES = {
  loading: "The pictures are loading.",
  picture: (number, count) => `Picture ${number} of ${count}: real or generated?`,
  meant: (words) => `It is meant to be ${words}.`,
  checking: "The discriminator is looking.",
  retry: "Try again",
  score: (you, discriminator, of) => `You: ${you} of ${of}. Discriminator: ${discriminator} of ${of}.`,
  chance: (share, you) =>
    `Ten pictures say little. Chance alone gets ${you} or more of them right in ${percent(share)} of games.`,
  seven: "For 7 or more it is 17%.",
  training: "The discriminator has seen real pictures during the whole training. The generator learned to deceive it.",
  usual: (share) =>
    `A good generator leaves it near 50%. Over many pictures, this discriminator is right for ${percent(share)}.`,
  half: "A good generator leaves it near 50%.",
  seed: (seed) => `Open seed ${seed}`,
};
