// What stands below an answer: bars of the scores, the characters, or the legend of a mask.

import { percent } from "./words.js";

const BARS = 5;

/** @param {string} tag @param {string} className @param {...(string | Node)} content */
export function element(tag, className, ...content) {
  const made = document.createElement(tag);
  made.className = className;
  made.append(...content);
  return made;
}

function meter(share) {
  const made = /** @type {HTMLMeterElement} */ (element("meter", "bar-of"));
  made.value = share;
  made.setAttribute("aria-hidden", "true");
  return made;
}

/** The most likely labels. @param {any} answer */
export function scoreBars(answer) {
  const rows = answer.scores.slice(0, BARS).map(([label, share]) =>
    element("li", "", element("span", "label", label), meter(share), element("span", "share", percent(share))),
  );
  return element("ol", "scores", ...rows);
}

/** Each character above how sure it is. @param {any} answer */
export function characterTiles(answer) {
  const tiles = answer.characters.map(({ char, confidence }) => {
    const tile = element("li", confidence < 0.9 ? "weak" : "", element("b", "", char.trim() ? char : "␣"));
    tile.append(element("span", "share", percent(confidence)));
    return tile;
  });
  return element("ol", "characters", ...tiles);
}

/**
 * The labels of a mask with their colours, each of which can be hidden.
 * @param {any} answer @param {[number, number, number][]} colors @param {(shown: boolean[]) => void} onChange
 */
export function legend(answer, colors, onChange) {
  const shown = answer.classes.map(({ name }) => name !== "background");
  const rows = answer.classes.map(({ name, share, pixels }, i) => {
    const box = document.createElement("input");
    box.type = "checkbox";
    box.checked = shown[i];
    box.onchange = () => {
      shown[i] = box.checked;
      onChange(shown);
    };
    const square = document.createElementNS("http://www.w3.org/2000/svg", "svg");
    square.setAttribute("viewBox", "0 0 1 1");
    square.setAttribute("class", "square");
    square.setAttribute("aria-hidden", "true");
    const rect = document.createElementNS("http://www.w3.org/2000/svg", "rect");
    rect.setAttribute("width", "1");
    rect.setAttribute("height", "1");
    rect.setAttribute("fill", `rgb(${colors[i].join(" ")})`);
    square.append(rect);
    const label = element("label", "", box, square, element("span", "label", name));
    return element("li", "", label, element("span", "share", `${percent(share)}, ${pixels.toLocaleString("en")} pixels`));
  });
  onChange(shown);
  return element("ol", "legend", ...rows);
}
