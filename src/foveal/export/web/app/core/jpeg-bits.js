// The bits of a JPEG scan, and its Huffman codes.

import { NotOursError } from "./errors.js";

const LOOKED_UP = 9;

/** Reads bits; behind a marker there are only zeros, which an intact file never needs. */
export class BitReader {
  /** @param {Uint8Array} bytes @param {number} position */
  constructor(bytes, position) {
    this.bytes = bytes;
    this.position = position;
    this.bits = 0;
    this.count = 0;
    this.madeUp = 0;
  }

  fill() {
    const { bytes } = this;
    while (this.count <= 24) {
      let byte = 0;
      if (this.madeUp === 0 && this.position < bytes.length) {
        byte = bytes[this.position];
        if (byte !== 0xff) this.position++;
        else if (bytes[this.position + 1] === 0) this.position += 2;
        else {
          byte = 0;
          this.madeUp += 8;
        }
      } else this.madeUp += 8;
      this.bits = (this.bits << 8) | byte;
      this.count += 8;
    }
  }

  /** Return the next `n` bits, at most 16, as a number. @param {number} n */
  take(n) {
    if (this.count < n) this.fill();
    this.count -= n;
    return (this.bits >>> this.count) & ((1 << n) - 1);
  }

  /** Return the number that `n` bits stand for: those that begin with 0 are negative. @param {number} n */
  takeSigned(n) {
    if (n === 0) return 0;
    const value = this.take(n);
    return value < 1 << (n - 1) ? value - (1 << n) + 1 : value;
  }

  /** @param {HuffmanTable} table */
  symbol(table) {
    if (this.count < 16) this.fill();
    const found = table.quick[(this.bits >>> (this.count - LOOKED_UP)) & ((1 << LOOKED_UP) - 1)];
    if (found !== 0) {
      this.count -= found >> 8;
      return found & 255;
    }
    for (let length = LOOKED_UP + 1; length <= 16; length++) {
      const code = (this.bits >>> (this.count - length)) & ((1 << length) - 1);
      if (code <= table.largest[length]) {
        this.count -= length;
        return table.symbols[table.first[length] + code];
      }
    }
    throw new NotOursError("a code that is in no table");
  }

  /** Go on after a restart marker, or at the end of a scan. @param {boolean} isLast */
  finishPart(isLast) {
    if (this.madeUp > this.count) throw new NotOursError("a scan that is cut off");
    const { bytes } = this;
    this.bits = this.count = this.madeUp = 0;
    if (isLast) return;
    if (bytes[this.position] !== 0xff || (bytes[this.position + 1] & 0xf8) !== 0xd0) {
      throw new NotOursError("a missing restart marker");
    }
    this.position += 2;
  }
}

/** @typedef {{quick: Uint16Array, largest: Int32Array, first: Int32Array, symbols: Uint8Array}} HuffmanTable */

/**
 * @param {Uint8Array} counts How many codes there are of each length from 1 to 16.
 * @param {Uint8Array} symbols What they stand for, shortest code first.
 * @returns {HuffmanTable}
 */
export function huffmanTable(counts, symbols) {
  const quick = new Uint16Array(1 << LOOKED_UP);
  const largest = new Int32Array(17).fill(-1);
  const first = new Int32Array(17);
  let code = 0;
  let index = 0;
  for (let length = 1; length <= 16; length++) {
    const count = counts[length - 1];
    first[length] = index - code;
    for (let i = 0; i < count; i++, code++, index++) {
      if (length <= LOOKED_UP) {
        const space = LOOKED_UP - length;
        quick.fill((length << 8) | symbols[index], code << space, (code + 1) << space);
      }
    }
    if (count > 0) largest[length] = code - 1;
    code <<= 1;
  }
  return { quick, largest, first, symbols };
}
