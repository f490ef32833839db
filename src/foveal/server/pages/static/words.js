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

// A measured figure, in the digits of the report and the terminal: `foveal.words.percent`.
export function figure(share) {
  if (typeof share !== "number" || !Number.isFinite(share)) return "–";
  const value = 100 * share;
  // Python rounds a half to the even digit. Of the halves of a tenth, only .25 and .75 are exact.
  const text = ((4 * value) % 4 === 1 ? value - 0.01 : value).toFixed(1);
  return `${share < 1 && Number(text) >= 100 ? "99.9" : text} %`;
}

// "97.5 % (95.5 to 98.6 %)"
export function measured({ value, low, high }) {
  const known = typeof low === "number" && typeof high === "number";
  return known ? `${figure(value)} (${figure(low).slice(0, -2)} to ${figure(high)})` : figure(value);
}

export function counted(count, noun) {
  return `${count.toLocaleString("en")} ${noun}${count === 1 ? "" : "s"}`;
}

export function aboutModel(model) {
  if (model.target === "mask") return marks(model);
  const measure = model.metrics[model.primary_metric];
  const tested = measure ? ` ${measured(measure)} of its answers to validation pictures were right.` : "";
  const does = model.target === "text" ? reads(model) : `distinguishes ${listed(model.labels)}.`;
  return `${model.name} ${does}${tested}${caution(model)}`;
}

function caution(model) {
  return model.usable ? "" : ` ${model.promise}`;
}

function marks(model) {
  const { name, labels, metrics: { dice } } = model;
  const what = labels.filter((label) => label !== "background");
  const tested = dice ? ` Its Dice score on validation pictures is ${measured(dice)}.` : "";
  return `${name} segments ${listed(what.length > 0 ? what : labels)} in pictures of any size.${tested}${caution(model)}`;
}

function reads({ labels, input }) {
  const what = `reads texts of ${labels.length} characters: ${alphabetRuns(labels)}.`;
  if (input.steps.some((step) => step === "lines" || step === "fractions")) {
    return `${what} It finds the lines of a page itself.`;
  }
  if (input.fit !== "line") return what;
  const ratio = Math.floor((10 * input.width) / input.height) / 10;
  return `${what} It accepts lines up to ${ratio} times as wide as high, scaled to a height of ${input.height} pixels.`;
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
