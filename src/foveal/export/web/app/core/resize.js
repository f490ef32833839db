// Bilinear resampling with antialiasing, in integers, as docs/bundle-format.md defines it: the same
// bits on every machine. Canvas and CSS scale in ways of their own, so they are not used.

const PLACES = 22;
const ROUND = 1 << (PLACES - 1);

/**
 * Where one axis looks: for each output, its first input and its weights.
 * @typedef {{firsts: Int32Array, counts: Int32Array, most: number, weights: Float64Array}} Axis
 */

/**
 * @param {number} size Of the input.
 * @param {number} start Of what is taken of it, in pixels.
 * @param {number} end
 * @param {number} length Of the output.
 * @returns {Axis}
 */
export function axisOf(size, start, end, length) {
  // Places are kept as single precision; multiples of 1/256 are exact there.
  const first = Math.fround(start);
  const step = Math.fround(Math.fround(end) - first) / length;
  const reach = Math.max(1, step);
  const most = 2 * Math.ceil(reach) + 1;
  const firsts = new Int32Array(length);
  const counts = new Int32Array(length);
  const weights = new Float64Array(length * most);
  for (let i = 0; i < length; i++) {
    const centre = first + (i + 0.5) * step;
    const low = Math.max(0, Math.trunc(centre - reach + 0.5));
    const count = Math.min(size, Math.trunc(centre + reach + 0.5)) - low;
    let sum = 0;
    for (let k = 0; k < count; k++) {
      const distance = Math.abs((k + low - centre + 0.5) * (1 / reach));
      const weight = distance < 1 ? 1 - distance : 0;
      weights[i * most + k] = weight;
      sum += weight;
    }
    for (let k = 0; k < count && sum !== 0; k++) weights[i * most + k] /= sum;
    firsts[i] = low;
    counts[i] = count;
  }
  return { firsts, counts, most, weights };
}

/** @param {Axis} axis */
function fixedWeights({ weights }) {
  return Int32Array.from(weights, (weight) => Math.trunc(0.5 + weight * (1 << PLACES)));
}

/**
 * @param {import("./types.js").Pixels} pixels
 * @param {number} height @param {number} width Of the result.
 * @param {[number, number, number, number]} [box] x0, y0, x1, y1 of the part to take.
 * @returns {import("./types.js").Pixels}
 */
export function resize(pixels, height, width, box = [0, 0, pixels.width, pixels.height]) {
  const [x0, y0, x1, y1] = box;
  const across = x0 !== 0 || x1 !== width || pixels.width !== width ? axisOf(pixels.width, x0, x1, width) : null;
  const down = y0 !== 0 || y1 !== height || pixels.height !== height ? axisOf(pixels.height, y0, y1, height) : null;
  if (across === null) return down === null ? pixels : resizeDown(pixels, height, down);
  if (down === null) return resizeAcross(pixels, width, across);
  // The pass that leaves fewer pixels to the other comes first.
  if (isDownFirst(pixels, height, width)) return resizeAcross(resizeDown(pixels, height, down), width, across);
  return resizeDown(resizeAcross(pixels, width, across), height, down);
}

/** @param {{height: number, width: number}} size @param {number} height @param {number} width */
function isDownFirst(size, height, width) {
  return size.height > height && size.height - height > 2 * (size.width - width);
}

function resizeAcross({ height, width: stride, data }, width, axis) {
  const weights = fixedWeights(axis);
  const out = new Uint8Array(3 * height * width);
  for (let y = 0, to = 0; y < height; y++) {
    for (let x = 0; x < width; x++, to += 3) {
      let from = 3 * (y * stride + axis.firsts[x]);
      let red = ROUND;
      let green = ROUND;
      let blue = ROUND;
      const end = x * axis.most + axis.counts[x];
      for (let k = x * axis.most; k < end; k++, from += 3) {
        const weight = weights[k];
        red += data[from] * weight;
        green += data[from + 1] * weight;
        blue += data[from + 2] * weight;
      }
      // Weights are positive and sum to 1, but for their rounding: only the top can be passed.
      out[to] = Math.min(255, red >> PLACES);
      out[to + 1] = Math.min(255, green >> PLACES);
      out[to + 2] = Math.min(255, blue >> PLACES);
    }
  }
  return { height, width, data: out };
}

