// The prefix beam search, as in foveal.tasks.read.beam: A. Hannun and others, First-Pass Large
// Vocabulary Continuous Speech Recognition using Bi-Directional Recurrent DNNs, 2014,
// https://arxiv.org/abs/1408.2873; a constraint takes the place of the vocabulary.

import { logAdd } from "./ctc.js";

// With a constraint, candidates looked at in each column, as a multiple of the beam's width.
const LOOKED_AT = 4;

/**
 * @typedef {object} Node A text met so far.
 * @property {Node | null} parent
 * @property {number} last Class of its last character; 0 for the empty text.
 * @property {any} state Of the constraint.
 * @property {boolean} isComplete
 * @property {Map<number, Node | null>} children
 */

/**
 * Return the most probable text that is found, as positions in the alphabet, or null.
 *
 * @param {import("./ctc.js").Rows} rows
 * @param {string[]} alphabet
 * @param {{width: number, constraint: import("./constraint.js").Constraint | null, collapses: boolean}} options
 *   `collapses`: equal neighbours are one character; else each row is a character of its own.
 * @returns {number[] | null}
 */
export function search(rows, alphabet, { width, constraint, collapses }) {
  const start = constraint?.start() ?? null;
  const root = { parent: null, last: 0, state: start, isComplete: constraint?.accepts(start) ?? true, children: new Map() };
  let beam = [{ node: root, ended: 0, running: -Infinity, denied: new Set() }];
  for (let t = 0; t < rows.columns; t++) {
    const own = rows.data.subarray(t * rows.classes, (t + 1) * rows.classes);
    beam = step(beam, own, { alphabet, width, constraint });
    if (beam.length === 0) return null;
    if (!collapses) {
      beam = beam.map((entry) => ({ ...entry, ended: logAdd(entry.ended, entry.running), running: -Infinity }));
    }
  }
  let best = null;
  for (const { node, ended, running } of beam) {
    const score = node.isComplete ? logAdd(ended, running) : -Infinity;
    if (score > (best?.score ?? -Infinity)) best = { node, score };
  }
  return best === null ? null : indicesOf(best.node);
}

function indicesOf(node) {
  const found = [];
  for (let at = node; at.parent !== null; at = at.parent) found.push(at.last - 1);
  return found.reverse();
}

function step(beam, own, search) {
  const places = new Map(beam.map((entry, i) => [entry.node, i]));
  const staying = beam.map(({ node, ended, running }) => ({
    node,
    ended: logAdd(ended, running) + own[0],
    running: running + own[node.last],
  }));
  const candidates = [];
  const extended = beam.map(({ node, ended, running, denied }) => {
    const total = logAdd(ended, running);
    return Array.from(own, (value, k) => {
      if (k === 0 || denied.has(k)) return -Infinity;
      // The same character again is a new one only after a blank; without, it is still the last.
      return (k === node.last ? ended : total) + value;
    });
  });
  beam.forEach(({ node }, i) => {
    // A prefix that is kept may also be reached from its parent, if that is kept too.
    const parent = node.parent === null ? undefined : places.get(node.parent);
    if (parent === undefined) return;
    staying[i].running = logAdd(staying[i].running, extended[parent][node.last]);
    extended[parent][node.last] = -Infinity;
  });
  staying.forEach((entry, i) => candidates.push({ score: logAdd(entry.ended, entry.running), from: i, k: -1 }));
  extended.forEach((scores, i) => scores.forEach((score, k) => candidates.push({ score, from: i, k })));
  return select(beam, staying, extended, candidates, search);
}

function select(beam, staying, extended, candidates, { alphabet, width, constraint }) {
  let order = candidates.filter(({ score }) => score > -Infinity).sort((a, b) => b.score - a.score);
  let limit = width;
  if (constraint !== null) {
    const rest = order.slice(LOOKED_AT * width);
    const stays = rest.filter(({ k }) => k < 0);
    order = [...order.slice(0, LOOKED_AT * width), ...stays, ...rest.filter(({ k }) => k >= 0)];
    limit = LOOKED_AT * width + stays.length;
  }
  const room = { true: width, false: constraint === null ? 0 : width };
  const kept = [];
  for (let rank = 0; rank < order.length; rank++) {
    if ((room.true === 0 && room.false === 0) || (rank >= limit && kept.length >= width)) break;
    const { from, k } = order[rank];
    const node = k < 0 ? beam[from].node : child(beam[from].node, k, alphabet, constraint);
    if (node === null) {
      beam[from].denied.add(k);
      continue;
    }
    if (room[node.isComplete] === 0) continue;
    room[node.isComplete]--;
    if (k < 0) kept.push({ ...staying[from], denied: beam[from].denied });
    else kept.push({ node, ended: -Infinity, running: extended[from][k], denied: new Set() });
  }
  return kept;
}

/** The text one character on, or null when the constraint denies it. */
function child(node, k, alphabet, constraint) {
  if (!node.children.has(k)) {
    const state = constraint === null ? null : constraint.advance(node.state, alphabet[k - 1]);
    const isDenied = constraint !== null && state === null;
    const isComplete = constraint === null || (!isDenied && constraint.accepts(state));
    node.children.set(k, isDenied ? null : { parent: node, last: k, state, isComplete, children: new Map() });
  }
  return node.children.get(k);
}
