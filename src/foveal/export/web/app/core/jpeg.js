// Decode a JPEG as foveal does: accurate transform, smooth interpolation of the colours, and at
// 1/2, 1/4 or 1/8 where the network needs no more. Browsers decode alike but for some grey levels
// here and there, and none of them reduces; so that answers are the bundle's everywhere, this does
// it itself. ITU-T T.81 (1992), Huffman-coded, sequential and progressive, 8 bits.

import { NotOursError, PictureError } from "./errors.js";
import { orientationOf } from "./exif.js";
import { samplesOf } from "./idct.js";
import { huffmanTable } from "./jpeg-bits.js";
import { NATURAL, readScan } from "./jpeg-scan.js";
import { rowReader, writeGrey, writeRgb, writeYcc } from "./upsample.js";

const FRAMES = [0xc0, 0xc1, 0xc2];
const OTHER_FRAMES = [0xc3, 0xc5, 0xc6, 0xc7, 0xc9, 0xca, 0xcb, 0xcd, 0xce, 0xcf];

/**
 * @typedef {object} Component
 * @property {number} id
 * @property {number} h Samples across, of a unit.
 * @property {number} v Samples down.
 * @property {number} table Of the quantisation.
 * @property {number} across Blocks in a row, with those that only fill up.
 * @property {number} down
 * @property {Int16Array} coefficients
 * @property {Int32Array} quantisation In the order of a block's rows.
 */

/**
 * @typedef {object} JpegFrame
 * @property {number} height
 * @property {number} width
 * @property {Component[]} components
 * @property {boolean} isProgressive
 * @property {number} hMost
 * @property {number} vMost
 * @property {number} unitsAcross
 * @property {number} unitsDown
 */

/**
 * Read the size (as stored) and the orientation, without decoding.
 * @param {Uint8Array} bytes
 * @returns {{height: number, width: number, channels: number, orientation: number}}
 */
export function readJpegHeader(bytes) {
  let orientation = 0;
  for (const { marker, start, end } of segments(bytes)) {
    const isExif = marker === 0xe1 && String.fromCharCode(...bytes.subarray(start, start + 6)) === "Exif\0\0";
    if (isExif && orientation === 0) orientation = orientationOf(bytes.subarray(start + 6, end));
    if (FRAMES.includes(marker) || OTHER_FRAMES.includes(marker)) {
      const [, h1, h0, w1, w0, channels] = bytes.subarray(start, start + 6);
      return { height: 256 * h1 + h0, width: 256 * w1 + w0, channels, orientation: orientation || 1 };
    }
    if (marker === 0xda) break;
  }
  throw new PictureError("The JPEG picture is damaged: it states no size.");
}

/** Yield marker and content of each segment; after a scan, the reader says where to go on. */
function* segments(bytes) {
  let at = 2;
  while (at < bytes.length) {
    while (at < bytes.length && !(bytes[at] === 0xff && bytes[at + 1] > 0 && bytes[at + 1] < 0xff)) at++;
    const marker = bytes[at + 1];
    at += 2;
    if (at >= bytes.length || marker === 0xd9) return;
    if (marker === 0x01 || (marker >= 0xd0 && marker <= 0xd8)) continue;
    const end = at + Math.max(2, 256 * bytes[at] + bytes[at + 1]);
    const next = yield { marker, start: at + 2, end };
    at = next ?? end;
  }
}

/**
 * Decode to RGB as stored, not turned.
 *
 * @param {Uint8Array} bytes
 * @param {number} factor 1, 2, 4 or 8: how many times smaller.
 * @returns {import("./types.js").Pixels}
 * @throws {NotOursError} For what this does not read, such as four channels, and for damaged files.
 */
export function decodeJpeg(bytes, factor) {
  const tables = { dc: [], ac: [], quantisation: [] };
  /** @type {JpegFrame | null} */
  let frame = null;
  let restartEvery = 0;
  let colours = { isJfif: false, adobe: -1 };
  const parts = segments(bytes);
  let scans = 0;
  for (let part = parts.next(); !part.done; ) {
    const { marker, start, end } = part.value;
    const content = bytes.subarray(start, end);
    let goOn;
    if (marker === 0xc4) readHuffmanTables(content, tables);
    else if (marker === 0xdb) readQuantisation(content, tables.quantisation);
    else if (marker === 0xdd) restartEvery = 256 * content[0] + content[1];
    else if (marker === 0xe0 && startsWith(content, "JFIF\0")) colours.isJfif = true;
    else if (marker === 0xee && startsWith(content, "Adobe")) colours.adobe = content[11];
    else if (FRAMES.includes(marker) && frame === null) frame = readFrame(content, marker === 0xc2);
    else if (OTHER_FRAMES.includes(marker) || FRAMES.includes(marker)) throw new NotOursError("this kind of JPEG");
    else if (marker === 0xda) {
      if (frame === null) throw new NotOursError("a scan without a size");
      goOn = readScan(bytes, end, readScanHeader(content, frame, tables), frame, restartEvery);
      scans++;
    }
    part = parts.next(goOn);
  }
  if (frame === null || scans === 0) throw new NotOursError("a JPEG without a picture");
  return assemble(frame, colours, 8 / factor);
}

const startsWith = (content, text) => text === String.fromCharCode(...content.subarray(0, text.length));

