// One reading: the text, how sure each of its characters is, and the exact value.

import { percent, visible } from "./words.js";

// More characters than this are set small, and only the doubtful ones are numbered.
const LONG = 14;

export function drawReading(card, answer) {
  const spoken = document.createElement("span");
  spoken.className = "visually-hidden spoken";
  spoken.textContent = answer.text || "No text was found";
  const headline = card.show(".headline", " ");
  headline.replaceChildren(spoken, glyphs(answer), " ", share(answer.confidence));
  const list = card.find(".characters");
  list.hidden = answer.characters.length === 0;
  list.replaceChildren(
    ...answer.characters.map(({ char, confidence }) => {
      const item = document.createElement("li");
      item.textContent = `${visible(char)}: ${percent(confidence)}`;
      return item;
    }),
  );
  drawValue(card.find(".value"), answer);
  card.find(".copy").hidden = !answer.text || !navigator.clipboard;
}

// What a screen reader hears when the answer comes.
export function readingSummary(answer) {
  const value = answer.value ? `, value ${answer.value}` : "";
  return `${answer.text || "no text"}${value}, ${percent(answer.confidence)}`;
}

// The same limits as in the drawn alignment.
export function level(confidence) {
  if (confidence >= 0.9) return "sure";
  return confidence >= 0.5 ? "doubtful" : "weak";
}

// Why a reading is unsure: the number, or that no text of the allowed form was within reach.
export function unsureReason(answer, limit) {
  if (answer.confidence < limit) return `the confidence is below the limit of ${percent(limit)}`;
  return "no text that the model's constraint allows fits the picture";
}

function glyphs({ text, characters }) {
  const row = document.createElement("span");
  row.className = "glyphs";
  row.setAttribute("aria-hidden", "true");
  const isLong = characters.length > LONG;
  row.classList.toggle("long", isLong);
  row.classList.toggle("none", text === "");
  row.append(...characters.map((character) => glyph(character, isLong)));
  if (text === "") row.textContent = "No text";
  return row;
}

function glyph({ char, confidence }, isLong) {
  const tile = document.createElement("span");
  tile.className = "glyph";
  tile.textContent = visible(char);
  tile.title = `${visible(char)}: ${percent(confidence)}`;
  tile.dataset.level = level(confidence);
  // Drawn by the style sheet, so that selecting the text does not select the numbers.
  tile.dataset.share = isLong ? Math.floor(100 * confidence) : percent(confidence);
  tile.style.setProperty("--share", confidence);
  return tile;
}

function share(confidence) {
  const element = document.createElement("span");
  element.className = "share";
  element.title = "Confidence of the whole text";
  element.textContent = percent(confidence);
  return element;
}

function drawValue(element, answer) {
  element.hidden = answer.value === undefined;
  if (element.hidden) return;
  const name = document.createElement("span");
  name.className = "muted";
  const value = document.createElement(answer.value === null ? "span" : "strong");
  name.textContent = answer.value === null ? "No exact value:" : "Exact value";
  value.textContent = answer.value ?? (answer.value_error || "");
  element.replaceChildren(name, " ", value);
}
