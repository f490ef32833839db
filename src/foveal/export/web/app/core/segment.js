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
  const decision = labels.length === 2 ? decideTwo : decide;
  const sure = decision(logits, calibration.temperature, inLogits(calibration, labels.length), mask);
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

/** What is added to the logits of each label: all 0 where the bundle has no offsets. */
function inLogits({ temperature, offsets = [] }, classes) {
  return Float32Array.from({ length: classes }, (_, c) => (offsets[c] ?? 0) * temperature);
}

/**
 * Write the label of each pixel, the first of those with the largest sum of logit and offset; return the sum of the
 * probabilities of these labels, which are without the offsets.
 */
function decide(logits, temperature, offsets, mask) {
  const size = mask.length;
  const sharpness = Math.fround(1 / temperature);
  const classes = logits.length / size;
  let sure = 0;
  for (let i = 0; i < size; i++) {
    let best = 0;
    let most = Math.fround(logits[i] + offsets[0]);
    for (let c = 1; c < classes; c++) {
      const score = Math.fround(logits[c * size + i] + offsets[c]);
      if (score > most) [best, most] = [c, score];
    }
    mask[i] = best;
    let total = 0;
    for (let c = 0; c < classes; c++) total += Math.exp((logits[c * size + i] - logits[best * size + i]) * sharpness);
    sure += 1 / total;
  }
  return sure;
}

/** The same for two labels: the softmax is a sigmoid of their difference. */
function decideTwo(logits, temperature, offsets, mask) {
  const size = mask.length;
  const least = Math.fround(offsets[0] - offsets[1]);
  let sure = 0;
  for (let i = 0; i < size; i++) {
    const difference = Math.fround(logits[size + i] - logits[i]);
    mask[i] = difference > least ? 1 : 0;
    sure += 1 / (1 + Math.exp((mask[i] ? -difference : difference) / temperature));
  }
  return sure;
}
