// Decode a PNG as foveal does: no gamma, no colour profile, transparent parts over white, and 16-bit
// grey scaled by 1/257. A canvas would premultiply by alpha and look at colour profiles.
// PNG Specification, third edition, https://www.w3.org/TR/png-3/

import { NotOursError, PictureError } from "./errors.js";
import { orientationOf } from "./exif.js";

const CHANNELS = { 0: 1, 2: 3, 3: 1, 4: 2, 6: 4 };
// The seven pictures of an interlaced one: first pixel and step, along x and y.
const PASSES = [
  [0, 0, 8, 8],
  [4, 0, 8, 8],
  [0, 4, 4, 8],
  [2, 0, 4, 4],
  [0, 2, 2, 4],
  [1, 0, 2, 2],
  [0, 1, 1, 2],
];

/** @param {Uint8Array} bytes @returns {{height: number, width: number, orientation: number}} */
export function readPngHeader(bytes) {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.length);
  if (bytes.length < 33) throw new PictureError("The PNG picture ends within its header.");
  let orientation = 1;
  for (const { type, content } of chunks(bytes)) {
    if (type !== "eXIf") continue;
    orientation = orientationOf(content);
    break;
  }
  return { width: view.getUint32(16), height: view.getUint32(20), orientation };
}

function* chunks(bytes) {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.length);
  for (let at = 8; at + 8 <= bytes.length; ) {
    const length = view.getUint32(at);
    const type = String.fromCharCode(...bytes.subarray(at + 4, at + 8));
    yield { type, content: bytes.subarray(at + 8, at + 8 + length) };
    at += 12 + length;
  }
}

/**
 * Decode to RGB as stored, not turned.
 * @param {Uint8Array} bytes
 * @returns {Promise<import("./types.js").Pixels>}
 */
export async function decodePng(bytes) {
  const { width, height } = readPngHeader(bytes);
  const [depth, colour, , , interlaced] = bytes.subarray(24, 29);
  if (!(colour in CHANNELS)) throw new NotOursError("this kind of PNG");
  const image = { width, height, depth, colour, channels: CHANNELS[colour], palette: null, transparent: null };
  const packed = [];
  for (const { type, content } of chunks(bytes)) {
    if (type === "IDAT") packed.push(content);
    else if (type === "PLTE") image.palette = content;
    else if (type === "tRNS") image.transparent = content;
    else if (type === "IEND") break;
    else if (type === "acTL" || type === "fdAT") throw new NotOursError("an animation");
  }
  const stored = await inflate(packed);
  const samples = new Uint16Array(width * height * image.channels);
  const passes = interlaced ? PASSES : [[0, 0, 1, 1]];
  let at = 0;
  for (const pass of passes) at = readPass(stored, at, image, pass, samples);
  return { height, width, data: toRgb(samples, image) };
}

async function inflate(parts) {
  const stream = new Blob(parts).stream().pipeThrough(new DecompressionStream("deflate"));
  try {
    return new Uint8Array(await new Response(stream).arrayBuffer());
  } catch {
    throw new NotOursError("a PNG that cannot be unpacked");
  }
}

function readPass(stored, start, image, [x0, y0, stepX, stepY], samples) {
  const { width, height, depth, channels } = image;
  const columns = Math.ceil((width - x0) / stepX);
  const rows = Math.ceil((height - y0) / stepY);
  if (columns <= 0 || rows <= 0) return start;
  const stride = Math.ceil((columns * channels * depth) / 8);
  const apart = Math.max(1, (channels * depth) >> 3);
  if (start + rows * (stride + 1) > stored.length) throw new NotOursError("a PNG that is cut off");
  let before = new Uint8Array(stride);
  let at = start;
  for (let row = 0; row < rows; row++, at += stride + 1) {
    const line = stored.subarray(at + 1, at + 1 + stride);
    unfilter(stored[at], line, before, apart);
    before = line;
    spread(line, columns, image, (y0 + row * stepY) * width + x0, stepX, samples);
  }
  return at;
}

