// Which pixels show what: a label for each pixel, and what each label takes of the picture.

import { tidy } from "./patches.js";

export const BACKGROUND = "background";

/**
 * @param {any} bundle
 * @param {Float32Array} logits (C, height, width), original pixels.
 * @param {number} height @param {number} width
 * @returns {object} See `Answer` in model.js; also `mask`, (height, width) positions in the labels, and
 *   `classes`, each with its name, its pixels and its share of the picture.
 */
export function answerSegment(bundle, logits, height, width) {
  const { labels, calibration } = bundle;
  const size = height * width;
  const mask = new Uint8Array(size);
  const sure = labels.length === 2 ? decideTwo(logits, calibration.temperature, mask) : decide(logits, calibration.temperature, mask);
  tidy(mask, height, width, labels.length, calibration);
  const confidence = Math.min(1, sure / Math.max(1, size));
  const pixels = new Array(labels.length).fill(0);
  for (const label of mask) pixels[label]++;
  const classes = labels.map((name, i) => ({ name, pixels: pixels[i], share: pixels[i] / Math.max(1, size) }));
  return {
    task: "segment",
    text: classes.map(({ name, share }) => `${name} ${(100 * share).toFixed(1)} %`).join(", "),
    confidence,
    reasons: confidence < calibration.unsure_below ? ["confidence"] : [],
    mask,
    classes,
  };
}

/** Write the likeliest label of each pixel, the first of equal ones; return the sum of its probabilities. */
function decide(logits, temperature, mask) {
  const size = mask.length;
  const sharpness = Math.fround(1 / temperature);
  const classes = logits.length / size;
  let sure = 0;
  for (let i = 0; i < size; i++) {
    let best = 0;
    for (let c = 1; c < classes; c++) if (logits[c * size + i] > logits[best * size + i]) best = c;
    mask[i] = best;
    let total = 0;
    for (let c = 0; c < classes; c++) total += Math.exp((logits[c * size + i] - logits[best * size + i]) * sharpness);
    sure += 1 / total;
  }
  return sure;
}

/** The same for two labels: the softmax is a sigmoid of their difference. */
function decideTwo(logits, temperature, mask) {
  const size = mask.length;
  let sure = 0;
  for (let i = 0; i < size; i++) {
    const difference = Math.fround(logits[size + i] - logits[i]);
    mask[i] = difference > 0 ? 1 : 0;
    sure += 1 / (1 + Math.exp(-Math.abs(difference) / temperature));
  }
  return sure;
}