function resizeDown({ width, data }, height, axis) {
  const weights = fixedWeights(axis);
  const stride = 3 * width;
  const out = new Uint8Array(height * stride);
  const sums = new Int32Array(stride);
  for (let y = 0; y < height; y++) {
    sums.fill(ROUND);
    for (let k = 0; k < axis.counts[y]; k++) {
      const weight = weights[y * axis.most + k];
      const from = (axis.firsts[y] + k) * stride;
      for (let x = 0; x < stride; x++) sums[x] += data[from + x] * weight;
    }
    for (let x = 0, to = y * stride; x < stride; x++, to++) out[to] = Math.min(255, sums[x] >> PLACES);
  }
  return { height, width, data: out };
}

/**
 * Resize as `Pipeline.apply` does: a picture more than 6 times too large is averaged in cells first.
 *
 * @param {import("./types.js").Pixels} pixels
 * @param {number} height @param {number} width
 */
export function resizeReducing(pixels, height, width) {
  const factorX = Math.max(1, Math.floor(pixels.width / (3 * width)));
  const factorY = Math.max(1, Math.floor(pixels.height / (3 * height)));
  if (factorX <= 1 && factorY <= 1) return resize(pixels, height, width);
  const small = reduce(pixels, factorX, factorY);
  return resize(small, height, width, [0, 0, pixels.width / factorX, pixels.height / factorY]);
}

/** The mean of each cell, `factorX` by `factorY` pixels; those at the edges may be smaller. */
export function reduce({ height, width, data }, factorX, factorY) {
  const rows = Math.ceil(height / factorY);
  const columns = Math.ceil(width / factorX);
  const out = new Uint8Array(3 * rows * columns);
  for (let row = 0, to = 0; row < rows; row++) {
    const bottom = Math.min(height, (row + 1) * factorY);
    for (let column = 0; column < columns; column++, to += 3) {
      const right = Math.min(width, (column + 1) * factorX);
      let red = 0;
      let green = 0;
      let blue = 0;
      for (let y = row * factorY; y < bottom; y++) {
        let from = 3 * (y * width + column * factorX);
        for (let x = column * factorX; x < right; x++, from += 3) {
          red += data[from];
          green += data[from + 1];
          blue += data[from + 2];
        }
      }
      const count = (bottom - row * factorY) * (right - column * factorX);
      const share = Math.floor(2 ** 24 / count);
      const add = count >> 1;
      out[to] = Math.imul(red + add, share) >>> 24;
      out[to + 1] = Math.imul(green + add, share) >>> 24;
      out[to + 2] = Math.imul(blue + add, share) >>> 24;
    }
  }
  return { height: rows, width: columns, data: out };
}

/**
 * Resize one map of numbers, or a box of it.
 *
 * @param {Float32Array} values (height, width).
 * @param {number} height @param {number} width Of the map.
 * @param {number} rows @param {number} columns Of the result.
 * @param {[number, number, number, number]} [box] x0, y0, x1, y1.
 */
export function resizeMap(values, height, width, rows, columns, box = [0, 0, width, height]) {
  const [x0, y0, x1, y1] = box;
  const across = x0 !== 0 || x1 !== columns || width !== columns ? axisOf(width, x0, x1, columns) : null;
  const down = y0 !== 0 || y1 !== rows || height !== rows ? axisOf(height, y0, y1, rows) : null;
  if (across !== null && down !== null && isDownFirst({ height, width }, rows, columns)) {
    return mapAcross(mapDown(values, width, rows, down), rows, width, columns, across);
  }
  const middle = across === null ? values : mapAcross(values, height, width, columns, across);
  return down === null ? middle : mapDown(middle, columns, rows, down);
}

function mapAcross(values, height, width, columns, axis) {
  const out = new Float32Array(height * columns);
  for (let y = 0, to = 0; y < height; y++) {
    for (let x = 0; x < columns; x++, to++) {
      const from = y * width + axis.firsts[x];
      let sum = 0;
      for (let k = 0; k < axis.counts[x]; k++) sum += values[from + k] * axis.weights[x * axis.most + k];
      out[to] = sum;
    }
  }
  return out;
}

function mapDown(values, width, rows, axis) {
  const out = new Float32Array(rows * width);
  const sums = new Float64Array(width);
  for (let y = 0; y < rows; y++) {
    sums.fill(0);
    for (let k = 0; k < axis.counts[y]; k++) {
      const weight = axis.weights[y * axis.most + k];
      const from = (axis.firsts[y] + k) * width;
      for (let x = 0; x < width; x++) sums[x] += values[from + x] * weight;
    }
    out.set(sums, y * width);
  }
  return out;
}
