// Rows of a picture from the samples of its components: what is stored at half the size is
// interpolated with weights of 3/4 and 1/4, and YCbCr becomes RGB (JFIF 1.02, 1992).

const clamped = (value) => (value < 0 ? 0 : value > 255 ? 255 : value);
const PLACES = 16;
const fixed = (value) => Math.round(value * (1 << PLACES));
const tableOf = (entry) => Int32Array.from({ length: 256 }, (_, i) => entry(i - 128));
const ROUND = 1 << (PLACES - 1);
const CR_TO_RED = tableOf((cr) => (fixed(1.402) * cr + ROUND) >> PLACES);
const CB_TO_BLUE = tableOf((cb) => (fixed(1.772) * cb + ROUND) >> PLACES);
const CR_TO_GREEN = tableOf((cr) => -fixed(0.71414) * cr);
const CB_TO_GREEN = tableOf((cb) => -fixed(0.34414) * cb + ROUND);

/**
 * @typedef {object} Plane
 * @property {Uint8ClampedArray} data
 * @property {number} stride
 * @property {number} height Rows that belong to the picture.
 * @property {number} width
 * @property {number} timesX How many pixels a sample stands for.
 * @property {number} timesY
 * @property {boolean} isSmooth Whether it is interpolated.
 */

/**
 * Return a function that gives row `y` of a component at the size of the picture.
 *
 * @param {Plane} plane @param {number} width Of the picture.
 * @returns {(y: number) => ArrayLike<number>}
 */
export function rowReader(plane, width) {
  const { data, stride, timesX, timesY, isSmooth } = plane;
  const start = (row) => Math.min(Math.max(row, 0), plane.height - 1) * stride;
  if (timesX === 1 && timesY === 1) return (y) => data.subarray(y * stride, y * stride + width);
  const row = new Uint8Array(Math.max(width, plane.width * timesX));
  const isWide = plane.width > 2;
  if (isSmooth && timesX === 2 && timesY === 1 && isWide) return (y) => doubled(data, start(y), plane.width, row);
  if (isSmooth && timesX === 1 && timesY === 2) {
    return (y) => {
      const near = start(y >> 1);
      const far = start((y >> 1) + (y & 1 ? 1 : -1));
      const round = y & 1 ? 2 : 1;
      for (let x = 0; x < width; x++) row[x] = (3 * data[near + x] + data[far + x] + round) >> 2;
      return row;
    };
  }
  if (isSmooth && timesX === 2 && timesY === 2 && isWide) {
    const sums = new Int32Array(plane.width);
    return (y) => {
      const near = start(y >> 1);
      const far = start((y >> 1) + (y & 1 ? 1 : -1));
      for (let x = 0; x < plane.width; x++) sums[x] = 3 * data[near + x] + data[far + x];
      return doubledSums(sums, row);
    };
  }
  return (y) => {
    const from = start(Math.floor(y / timesY));
    for (let x = 0; x < width; x++) row[x] = data[from + Math.floor(x / timesX)];
    return row;
  };
}

function doubled(data, from, count, row) {
  const last = count - 1;
  row[0] = data[from];
  row[1] = (3 * data[from] + data[from + 1] + 2) >> 2;
  for (let x = 1; x < last; x++) {
    const value = 3 * data[from + x];
    row[2 * x] = (value + data[from + x - 1] + 1) >> 2;
    row[2 * x + 1] = (value + data[from + x + 1] + 2) >> 2;
  }
  row[2 * last] = (3 * data[from + last] + data[from + last - 1] + 1) >> 2;
  row[2 * last + 1] = data[from + last];
  return row;
}

function doubledSums(sums, row) {
  const last = sums.length - 1;
  row[0] = (4 * sums[0] + 8) >> 4;
  row[1] = (3 * sums[0] + sums[1] + 7) >> 4;
  for (let x = 1; x < last; x++) {
    const value = 3 * sums[x];
    row[2 * x] = (value + sums[x - 1] + 8) >> 4;
    row[2 * x + 1] = (value + sums[x + 1] + 7) >> 4;
  }
  row[2 * last] = (3 * sums[last] + sums[last - 1] + 8) >> 4;
  row[2 * last + 1] = (4 * sums[last] + 7) >> 4;
  return row;
}

/** Write a row of grey. */
export function writeGrey(grey, width, data, to) {
  for (let x = 0; x < width; x++, to += 3) data[to] = data[to + 1] = data[to + 2] = grey[x];
}

/** Write a row that is stored as RGB. */
export function writeRgb(red, green, blue, width, data, to) {
  for (let x = 0; x < width; x++, to += 3) {
    data[to] = red[x];
    data[to + 1] = green[x];
    data[to + 2] = blue[x];
  }
}

/** Write a row that is stored as YCbCr. */
export function writeYcc(luma, cb, cr, width, data, to) {
  for (let x = 0; x < width; x++, to += 3) {
    const y = luma[x];
    const u = cb[x];
    const v = cr[x];
    data[to] = clamped(y + CR_TO_RED[v]);
    data[to + 1] = clamped(y + ((CB_TO_GREEN[u] + CR_TO_GREEN[v]) >> PLACES));
    data[to + 2] = clamped(y + CB_TO_BLUE[u]);
  }
}
