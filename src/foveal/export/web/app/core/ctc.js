// From log probabilities in each column (or position) to a text, its probability and its alignment.
// A. Graves and others, Connectionist Temporal Classification, 2006,
// https://www.cs.toronto.edu/~graves/icml_2006.pdf

import { argmax } from "./numbers.js";

/**
 * Log probabilities, (T, K): class 0 is the blank, class i + 1 the i-th character of the alphabet.
 * @typedef {{data: Float32Array, columns: number, classes: number}} Rows
 */

/**
 * A text and how it lies on the columns.
 * @typedef {object} Decoded
 * @property {number[]} indices Positions in the alphabet.
 * @property {number} logProbability Of the whole text: the sum over all its alignments.
 * @property {[number, number][]} spans Columns of each character, [first, end).
 */

/** @param {number} a @param {number} b */
export function logAdd(a, b) {
  if (a === -Infinity) return b;
  if (b === -Infinity) return a;
  const most = Math.max(a, b);
  return most + Math.log1p(Math.exp(Math.min(a, b) - most));
}

const row = (rows, t) => rows.data.subarray(t * rows.classes, (t + 1) * rows.classes);

/** The text of the most probable alignment. @param {Rows} rows @returns {Decoded} */
export function decodeGreedy(rows) {
  const indices = [];
  const spans = [];
  for (let t = 0; t < rows.columns; ) {
    const best = argmax(row(rows, t));
    let end = t + 1;
    while (end < rows.columns && argmax(row(rows, end)) === best) end++;
    if (best > 0) {
      indices.push(best - 1);
      spans.push([t, end]);
    }
    t = end;
  }
  return { indices, spans, logProbability: logProbability(rows, indices) };
}

/** What each position says by itself. @param {Rows} rows @returns {Decoded} */
export function decodePositions(rows) {
  const indices = [];
  const spans = [];
  for (let t = 0; t < rows.columns; t++) {
    const best = argmax(row(rows, t));
    if (best === 0) continue;
    indices.push(best - 1);
    spans.push([t, t + 1]);
  }
  return { indices, spans, logProbability: positionLogProbability(rows, indices) };
}

/** The text as an alignment visits it: blank, character, blank, and so on. */
function statesOf(indices) {
  const states = new Array(2 * indices.length + 1).fill(0);
  indices.forEach((index, i) => (states[2 * i + 1] = index + 1));
  return states;
}

/** Whether the blank before a state may be left out: not between equal characters. */
const maySkip = (states, s) => s > 1 && states[s] !== 0 && states[s] !== states[s - 2];

/** Totals, (T, S), of the columns up to t that end in a state, joined by `join`. */
function lattice(rows, states, join) {
  const count = states.length;
  const totals = new Float64Array(rows.columns * count).fill(-Infinity);
  for (let t = 0; t < rows.columns; t++) {
    const own = row(rows, t);
    for (let s = 0; s < count; s++) {
      let before;
      if (t === 0) before = s < 2 ? 0 : -Infinity;
      else {
        const at = (t - 1) * count + s;
        before = totals[at];
        if (s > 0) before = join(before, totals[at - 1]);
        if (maySkip(states, s)) before = join(before, totals[at - 2]);
      }
      totals[t * count + s] = before + own[states[s]];
    }
  }
  return totals;
}

/** Log probability of a text, over all its alignments. @param {Rows} rows @param {number[]} indices */
export function logProbability(rows, indices) {
  if (rows.columns === 0) return indices.length > 0 ? -Infinity : 0;
  const states = statesOf(indices);
  const totals = lattice(rows, states, logAdd);
  const last = totals.length - 1;
  return states.length > 1 ? logAdd(totals[last], totals[last - 1]) : totals[last];
}

/** Columns of each character in the most probable alignment. @returns {[number, number][]} */
export function align(rows, indices) {
  if (indices.length === 0) return [];
  const states = statesOf(indices);
  const count = states.length;
  const totals = lattice(rows, states, Math.max);
  const spans = [];
  let state = totals[totals.length - 1] >= totals[totals.length - 2] ? count - 1 : count - 2;
  let end = rows.columns;
  for (let t = rows.columns - 1; t >= 0; t--) {
    const at = (t - 1) * count + state;
    const stay = t > 0 ? totals[at] : -Infinity;
    const step = t > 0 && state > 0 ? totals[at - 1] : -Infinity;
    const skip = t > 0 && maySkip(states, state) ? totals[at - 2] : -Infinity;
    if (t > 0 && stay > Math.max(step, skip)) continue;
    if (states[state] > 0) spans.push([t, end]);
    end = t;
    state -= skip > step ? 2 : 1;
  }
  return spans.reverse();
}

/** Totals, (T + 1, L + 1): that the first t positions give j characters. */
function positionTotals(rows, indices, join) {
  const count = indices.length + 1;
  const totals = new Float64Array((rows.columns + 1) * count).fill(-Infinity);
  totals[0] = 0;
  for (let t = 0; t < rows.columns; t++) {
    const own = row(rows, t);
    for (let j = 0; j < count; j++) {
      const before = t * count + j;
      const placed = j > 0 ? totals[before - 1] + own[indices[j - 1] + 1] : -Infinity;
      totals[before + count] = join(totals[before] + own[0], placed);
    }
  }
  return totals;
}

/** Log probability of a text of one classifier a position, over all ways to place it. */
export function positionLogProbability(rows, indices) {
  return positionTotals(rows, indices, logAdd).at(-1);
}

/** The position of each character in the most probable placing. @returns {number[]} */
export function place(rows, indices) {
  const totals = positionTotals(rows, indices, Math.max);
  const count = indices.length + 1;
  const positions = [];
  let left = indices.length;
  for (let t = rows.columns - 1; t >= 0 && left > 0; t--) {
    const own = row(rows, t);
    const before = t * count + left;
    if (totals[before - 1] + own[indices[left - 1] + 1] >= totals[before] + own[0]) {
      positions.push(t);
      left--;
    }
  }
  return positions.reverse();
}
