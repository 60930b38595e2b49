// All sentences that the stage shows or reads out, apart from those of the page's table and of the server.

const SENTENCES = {
  recorded: "Recorded film. Press Train to train it live.",
  recipe: (name) => `These are the networks of ${name}, not the lab’s. Press Train to train the lab’s own.`,
  restart: "A new setting starts the film again at step 0.",
  loading: "The film is loading.",
  end: "The film is at its longest. Press Reset to begin again.",
  change: "Change a setting.",
  retry: "Press Play to try again.",
  noAnswer: "The server does not answer. Check your connection, then press Play to go on.",

  catching: (done, of) => `Catching up: ${done.toLocaleString("en")} of ${of.toLocaleString("en")} steps`,
  waiting: "Waiting for the server",
  drawing: "Drawing the film",
  making: "Making the GIF",
  notSaved: "The file could not be made.",

  calibrated: "D’s probability is calibrated on these samples.",
  raw: "D’s probability is not calibrated.",
  losses: (discriminator, generator, step) =>
    `Losses at step ${step}: discriminator ${discriminator}, generator ${generator}.`,
  distance: (unit, value, floor, step) =>
    `Distance to the target at step ${step}, ${unit}: ${value}. As many real samples have ${floor}.`,

  badSettings: (labels) => `Not valid in this link: ${labels}. The defaults are used.`,
  badStep: "The step in this link is not valid. It is left out.",
  badHide: "This link hides a part that the lab does not have.",
  badTarget: "This link names no target of the lab. The first film is shown.",
  badStory: "This link names no story of the lab. The first film is shown.",
  badFilm: "This link names no film of the lab. The first film is shown.",

  drawCurve: "Draw a curve from left to right: high where numbers are frequent. By keyboard, choose a shape below.",
  drawCloud: "Draw where real points are frequent. By keyboard, choose a shape below.",
  allPoints: (limit) => `These are all ${limit} points. Press Done, or clear the field.`,

  emptyFrame: "The frame is empty.",
  cutHeader: "The frame's header is cut off.",
  unreadHeader: "The frame's header cannot be read.",
  noArrays: "The frame's header names no arrays.",
  unknownType: (name) => `The frame's array ${name} has an unknown type.`,
  badShape: (name) => `The frame's array ${name} has no valid shape.`,
  cutArray: (name) => `The frame's array ${name} is cut off.`,
  longFrame: "The frame is longer than its header says.",
  cutFilm: "The recorded film is cut off.",
  noFrames: "The recorded film has no frames.",
};
