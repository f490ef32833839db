// Which texts may be read at all: a list of words, or a grammar. As in foveal.tasks.read.constraint.

export const MAX_LENGTH = 512;
export const MAX_DEPTH = 64;
/** Every way to draw an operator, and the operator. */
export const SIGNS = { "+": "+", "-": "-", "−": "-", "*": "*", "×": "*", "/": "/", "÷": "/" };

/**
 * Says which texts are allowed, one character at a time.
 * @typedef {object} Constraint
 * @property {() => any} start The state of the empty text.
 * @property {(state: any, character: string) => any} advance null when no allowed text goes on like this.
 * @property {(state: any) => boolean} accepts Whether the text so far is allowed as it stands.
 */

/** @param {{grammar?: string, words?: string[]}} options Of a reader. @returns {Constraint | null} */
export function makeConstraint({ grammar = "", words = [] }) {
  if (grammar !== "") return expression(grammar);
  return words.length > 0 ? wordList(words) : null;
}

/** @param {Constraint} constraint @param {string[]} characters */
export function allows(constraint, characters) {
  let state = constraint.start();
  for (const character of characters) {
    state = constraint.advance(state, character);
    if (state === null) return false;
  }
  return constraint.accepts(state);
}

function wordList(words) {
  const whole = new Set(words);
  const beginnings = new Set();
  for (const word of words) {
    const characters = [...word];
    for (let end = 0; end <= characters.length; end++) beginnings.add(characters.slice(0, end).join(""));
  }
  const advance = (state, character) => (beginnings.has(state + character) ? state + character : null);
  return { start: () => "", advance, accepts: (state) => whole.has(state) };
}

const OPERAND = { 0: "0", "1-9": "integer", "(": "operand", known: "closed" };
const AFTER_OPERAND = { sign: "operand", ")": "closed" };
// Where a text stands, and where each kind of character leads from there.
const MOVES = {
  formula: { new: "name" },
  name: { "=": "equals" },
  equals: { 0: "value 0", "1-9": "value" },
  "value 0": { ";": "line" },
  value: { 0: "value", "1-9": "value", ";": "line" },
  line: { ...OPERAND, new: "name" },
  operand: OPERAND,
  0: AFTER_OPERAND,
  integer: { ...AFTER_OPERAND, 0: "integer", "1-9": "integer" },
  closed: AFTER_OPERAND,
};

/** What an expression, or a formula with its assignments, may be. */
function expression(grammar) {
  const first = grammar === "formula" ? "formula" : "operand";
  const advance = (state, character) => {
    const kind = kindOf(character, state.names);
    const place = kind === null ? undefined : MOVES[state.place][kind];
    if (place === undefined) return null;
    const depth = state.depth + (kind === "(" ? 1 : kind === ")" ? -1 : 0);
    const length = state.length + 1;
    if (depth < 0 || depth > MAX_DEPTH || length + depth > MAX_LENGTH) return null;
    return { place, depth, length, names: kind === "new" ? [...state.names, character] : state.names };
  };
  return {
    start: () => ({ place: first, depth: 0, length: 0, names: [] }),
    advance,
    accepts: ({ depth, place }) => depth === 0 && ["0", "integer", "closed"].includes(place),
  };
}

function kindOf(character, names) {
  if (names.includes(character)) return "known";
  if (character === "0") return "0";
  if (character >= "1" && character <= "9") return "1-9";
  if (Object.hasOwn(SIGNS, character)) return "sign";
  if ("()=;".includes(character)) return character;
  return /\s/u.test(character) ? null : "new";
}
