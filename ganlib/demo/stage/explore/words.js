// Sentences of this tab.

const ENDS = {slant: ["left", "right"], weight: ["thin", "bold"], width: ["narrow", "wide"], height: ["low", "tall"],
              loop: ["small", "large"]};

const capital = (words) => words[0].toUpperCase() + words.slice(1);

const EXPLORE = {
  parts: {sliders: "Sliders", plane: "Plane", arithmetic: "Arithmetic"},
  below: [["seeds", "Other seeds"], ["slider", "From \u22123 to 3"]],
  corners: ["Top left", "Top right", "Bottom left", "Bottom right"],
  wait: "Wait until the picture is there.",
  psi: "Below 1: more typical pictures. Above 1: more unusual ones.",
  measuring: "Measuring what each direction changes.",
  /** How closely a measured change follows its slider. */
  follows: (r) => `follows ${r >= 0.9 ? "closely" : r >= 0.7 ? "fairly" : "loosely"} (r = ${r.toFixed(2)})`,
  measured: "How closely the measured change follows the slider: r = 1 is exactly, r = 0 is not at all.",
  unnamed: "These are the directions in which the pictures change most. They have no measured names.",
  mixes: "While a slider moves, the browser may mix the two nearest pictures. When it rests, the model makes the exact one.",
  keys: "Drag the point, or use the arrow keys. Shift makes small steps. While it moves, the browser mixes the four nearest "
    + "pictures of the grid. When it rests, the model makes the exact one.",
  sum: "What A has and B lacks is added to C. The first examples of ganlib’s own models were chosen because they work. "
    + "With other seeds it often fails.",
  terms: (words) => `A minus B plus C is shown for ${words.join(", ")}.`,
  /** A place on the plane. */
  place: ([x, y]) => `${Math.round(100 * x)}% across, ${Math.round(100 * y)}% down`,
  own: (name) => name === undefined ? "the seed’s own" : `the seed’s own: ${name}`,
  eachOwn: "each corner’s own",
};
