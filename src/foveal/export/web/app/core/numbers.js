// Probabilities from logits, in single precision as the bundle computes them.

/** @param {ArrayLike<number>} logits @param {number} temperature @returns {Float32Array} */
export function tempered(logits, temperature) {
  const divisor = Math.fround(temperature);
  return Float32Array.from(logits, (value) => value / divisor);
}

/** @param {Float32Array} logits @returns {Float32Array} */
export function softmax(logits) {
  const most = maximum(logits);
  const powers = logits.map((value) => Math.exp(Math.fround(value - most)));
  const sum = Math.fround(powers.reduce((total, value) => total + value, 0));
  return powers.map((value) => value / sum);
}

/** @param {Float32Array} logits @returns {Float32Array} */
export function sigmoid(logits) {
  return logits.map((value) => 0.5 * (1 + Math.fround(Math.tanh(Math.fround(value / 2)))));
}

/** Log probabilities of one row. @param {Float32Array} logits @returns {Float32Array} */
export function logSoftmax(logits) {
  const most = maximum(logits);
  const shifted = logits.map((value) => value - most);
  let sum = 0;
  for (const value of shifted) sum += Math.fround(Math.exp(value));
  const log = Math.fround(Math.log(Math.fround(sum)));
  return shifted.map((value) => value - log);
}

/** @param {ArrayLike<number>} values */
export function maximum(values) {
  let most = -Infinity;
  for (let i = 0; i < values.length; i++) if (values[i] > most) most = values[i];
  return most;
}

/** The place of the largest value, the first of equal ones. @param {ArrayLike<number>} values */
export function argmax(values) {
  let best = 0;
  for (let i = 1; i < values.length; i++) if (values[i] > values[best]) best = i;
  return best;
}
