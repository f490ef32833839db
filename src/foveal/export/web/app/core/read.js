// The text of a picture from the rows of a reader, and where its characters stand.

import { search } from "./beam.js";
import { allows, makeConstraint } from "./constraint.js";
import { align, decodeGreedy, decodePositions, logProbability, place, positionLogProbability } from "./ctc.js";
import { valueOf } from "./expression.js";
import { logSoftmax, maximum, tempered } from "./numbers.js";
import { boxInInput } from "./pipeline.js";

// Of a character's columns, for its half width where it has no neighbour.
const HALF_WIDTH = 1.5;

/**
 * @param {any} bundle
 * @param {Record<string, import("./types.js").Tensor>} outputs `logits`, (1, T, K), and `attention`.
 * @param {import("./types.js").Frame} frame
 * @returns {object} See `Answer` in model.js; also `characters`, each with its confidence and its edges
 *   in original pixels, and for expressions `value` and `valueError`.
 */
export function answerRead(bundle, outputs, frame) {
  const { labels: alphabet, calibration } = bundle;
  const options = { head: "ctc", decoder: "greedy", beam_width: 16, grammar: "", words: [], ...bundle.task_options };
  const rows = rowsOf(outputs.logits, calibration.temperature);
  const constraint = makeConstraint(options);
  const found = decodeText(rows, alphabet, options, constraint);
  const characters = found.indices.map((index) => alphabet[index]);
  const confidence = Math.min(1, Math.exp(found.logProbability));
  const reasons = [];
  if (confidence < calibration.unsure_below) reasons.push("confidence");
  // No allowed text within reach: whatever is said instead is not to be relied on.
  if (constraint !== null && !allows(constraint, characters)) reasons.push("constraint");
  const value = options.grammar === "" ? { value: null, error: null } : valueOf(characters.join(""));
  return {
    task: "read",
    text: characters.join(""),
    confidence,
    reasons,
    characters: placed(found, characters, rows, outputs.attention ?? null, frame),
    value: value.value,
    valueError: value.error,
  };
}

/** @returns {import("./ctc.js").Rows} */
function rowsOf({ data, dims: [, columns, classes] }, temperature) {
  const rows = new Float32Array(data.length);
  for (let t = 0; t < columns; t++) {
    const own = data.subarray(t * classes, (t + 1) * classes);
    rows.set(logSoftmax(tempered(own, temperature)), t * classes);
  }
  return { data: rows, columns, classes };
}

/** The plain text where that is allowed, else what a search finds. */
function decodeText(rows, alphabet, options, constraint) {
  const isPositional = options.head === "positions";
  const plain = isPositional ? decodePositions(rows) : decodeGreedy(rows);
  const wantsSearch = options.decoder === "beam" && !isPositional;
  const characters = plain.indices.map((index) => alphabet[index]);
  if (constraint === null ? !wantsSearch : allows(constraint, characters)) return plain;
  const indices = search(rows, alphabet, { width: options.beam_width, constraint, collapses: !isPositional });
  if (indices === null) return plain;
  if (!isPositional) return { indices, spans: align(rows, indices), logProbability: logProbability(rows, indices) };
  const spans = place(rows, indices).map((position) => [position, position + 1]);
  return { indices, spans, logProbability: positionLogProbability(rows, indices) };
}

/** Each character reaches half-way to its neighbours, but not further than one and a half widths. */
function placed({ indices, spans }, characters, rows, attention, frame) {
  const columns = attention === null ? rows.columns : attention.dims[2];
  const centres = spans.map(([first, end]) => {
    if (attention === null) return (first + end) / 2;
    const looked = attention.data.subarray(first * columns, (first + 1) * columns);
    return looked.reduce((sum, weight, column) => sum + weight * (column + 0.5), 0);
  });
  const gaps = centres.slice(1).map((centre, i) => centre - centres[i]);
  const half = gaps.length > 0 ? (median(gaps) / 2) * HALF_WIDTH : columns / 2;
  const pixels = frame.input[1] / Math.max(1, columns);
  return characters.map((char, i) => {
    const centre = centres[i];
    const left = Math.max(centre - half, i > 0 ? (centres[i - 1] + centre) / 2 : -Infinity);
    const right = Math.min(centre + half, i + 1 < centres.length ? (centre + centres[i + 1]) / 2 : Infinity);
    const [first, end] = spans[i];
    const own = Array.from({ length: end - first }, (_, k) => rows.data[(first + k) * rows.classes + indices[i] + 1]);
    const confidence = Math.min(1, Math.exp(maximum(own)));
    return { char, confidence, x0: inOriginal(left * pixels, frame), x1: inOriginal(right * pixels, frame) };
  });
}

function inOriginal(x, frame) {
  const [x0, , x1] = boxInInput(frame);
  const inside = Math.min(Math.max(x, x0, 0), x1, frame.input[1]);
  return (inside - frame.offset[1]) / frame.scale[1];
}

function median(values) {
  const sorted = [...values].sort((a, b) => a - b);
  const middle = sorted.length >> 1;
  return sorted.length % 2 === 1 ? sorted[middle] : (sorted[middle - 1] + sorted[middle]) / 2;
}
