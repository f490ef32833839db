// How numbers and doubts are said.

/** A share of 1 in percent; never a certainty that the number does not have. @param {number} share */
export function percent(share) {
  if (share > 0.999 && share < 1) return ">\u00a099.9\u00a0%";
  return `${(100 * share).toFixed(1)}\u00a0%`;
}

/** How long something took. @param {number} ms */
export function duration(ms) {
  return ms < 1000 ? `${Math.round(ms)}\u00a0ms` : `${(ms / 1000).toFixed(1)}\u00a0s`;
}

const REASONS = {
  confidence: "the confidence is below the limit of this model",
  constraint: "the text is not allowed by the constraint",
  unfamiliar: "the picture is unlike the training pictures",
};

// No confidence reaches the limit of such a model, so none is too low.
const NOT_USABLE = "this model is not usable yet and marks every answer unsure";

/**
 * Why an answer is unsure, as a sentence; "" when it is sure.
 * @param {import("../core/model.js").Answer} answer
 * @param {{calibration: import("../core/types.js").Calibration}} bundle
 */
export function doubt({ reasons }, { calibration }) {
  if (reasons.length === 0) return "";
  const words = calibration.not_usable == null ? REASONS : { ...REASONS, confidence: NOT_USABLE };
  return `Unsure: ${reasons.map((reason) => words[reason]).join("; ")}.`;
}

/** The answer in a few words. */
export function headline(answer) {
  if (answer.task === "segment") {
    const found = foundIn(answer).map(({ name, share }) => `${name} ${percent(share)}`);
    return found.slice(0, 3).join(", ") || "Nothing found";
  }
  if (answer.task === "read") {
    const text = answer.text || "nothing";
    return answer.value === null ? text : `${text} = ${answer.value}`;
  }
  return answer.labels.length > 0 ? answer.labels.join(", ") : "none of the labels";
}

/** What occurs beside the background, largest first. */
export function foundIn({ classes }) {
  return classes.filter(({ name, pixels }) => pixels > 0 && name !== "background").sort((a, b) => b.share - a.share);
}

/** What a screen reader says of an answer. */
export function spoken(answer, bundle) {
  return `${headline(answer)}, ${percent(answer.confidence)} sure. ${doubt(answer, bundle)}`;
}
