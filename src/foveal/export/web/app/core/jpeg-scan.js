// One scan of a JPEG: its coefficients are added to those of the components.
// ITU-T T.81 (1992), sections F.2 and G.2.

import { BitReader } from "./jpeg-bits.js";
import { NotOursError } from "./errors.js";

// Where the coefficients, in the order in which they are stored, stand in a block.
const NATURAL = Uint8Array.of(
  0, 1, 8, 16, 9, 2, 3, 10, 17, 24, 32, 25, 18, 11, 4, 5, 12, 19, 26, 33, 40, 48, 41, 34, 27, 20, 13, 6, 7, 14, 21, 28,
  35, 42, 49, 56, 57, 50, 43, 36, 29, 22, 15, 23, 30, 37, 44, 51, 58, 59, 52, 45, 38, 31, 39, 46, 53, 60, 61, 54, 47, 55, 62, 63,
);

/**
 * @typedef {object} Scan
 * @property {import("./jpeg.js").Component[]} components
 * @property {import("./jpeg-bits.js").HuffmanTable[]} dc One for each component, where it is needed.
 * @property {import("./jpeg-bits.js").HuffmanTable[]} ac
 * @property {number} from First coefficient.
 * @property {number} to Last one.
 * @property {number} high Bits that an earlier scan gave, as a shift; 0 for the first.
 * @property {number} low Bits that a later scan gives.
 * @property {boolean} isProgressive
 */

/**
 * @param {Uint8Array} bytes @param {number} start Where the codes begin.
 * @param {Scan} scan @param {import("./jpeg.js").JpegFrame} frame @param {number} restartEvery In units; 0 for never.
 * @returns {number} Where the codes end.
 */
export function readScan(bytes, start, scan, frame, restartEvery) {
  const reader = new BitReader(bytes, start);
  const state = { reader, run: 0, from: scan.from, to: scan.to, low: scan.low };
  const readBlock = blockReader(scan);
  const places = scan.components.length === 1 ? alone(scan.components[0], frame) : together(scan.components, frame);
  const predicted = new Int32Array(scan.components.length);
  for (let unit = 0; unit < places.count; unit++) {
    if (restartEvery > 0 && unit > 0 && unit % restartEvery === 0) {
      reader.finishPart(false);
      predicted.fill(0);
      state.run = 0;
    }
    places.each(unit, (i, at) => readBlock(state, scan.components[i].coefficients, at, i, predicted, scan));
  }
  reader.finishPart(true);
  return reader.position;
}

/** The blocks of one component, without those that only fill up the picture. */
function alone(component, frame) {
  const across = Math.ceil(Math.ceil((frame.width * component.h) / frame.hMost) / 8);
  const down = Math.ceil(Math.ceil((frame.height * component.v) / frame.vMost) / 8);
  const each = (unit, visit) => {
    const row = Math.floor(unit / across);
    visit(0, 64 * (row * component.across + unit - row * across));
  };
  return { count: across * down, each };
}

/** The blocks of several components, interleaved. */
function together(components, frame) {
  const each = (unit, visit) => {
    const row = Math.floor(unit / frame.unitsAcross);
    const column = unit - row * frame.unitsAcross;
    for (let i = 0; i < components.length; i++) {
      const { h, v, across } = components[i];
      for (let y = 0; y < v; y++) {
        for (let x = 0; x < h; x++) visit(i, 64 * ((row * v + y) * across + column * h + x));
      }
    }
  };
  return { count: frame.unitsAcross * frame.unitsDown, each };
}

/** @param {Scan} scan */
function blockReader(scan) {
  if (!scan.isProgressive) return readWholeBlock;
  if (scan.from === 0) return scan.high === 0 ? readFirstDc : refineDc;
  return scan.high === 0 ? readFirstAc : refineAc;
}

function readWholeBlock({ reader }, coefficients, at, i, predicted, { dc, ac }) {
  predicted[i] += reader.takeSigned(reader.symbol(dc[i]));
  coefficients[at] = predicted[i];
  const table = ac[i];
  for (let k = 1; k < 64; k++) {
    const symbol = reader.symbol(table);
    const size = symbol & 15;
    const skipped = symbol >> 4;
    if (size === 0) {
      if (skipped < 15) return;
      k += 15;
      continue;
    }
    k += skipped;
    if (k > 63) throw new NotOursError("a block of too many coefficients");
    coefficients[at + NATURAL[k]] = reader.takeSigned(size);
  }
}

function readFirstDc({ reader, low }, coefficients, at, i, predicted, { dc }) {
  predicted[i] += reader.takeSigned(reader.symbol(dc[i]));
  coefficients[at] = predicted[i] << low;
}

function refineDc({ reader, low }, coefficients, at) {
  if (reader.take(1)) coefficients[at] |= 1 << low;
}

function readFirstAc(state, coefficients, at, i, predicted, { ac }) {
  if (state.run > 0) {
    state.run--;
    return;
  }
  const { reader, low } = state;
  for (let k = state.from; k <= state.to; k++) {
    const symbol = reader.symbol(ac[i]);
    const size = symbol & 15;
    const skipped = symbol >> 4;
    if (size === 0) {
      if (skipped < 15) {
        state.run = (1 << skipped) - 1 + (skipped ? reader.take(skipped) : 0);
        return;
      }
      k += 15;
      continue;
    }
    k += skipped;
    if (k > 63) throw new NotOursError("a block of too many coefficients");
    coefficients[at + NATURAL[k]] = reader.takeSigned(size) * (1 << low);
  }
}

function refineAc(state, coefficients, at, i, predicted, { ac }) {
  const { reader, low } = state;
  let k = state.from;
  if (state.run === 0) {
    for (; k <= state.to; k++) {
      const symbol = reader.symbol(ac[i]);
      const skipped = symbol >> 4;
      let value = 0;
      if ((symbol & 15) === 0) {
        if (skipped < 15) {
          state.run = (1 << skipped) + (skipped ? reader.take(skipped) : 0);
          break;
        }
      } else value = reader.take(1) ? 1 << low : -(1 << low);
      k = refineUntil(state, coefficients, at, k, skipped);
      if (value !== 0 && k <= state.to) coefficients[at + NATURAL[k]] = value;
    }
  }
  if (state.run > 0) {
    refineUntil(state, coefficients, at, k, 64);
    state.run--;
  }
}

/** Refine what is not zero, and return the place after `zeros` zeros. */
function refineUntil({ reader, to, low }, coefficients, at, k, zeros) {
  const bit = 1 << low;
  for (; k <= to; k++) {
    const place = at + NATURAL[k];
    const value = coefficients[place];
    if (value === 0) {
      if (zeros-- === 0) return k;
    } else if (reader.take(1) && (Math.abs(value) & bit) === 0) coefficients[place] = value + (value > 0 ? bit : -bit);
  }
  return k;
}

/** The coefficients' places in a block, for quantisation tables, which are stored in the same order. */
export { NATURAL };