function unfilter(kind, line, above, apart) {
  const count = line.length;
  if (kind === 1) for (let i = apart; i < count; i++) line[i] += line[i - apart];
  else if (kind === 2) for (let i = 0; i < count; i++) line[i] += above[i];
  else if (kind === 3) {
    for (let i = 0; i < count; i++) line[i] += ((i < apart ? 0 : line[i - apart]) + above[i]) >> 1;
  } else if (kind === 4) {
    for (let i = 0; i < count; i++) {
      const left = i < apart ? 0 : line[i - apart];
      const corner = i < apart ? 0 : above[i - apart];
      line[i] += nearest(left, above[i], corner);
    }
  } else if (kind !== 0) throw new NotOursError("a PNG with an unknown filter");
}

function nearest(left, above, corner) {
  const [a, b, c] = [Math.abs(above - corner), Math.abs(left - corner), Math.abs(left + above - 2 * corner)];
  if (a <= b && a <= c) return left;
  return b <= c ? above : corner;
}

/** Write the samples of a row of a pass to where they belong. */
function spread(line, columns, { depth, channels }, first, step, samples) {
  for (let x = 0, from = 0; x < columns; x++) {
    const to = (first + x * step) * channels;
    for (let c = 0; c < channels; c++, from++) {
      if (depth === 8) samples[to + c] = line[from];
      else if (depth === 16) samples[to + c] = 256 * line[2 * from] + line[2 * from + 1];
      else samples[to + c] = (line[(from * depth) >> 3] >> (8 - depth - ((from * depth) & 7))) & ((1 << depth) - 1);
    }
  }
}

/** 8-bit RGB, over white where it is transparent. */
function toRgb(samples, image) {
  const { width, height, colour } = image;
  const data = new Uint8Array(3 * width * height);
  const read = [readGrey, null, readColour, readPalette, readGreyAlpha, null, readColourAlpha][colour];
  read(samples, data, image);
  return data;
}

function readGrey(samples, data, { depth, transparent }) {
  const scale = 255 / ((1 << Math.min(depth, 8)) - 1);
  const clear = transparent === null ? -1 : 256 * transparent[0] + transparent[1];
  samples.forEach((value, i) => {
    const grey = depth === 16 ? Math.floor((value + 128) / 257) : value * scale;
    data.fill(value === clear ? 255 : grey, 3 * i, 3 * i + 3);
  });
}

function readColour(samples, data, { depth, transparent }) {
  if (transparent !== null && depth === 16) throw new NotOursError("a transparent colour of 16 bits");
  const clear = transparent === null ? null : [transparent[1], transparent[3], transparent[5]];
  for (let i = 0; i < samples.length; i++) data[i] = depth === 16 ? samples[i] >> 8 : samples[i];
  if (clear === null) return;
  for (let i = 0; i < data.length; i += 3) {
    if (data[i] === clear[0] && data[i + 1] === clear[1] && data[i + 2] === clear[2]) data.fill(255, i, i + 3);
  }
}

function readPalette(samples, data, { palette, transparent }) {
  if (palette === null) throw new NotOursError("a PNG without its palette");
  samples.forEach((index, i) => {
    const alpha = transparent === null ? 255 : (transparent[index] ?? 255);
    for (let c = 0; c < 3; c++) data[3 * i + c] = overWhite(palette[3 * index + c] ?? 0, alpha);
  });
}

function readGreyAlpha(samples, data, { depth }) {
  const shift = depth === 16 ? 8 : 0;
  for (let i = 0; 2 * i < samples.length; i++) {
    data.fill(overWhite(samples[2 * i] >> shift, samples[2 * i + 1] >> shift), 3 * i, 3 * i + 3);
  }
}

function readColourAlpha(samples, data, { depth }) {
  const shift = depth === 16 ? 8 : 0;
  for (let i = 0, from = 0; from < samples.length; from += 4) {
    const alpha = samples[from + 3] >> shift;
    for (let c = 0; c < 3; c++, i++) data[i] = overWhite(samples[from + c] >> shift, alpha);
  }
}

function overWhite(value, alpha) {
  const sum = value * alpha + 255 * (255 - alpha) + 128;
  return (sum + (sum >> 8)) >> 8;
}
