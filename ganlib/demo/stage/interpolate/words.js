// Sentences of this tab.

const WALK = {
  steps: "Pictures from one waypoint to the next, both included.",
  psi: "Below 1: more typical pictures. Above 1: more unusual ones.",
  facts: (count, model) => `${count} pictures of ${model}. All are the generator’s own. Nothing is blended.`,
  oneMore: "A found picture replaces the default waypoints. Send another one, and the walk goes from one to the other.",
  otherModel: (model) => `Found pictures belong to ${model}. They come back when you choose ${model} again.`,
  full: (most) => `A walk has at most ${most} waypoints. Choose the one that the new one replaces.`,
  making: (what) => `The server makes the ${what}.`,
  saved: (name) => `${name} is saved.`,
  noMp4: "This server cannot make an MP4. A GIF works everywhere.",
};
