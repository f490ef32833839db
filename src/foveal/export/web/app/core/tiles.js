// Answer a picture of any size tile by tile and join the maps, weighted by Gaussians; steps 1 to 3
// of the fit `tile` in docs/bundle-format.md.

import { resize, resizeMap } from "./resize.js";

const STEPS_PER_PIXEL = 256;
const SIGMA_SHARE = 1 / 8;
// Whether each run of a tile is mirrored along the rows (up and down) and the columns.
const MIRRORS = {
  none: [[false, false]],
  horizontal: [[false, false], [false, true]],
  all: [[false, false], [false, true], [true, false], [true, true]],
};

/**
 * @param {import("./types.js").Pipeline} pipeline
 * @param {import("./types.js").Pixels} pixels Of the original.
 * @param {number} classes
 * @param {(data: Uint8Array, dims: number[]) => Promise<Record<string, import("./types.js").Tensor>>} run
 * @param {number[] | null} each Takes the unfamiliarity of each tile; null where there is none.
 * @param {(share: number) => void} onProgress
 * @returns {Promise<Float32Array>} Logits, (C, height, width), in original pixels.
 */
export async function runTiles(pipeline, pixels, classes, run, each, onProgress) {
  const step = stepOf(pipeline.scale);
  const small = step === 1 ? pixels : scaled(pixels, step);
  const rows = axisOf(small.height, pipeline.height, pipeline.overlap);
  const columns = axisOf(small.width, pipeline.width, pipeline.overlap);
  const sums = new Float32Array(classes * small.height * small.width);
  let done = 0;
  for (let i = 0; i < rows.starts.length; i++) {
    for (let j = 0; j < columns.starts.length; j++) {
      const tile = cut(small, rows.starts[i], columns.starts[j], pipeline.height, pipeline.width);
      const maps = await answerTile(tile, pipeline, run, each);
      add(sums, maps, small, rows, i, columns, j, pipeline);
      onProgress(++done / (rows.starts.length * columns.starts.length));
    }
  }
  return step === 1 ? sums : enlarged(sums, classes, small, step, pixels);
}

/** How many original pixels a pixel of the scaled picture covers a side. @param {number} scale */
export function stepOf(scale) {
  const exact = STEPS_PER_PIXEL / scale;
  const low = Math.floor(exact);
  const isUp = exact - low > 0.5 || (exact - low === 0.5 && low % 2 === 1);
  return Math.max(STEPS_PER_PIXEL, isUp ? low + 1 : low) / STEPS_PER_PIXEL;
}

/** The whole picture scaled: along the rows first, then along the columns; its edge repeated. */
export function scaled(pixels, step) {
  const height = Math.ceil(pixels.height / step);
  const width = Math.ceil(pixels.width / step);
  const large = extended(pixels, Math.ceil(height * step), Math.ceil(width * step));
  const across = resize(large, large.height, width, [0, 0, width * step, large.height]);
  return resize(across, height, width, [0, 0, width, height * step]);
}

function extended(pixels, height, width) {
  if (height === pixels.height && width === pixels.width) return pixels;
  const data = new Uint8Array(3 * height * width);
  for (let y = 0; y < height; y++) {
    const from = 3 * Math.min(y, pixels.height - 1) * pixels.width;
    const to = 3 * y * width;
    data.set(pixels.data.subarray(from, from + 3 * pixels.width), to);
    const last = pixels.data.subarray(from + 3 * (pixels.width - 1), from + 3 * pixels.width);
    for (let x = pixels.width; x < width; x++) data.set(last, to + 3 * x);
  }
  return { height, width, data };
}

/** Windows along a side, and their weights, which sum to 1 at every pixel. */
function axisOf(length, window, overlap) {
  const excess = Math.max(0, length - window);
  const step = Math.max(1, Math.trunc(window * (1 - overlap)));
  const last = Math.ceil(excess / step);
  const starts = last > 0 ? Array.from({ length: last + 1 }, (_, i) => Math.floor((i * excess) / last)) : [0];
  const covered = Math.min(window, length);
  const bell = Float64Array.from({ length: covered }, (_, i) =>
    Math.exp(-0.5 * ((i - (window - 1) / 2) / (SIGMA_SHARE * window)) ** 2),
  );
  const total = new Float64Array(length);
  for (const start of starts) bell.forEach((value, i) => (total[start + i] += value));
  const weights = starts.map((start) => Float32Array.from(bell, (value, i) => value / total[start + i]));
  return { starts, weights };
}

