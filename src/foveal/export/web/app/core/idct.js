// From the coefficients of 8 x 8 blocks to samples, at full size, a half, a quarter or an eighth.
//
// The numbers are those of the accurate integer transform that JPEG decoders are compared by: 13
// binary places for the factors, 2 between the two passes. Full size: C. Loeffler, A. Ligtenberg
// and G. Moschytz, Practical fast 1-D DCT algorithms with 11 multiplications, 1989,
// https://doi.org/10.1109/ICASSP.1989.266596. Reduced sizes: a sample is the mean of the two or
// four that it replaces, so its factors are sums of cosines.

const PLACES = 13;
const BETWEEN = 2;
const fixed = (value) => Math.round(value * (1 << PLACES));
const [F0_298, F0_390, F0_541, F0_765, F0_899, F1_175, F1_501, F1_847, F1_961, F2_053, F2_562, F3_072] = [
  0.298631336, 0.39018064, 0.5411961, 0.765366865, 0.899976223, 1.175875602, 1.501321110, 1.847759065, 1.961570560,
  2.053119869, 2.562915447, 3.072711026,
].map(fixed);

/** The factors of coefficients 1, 2, 3, 5, 6 and 7 in the first half of `size` samples. @param {number} size */
function reducedFactors(size) {
  const each = 8 / size;
  return Array.from({ length: size / 2 }, (_, sample) =>
    [1, 2, 3, 5, 6, 7].map((u) => {
      let sum = 0;
      for (let k = sample * each; k < (sample + 1) * each; k++) sum += Math.cos(((2 * k + 1) * u * Math.PI) / 16);
      return fixed(Math.SQRT2 * sum);
    }),
  );
}
const [HALF_OUTER, HALF_INNER] = reducedFactors(4);
const [QUARTER] = reducedFactors(2);

const block = new Int32Array(64);
const out = new Int32Array(8);

/** Transform eight numbers of `values` that stand `step` apart; the results, unscaled, are in `out`. */
function transform8(values, at, step) {
  const s0 = values[at];
  const s1 = values[at + step];
  const s2 = values[at + 2 * step];
  const s3 = values[at + 3 * step];
  const s4 = values[at + 4 * step];
  const s5 = values[at + 5 * step];
  const s6 = values[at + 6 * step];
  const s7 = values[at + 7 * step];
  const turned = (s2 + s6) * F0_541;
  const e2 = turned - s6 * F1_847;
  const e3 = turned + s2 * F0_765;
  const e0 = (s0 + s4) * (1 << PLACES);
  const e1 = (s0 - s4) * (1 << PLACES);
  const a0 = e0 + e3;
  const a3 = e0 - e3;
  const a1 = e1 + e2;
  const a2 = e1 - e2;
  const all = (s7 + s3 + s5 + s1) * F1_175;
  const z1 = -(s7 + s1) * F0_899;
  const z2 = -(s5 + s3) * F2_562;
  const z3 = all - (s7 + s3) * F1_961;
  const z4 = all - (s5 + s1) * F0_390;
  const o0 = s7 * F0_298 + z1 + z3;
  const o1 = s5 * F2_053 + z2 + z4;
  const o2 = s3 * F3_072 + z2 + z3;
  const o3 = s1 * F1_501 + z1 + z4;
  out[0] = a0 + o3;
  out[7] = a0 - o3;
  out[1] = a1 + o2;
  out[6] = a1 - o2;
  out[2] = a2 + o1;
  out[5] = a2 - o1;
  out[3] = a3 + o0;
  out[4] = a3 - o0;
}

function transform4(values, at, step) {
  const s0 = values[at] * (2 << PLACES);
  const s1 = values[at + step];
  const s3 = values[at + 3 * step];
  const s5 = values[at + 5 * step];
  const s7 = values[at + 7 * step];
  const even = values[at + 2 * step] * HALF_OUTER[1] + values[at + 6 * step] * HALF_OUTER[4];
  const outer = s1 * HALF_OUTER[0] + s3 * HALF_OUTER[2] + s5 * HALF_OUTER[3] + s7 * HALF_OUTER[5];
  const inner = s1 * HALF_INNER[0] + s3 * HALF_INNER[2] + s5 * HALF_INNER[3] + s7 * HALF_INNER[5];
  out[0] = s0 + even + outer;
  out[3] = s0 + even - outer;
  out[1] = s0 - even + inner;
  out[2] = s0 - even - inner;
}

function transform2(values, at, step) {
  const s0 = values[at] * (4 << PLACES);
  const odd =
    values[at + step] * QUARTER[0] +
    values[at + 3 * step] * QUARTER[2] +
    values[at + 5 * step] * QUARTER[3] +
    values[at + 7 * step] * QUARTER[5];
  out[0] = s0 + odd;
  out[1] = s0 - odd;
}

const TRANSFORMS = { 2: transform2, 4: transform4, 8: transform8 };

/**
 * Return the samples of a component, block beside block.
 *
 * @param {import("./jpeg.js").Component} component
 * @param {number} size Samples along the side of a block: 1, 2, 4 or 8.
 * @returns {{data: Uint8ClampedArray, stride: number}}
 */
export function samplesOf(component, size) {
  const { across, down, coefficients, quantisation } = component;
  const stride = across * size;
  const data = new Uint8ClampedArray(stride * down * size);
  for (let row = 0, from = 0; row < down; row++) {
    for (let column = 0; column < across; column++, from += 64) {
      const to = row * size * stride + column * size;
      if (size === 1) data[to] = 128 + ((coefficients[from] * quantisation[0] + 4) >> 3);
      else writeBlock(coefficients, from, quantisation, size, data, to, stride);
    }
  }
  return { data, stride };
}

function writeBlock(coefficients, from, quantisation, size, data, to, stride) {
  const transform = TRANSFORMS[size];
  // A reduced transform sums two (four) samples in each direction: one (two) more places to drop.
  const more = size === 8 ? 0 : size === 4 ? 1 : 2;
  const first = PLACES - BETWEEN + more;
  const round = 1 << (first - 1);
  let isFlat = true;
  for (let k = 0; k < 64; k++) {
    const value = coefficients[from + k] * quantisation[k];
    block[k] = value;
    if (value !== 0 && k > 0) isFlat = false;
  }
  if (isFlat) {
    const value = 128 + (((block[0] << BETWEEN) + 16) >> 5);
    for (let y = 0; y < size; y++) data.fill(value, to + y * stride, to + y * stride + size);
    return;
  }
  for (let x = 0; x < 8; x++) {
    transform(block, x, 8);
    for (let y = 0; y < size; y++) block[8 * y + x] = (out[y] + round) >> first;
  }
  const second = PLACES + BETWEEN + 3 + more;
  const roundLast = 1 << (second - 1);
  for (let y = 0; y < size; y++) {
    transform(block, 8 * y, 1);
    for (let x = 0; x < size; x++) data[to + y * stride + x] = 128 + ((out[x] + roundLast) >> second);
  }
}
