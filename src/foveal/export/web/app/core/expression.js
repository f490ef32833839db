// The exact value of an expression that was read, with integers and fractions; as in
// foveal.tasks.read.expression.

import { MAX_DEPTH, MAX_LENGTH, SIGNS } from "./constraint.js";

const RANK = { "+": 1, "-": 1, "*": 2, "/": 2 };
const RESERVED = new Set([..."0123456789()=;", ...Object.keys(SIGNS)]);

/** Why a text has no value. */
class ExpressionError extends Error {}

/**
 * @param {string} text For example `2*(3+4)` or `x=42;x/6`.
 * @returns {{value: string | null, error: string | null}}
 */
export function valueOf(text) {
  try {
    const [top, bottom] = evaluate([...text]);
    return { value: bottom === 1n ? `${top}` : `${top}/${bottom}`, error: null };
  } catch (error) {
    if (error instanceof ExpressionError) return { value: null, error: error.message };
    throw error;
  }
}

function evaluate(characters) {
  if (characters.length > MAX_LENGTH) throw new ExpressionError("Expression too long.");
  const numbers = new Map();
  const lines = characters.join("").split(";");
  for (const assignment of lines.slice(0, -1)) {
    const match = /^(\S)=(0|[1-9][0-9]*)$/u.exec(assignment);
    if (match === null || RESERVED.has(match[1]) || numbers.has(match[1])) {
      throw new ExpressionError("Invalid expression: expected an assignment such as x=42.");
    }
    numbers.set(match[1], [BigInt(match[2]), 1n]);
  }
  return evaluateLine([...lines.at(-1)], numbers);
}

function evaluateLine(characters, numbers) {
  const operands = [];
  const waiting = [];
  const state = { dividesByZero: false };
  let depth = 0;
  let wantsOperand = true;
  for (let at = 0; at < characters.length; at++) {
    const character = characters[at];
    if (wantsOperand && character === "(") {
      if (++depth > MAX_DEPTH) throw new ExpressionError("Expression too deep.");
      waiting.push("(");
    } else if (wantsOperand) {
      at = takeOperand(characters, at, numbers, operands) - 1;
      wantsOperand = false;
    } else if (Object.hasOwn(SIGNS, character)) {
      const sign = SIGNS[character];
      apply(operands, waiting, RANK[sign], state);
      waiting.push(sign);
      wantsOperand = true;
    } else if (character === ")" && depth > 0) {
      apply(operands, waiting, 0, state);
      waiting.pop();
      depth--;
    } else throw new ExpressionError(`Invalid expression: expected an operator. Received: ${character}.`);
  }
  if (wantsOperand) throw new ExpressionError("Invalid expression: expected a number or (.");
  if (depth > 0) throw new ExpressionError("Invalid expression: expected ).");
  apply(operands, waiting, 0, state);
  if (state.dividesByZero) throw new ExpressionError("Division by zero.");
  return operands.pop();
}

function takeOperand(characters, start, numbers, operands) {
  const known = numbers.get(characters[start]);
  if (known !== undefined) {
    operands.push(known);
    return start + 1;
  }
  const isDigit = (at) => characters[at] >= "0" && characters[at] <= "9";
  let end = start;
  while (end < characters.length && isDigit(end)) end++;
  if (end === start) throw new ExpressionError("Invalid expression: expected a number or (.");
  if (characters[start] === "0" && end > start + 1) {
    throw new ExpressionError("Invalid expression: expected a number without leading zeros.");
  }
  operands.push([BigInt(characters.slice(start, end).join("")), 1n]);
  return end;
}

/** Work off the waiting operators of a rank or above; a division by zero counts as 0 from there on. */
function apply(operands, waiting, rank, state) {
  while (waiting.length > 0 && waiting.at(-1) !== "(" && RANK[waiting.at(-1)] >= rank) {
    const sign = waiting.pop();
    const [c, d] = operands.pop();
    const [a, b] = operands.pop();
    if (sign === "+") operands.push(lowest(a * d + c * b, b * d));
    else if (sign === "-") operands.push(lowest(a * d - c * b, b * d));
    else if (sign === "*") operands.push(lowest(a * c, b * d));
    else if (c !== 0n) operands.push(lowest(a * d, b * c));
    else {
      state.dividesByZero = true;
      operands.push([0n, 1n]);
    }
  }
}

function lowest(top, bottom) {
  let [a, b] = [top < 0n ? -top : top, bottom < 0n ? -bottom : bottom];
  while (b !== 0n) [a, b] = [b, a % b];
  const sign = bottom < 0n ? -1n : 1n;
  return [(sign * top) / a, (sign * bottom) / a];
}