/** A place folded into [0, size), the edge pixel not repeated. */
function mirrored(place, size) {
  if (size === 1) return 0;
  const period = 2 * (size - 1);
  const folded = place % period;
  return Math.min(folded, period - folded);
}

function cut(pixels, top, left, height, width) {
  const data = new Uint8Array(3 * height * width);
  const inside = Math.min(width, pixels.width - left);
  for (let y = 0; y < height; y++) {
    const from = mirrored(top + y, pixels.height) * pixels.width;
    const to = 3 * y * width;
    data.set(pixels.data.subarray(3 * (from + left), 3 * (from + left + inside)), to);
    for (let x = inside; x < width; x++) {
      const at = 3 * (from + mirrored(left + x, pixels.width));
      data.set(pixels.data.subarray(at, at + 3), to + 3 * x);
    }
  }
  return data;
}

/** The mean of the maps over the ways in which a tile is mirrored. */
async function answerTile(tile, { height, width, flips }, run, each) {
  let sum = null;
  for (const [down, across] of MIRRORS[flips]) {
    const flipped = down || across ? flip(tile, height, width, 3, down, across, Uint8Array) : tile;
    const outputs = await run(flipped, [1, height, width, 3]);
    if (!down && !across && each !== null) each.push(outputs.unfamiliarity.data[0]);
    const maps = sized(outputs.logits, height, width);
    if (sum === null) sum = Float32Array.from(maps);
    else addFlipped(sum, maps, height, width, down, across);
  }
  const count = MIRRORS[flips].length;
  return count === 1 ? sum : sum.map((value) => value / count);
}

function sized({ data, dims: [, classes, rows, columns] }, height, width) {
  if (rows === height && columns === width) return data;
  const maps = new Float32Array(classes * height * width);
  for (let c = 0; c < classes; c++) {
    const own = data.subarray(c * rows * columns, (c + 1) * rows * columns);
    maps.set(resizeMap(own, rows, columns, height, width), c * height * width);
  }
  return maps;
}

function flip(values, height, width, channels, down, across, Kind) {
  const out = new Kind(values.length);
  for (let y = 0; y < height; y++) {
    const row = down ? height - 1 - y : y;
    for (let x = 0; x < width; x++) {
      const from = channels * (row * width + (across ? width - 1 - x : x));
      for (let c = 0; c < channels; c++) out[channels * (y * width + x) + c] = values[from + c];
    }
  }
  return out;
}

function addFlipped(sum, maps, height, width, down, across) {
  const size = height * width;
  for (let start = 0; start < sum.length; start += size) {
    const back = flip(maps.subarray(start, start + size), height, width, 1, down, across, Float32Array);
    for (let i = 0; i < size; i++) sum[start + i] += back[i];
  }
}

function add(sums, maps, picture, rows, i, columns, j, { height, width }) {
  const [down, across] = [rows.weights[i], columns.weights[j]];
  const size = picture.height * picture.width;
  for (let c = 0; c * size < sums.length; c++) {
    for (let y = 0; y < down.length; y++) {
      const to = c * size + (rows.starts[i] + y) * picture.width + columns.starts[j];
      const from = (c * height + y) * width;
      for (let x = 0; x < across.length; x++) {
        const weight = Math.fround(down[y] * across[x]);
        sums[to + x] += Math.fround(maps[from + x] * weight);
      }
    }
  }
}

function enlarged(sums, classes, small, step, { height, width }) {
  const size = small.height * small.width;
  const out = new Float32Array(classes * height * width);
  for (let c = 0; c < classes; c++) {
    const own = sums.subarray(c * size, (c + 1) * size);
    const box = [0, 0, width / step, height / step];
    out.set(resizeMap(own, small.height, small.width, height, width, box), c * height * width);
  }
  return out;
}