function readHuffmanTables(content, tables) {
  for (let at = 0; at + 17 <= content.length; ) {
    const [kind, place] = [content[at] >> 4, content[at] & 15];
    const counts = content.subarray(at + 1, at + 17);
    const total = counts.reduce((sum, count) => sum + count, 0);
    tables[kind === 0 ? "dc" : "ac"][place] = huffmanTable(counts, content.subarray(at + 17, at + 17 + total));
    at += 17 + total;
  }
}

function readQuantisation(content, tables) {
  for (let at = 0; at < content.length; ) {
    const [wide, place] = [content[at] >> 4, content[at] & 15];
    const table = new Int32Array(64);
    at++;
    for (let k = 0; k < 64; k++, at += wide ? 2 : 1) {
      table[NATURAL[k]] = wide ? 256 * content[at] + content[at + 1] : content[at];
    }
    tables[place] = table;
  }
}

function readFrame(content, isProgressive) {
  if (content[0] !== 8) throw new NotOursError("more than 8 bits");
  const height = 256 * content[1] + content[2];
  const width = 256 * content[3] + content[4];
  const count = content[5];
  if (height < 1 || width < 1 || (count !== 1 && count !== 3)) throw new NotOursError("this many channels");
  const components = Array.from({ length: count }, (_, i) => {
    const [id, sampling, table] = content.subarray(6 + 3 * i, 9 + 3 * i);
    return { id, h: sampling >> 4, v: sampling & 15, table };
  });
  if (components.some(({ h, v }) => h < 1 || v < 1 || h > 4 || v > 4)) throw new NotOursError("this sampling");
  const hMost = Math.max(...components.map(({ h }) => h));
  const vMost = Math.max(...components.map(({ v }) => v));
  const unitsAcross = Math.ceil(width / (8 * hMost));
  const unitsDown = Math.ceil(height / (8 * vMost));
  const whole = components.map((component) => {
    const [across, down] = [unitsAcross * component.h, unitsDown * component.v];
    return { ...component, across, down, coefficients: new Int16Array(64 * across * down), quantisation: null };
  });
  return { height, width, components: whole, isProgressive, hMost, vMost, unitsAcross, unitsDown };
}

function readScanHeader(content, frame, tables) {
  const count = content[0];
  const chosen = Array.from({ length: count }, (_, i) => {
    const component = frame.components.find(({ id }) => id === content[1 + 2 * i]);
    if (component === undefined) throw new NotOursError("a scan of something unknown");
    component.quantisation ??= tables.quantisation[component.table] ?? null;
    return { component, places: content[2 + 2 * i] };
  });
  const [from, to, shifts] = content.subarray(1 + 2 * count, 4 + 2 * count);
  const scan = {
    components: chosen.map(({ component }) => component),
    dc: chosen.map(({ places }) => tables.dc[places >> 4]),
    ac: chosen.map(({ places }) => tables.ac[places & 15]),
    from,
    to,
    high: shifts >> 4,
    low: shifts & 15,
    isProgressive: frame.isProgressive,
  };
  const needsDc = !frame.isProgressive || (from === 0 && scan.high === 0);
  const needsAc = !frame.isProgressive || from > 0;
  const isMissing = (needsDc && scan.dc.includes(undefined)) || (needsAc && scan.ac.includes(undefined));
  if (isMissing || to > 63 || (frame.isProgressive && from > 0 && count > 1)) throw new NotOursError("this scan");
  return scan;
}

/** Return the pixels; `size` is the side of a block of them: 1, 2, 4 or 8. */
function assemble(frame, colours, size) {
  const height = Math.ceil((frame.height * size) / 8);
  const width = Math.ceil((frame.width * size) / 8);
  const rows = frame.components.map((component) => rowReader(planeOf(component, frame, size), width));
  const data = new Uint8Array(3 * height * width);
  const write = rows.length === 1 ? writeGrey : isRgb(frame, colours) ? writeRgb : writeYcc;
  for (let y = 0; y < height; y++) write(...rows.map((row) => row(y)), width, data, 3 * y * width);
  return { height, width, data };
}

function isRgb({ components }, { isJfif, adobe }) {
  if (isJfif) return false;
  if (adobe >= 0) return adobe === 0;
  return String.fromCharCode(...components.map(({ id }) => id)) === "RGB";
}

/** What is stored at a lower resolution is reduced less, so that less must be interpolated. */
function planeOf(component, frame, size) {
  if (component.quantisation === null) throw new NotOursError("a component without its table");
  const { hMost, vMost } = frame;
  let own = size;
  while (own < 8 && (hMost * size) % (2 * component.h * own) === 0 && (vMost * size) % (2 * component.v * own) === 0) {
    own *= 2;
  }
  const timesX = (hMost * size) / (component.h * own);
  const timesY = (vMost * size) / (component.v * own);
  if (!Number.isInteger(timesX) || !Number.isInteger(timesY)) throw new NotOursError("this sampling");
  return {
    ...samplesOf(component, own),
    height: Math.ceil((frame.height * component.v * own) / (8 * vMost)),
    width: Math.ceil((frame.width * component.h * own) / (8 * hMost)),
    timesX,
    timesY,
    isSmooth: size > 1,
  };
}
