// Which class is this picture: labels and probabilities, and the map that speaks for one of them.

import { argmax, sigmoid, softmax, tempered } from "./numbers.js";
import { resampleToOriginal } from "./pipeline.js";

/**
 * @param {any} bundle
 * @param {Record<string, import("./types.js").Tensor>} outputs `logits`, (1, C).
 * @returns {object} See `Answer` in model.js; also `labels`, and `scores`, [label, probability], most likely first.
 */
export function answerClassify(bundle, outputs) {
  const { labels, calibration } = bundle;
  const isMulti = bundle.task_options.multi_label === true;
  const probabilities = (isMulti ? sigmoid : softmax)(tempered(outputs.logits.data, calibration.temperature));
  const chosen = isMulti ? aboveThresholds(probabilities, calibration.thresholds) : [argmax(probabilities)];
  const confidence = isMulti ? leastDecision(probabilities, chosen) : probabilities[chosen[0]];
  const order = Array.from(probabilities.keys()).sort((a, b) => probabilities[b] - probabilities[a] || a - b);
  return {
    task: "classify",
    text: chosen.map((i) => labels[i]).join("|"),
    labels: chosen.map((i) => labels[i]),
    confidence,
    reasons: confidence < calibration.unsure_below ? ["confidence"] : [],
    scores: order.map((i) => [labels[i], probabilities[i]]),
  };
}

function aboveThresholds(probabilities, thresholds) {
  const limit = (i) => Math.fround(thresholds.length > 0 ? thresholds[i] : 0.5);
  return Array.from(probabilities.keys()).filter((i) => probabilities[i] >= limit(i));
}

/** The confidence of several labels is that of the least certain decision. */
function leastDecision(probabilities, chosen) {
  const decided = probabilities.map((p, i) => (chosen.includes(i) ? p : 1 - p));
  return decided.reduce((least, p) => Math.min(least, p), 1);
}

/**
 * The evidence for a class at each pixel: 0 is none or evidence against it, 1 the strongest.
 * @param {any} bundle
 * @param {import("./types.js").Tensor} evidence (1, C, h, w)
 * @param {import("./types.js").Frame} frame Of the copy of the picture that it is drawn on.
 * @param {number} label Its position.
 * @returns {Float32Array} (height, width) of the frame's original.
 */
export function evidenceMap(bundle, evidence, frame, label) {
  const [, classes, rows, columns] = evidence.dims;
  const size = rows * columns;
  const isCompared = bundle.task_options.multi_label !== true && classes > 1;
  const own = new Float32Array(size);
  for (let i = 0; i < size; i++) {
    let mean = 0;
    // What speaks for this class rather than for the average one: softmax sees differences.
    for (let c = 0; isCompared && c < classes; c++) mean += evidence.data[c * size + i] / classes;
    own[i] = Math.max(0, evidence.data[label * size + i] - mean);
  }
  const whole = resampleToOriginal(own, rows, columns, frame);
  const peak = whole.reduce((most, value) => Math.max(most, value), 0);
  return peak > 0 ? whole.map((value) => value / peak) : whole;
}
