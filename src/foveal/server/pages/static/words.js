// What the page says about numbers and models. Knows nothing of the page.

const MOST_RUNS = 12;
const RUNNING = [/\p{Nd}/u, /\p{Lu}/u, /\p{Ll}/u];

// By what a model answers with: labels, a text or a mask.
export const WORDS = {
  labels: {
    recognise: { mode: "Recognise", title: "What is in this picture?" },
    check: { mode: "Category check", title: "Does the picture fit its category?" },
  },
  text: {
    recognise: { mode: "Read", title: "What does this picture say?" },
    check: { mode: "Text check", title: "Does the picture say what is expected?" },
  },
  mask: {
    recognise: { mode: "Segment", title: "What is in this picture, and where?" },
  },
};

export function percent(share) {
  const value = 100 * share;
  // Never claims a certainty that the number does not have.
  if (value > 99.9 && value < 100) return "> 99.9 %";
  const digits = value < 10 || (value > 99 && value < 100) ? 1 : 0;
  return `${value.toFixed(digits)} %`;
}

export function aboutModel(model) {
  if (model.target === "mask") return marks(model);
  const measure = model.metrics[model.primary_metric];
  const tested = measure ? ` Right for ${measured(measure)} of its validation pictures.` : "";
  const does = model.target === "text" ? reads(model) : `tells ${listed(model.labels)} apart.`;
  return `${model.name} ${does}${tested}${caution(model)}`;
}

function caution(model) {
  return model.usable ? "" : ` ${model.promise}`;
}

function marks(model) {
  const { name, labels, metrics: { dice } } = model;
  const what = labels.filter((label) => label !== "background");
  const tested = dice ? ` On its validation pictures the Dice overlap with the true masks is ${measured(dice)}.` : "";
  return `${name} marks ${listed(what.length > 0 ? what : labels)} in pictures of any size.${tested}${caution(model)}`;
}

function reads({ labels, input }) {
  const what = `reads texts of ${labels.length} characters: ${alphabetRuns(labels)}.`;
  if (input.steps.some((step) => step.startsWith("lines"))) {
    return `${what} It finds the lines of a page itself.`;
  }
  if (input.fit !== "line") return what;
  const ratio = Math.floor((10 * input.width) / input.height) / 10;
  return `${what} It takes lines of any width, up to ${ratio} times the height, at ${input.height} pixels high.`;
}

// "ABCDX/0" → "A–D X / 0"
export function alphabetRuns(names) {
  const runs = [];
  for (const name of names) {
    const last = runs.at(-1);
    const follows = last && name.codePointAt(0) === last.at(-1).codePointAt(0) + 1;
    // From "/" to "0" is a step in the code only.
    if (follows && RUNNING.some((kind) => kind.test(last.at(-1)) && kind.test(name))) last.push(name);
    else runs.push([name]);
  }
  // A word joiner keeps a run on its line.
  const texts = runs.slice(0, MOST_RUNS).map((run) =>
    run.length > 2 ? `${run[0]}–\u2060${run.at(-1)}` : run.map(visible).join(" "),
  );
  return texts.join(" ") + (runs.length > MOST_RUNS ? " …" : "");
}

// A space would not be seen.
export function visible(character) {
  return character.trim() === "" ? "␣" : character;
}

export function listed(names) {
  if (names.length === 1) return names[0];
  if (names.length > 6) return `${names.length} classes`;
  return `${names.slice(0, -1).join(", ")} and ${names.at(-1)}`;
}

function measured({ value, low, high }) {
  const known = typeof low === "number" && typeof high === "number";
  return known ? `${percent(value)} (${tenths(low)} to ${tenths(high)} %)` : percent(value);
}

// Cut, not rounded: 99.96 is not 100.
function tenths(share) {
  return Math.floor(1000 * share + 1e-6) / 10;
}
