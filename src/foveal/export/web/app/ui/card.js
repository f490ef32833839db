// One picture with its answer.

import { characterTiles, element, legend, scoreBars } from "./details.js";
import { drawEvidence, drawMask } from "./draw.js";
import { doubt, duration, headline, percent } from "./words.js";

// A picture is shown in no more pixels than this along its longer side.
const LONGEST = 1024;
const TOGGLES = { classify: "Show the evidence", segment: "Show the mask", read: "Show character positions" };

export class Card {
  /** @param {string} name Of the picture. */
  constructor(name) {
    const template = /** @type {HTMLTemplateElement} */ (document.getElementById("card"));
    this.root = /** @type {HTMLElement} */ (template.content.firstElementChild.cloneNode(true));
    this.find(".name").textContent = name;
    this.find(".headline").textContent = "…";
    this.find(".remove").setAttribute("aria-label", `Remove ${name}`);
    this.find(".remove").onclick = () => this.remove();
    this.name = name;
  }

  /** @param {string} selector @returns {any} */
  find(selector) {
    return this.root.querySelector(selector);
  }

  remove() {
    const next = this.root.nextElementSibling ?? document.getElementById("start");
    this.root.remove();
    /** @type {HTMLElement} */ (next).focus();
  }

  /** Show the picture. @param {ImageBitmap} bitmap @returns {[number, number]} Height and width of what is shown. */
  showPicture(bitmap) {
    const scale = Math.min(1, LONGEST / Math.max(bitmap.width, bitmap.height));
    const canvas = this.find(".base");
    canvas.width = Math.max(1, Math.round(bitmap.width * scale));
    canvas.height = Math.max(1, Math.round(bitmap.height * scale));
    const pen = canvas.getContext("2d");
    // What a picture leaves transparent is white to the network too.
    pen.fillStyle = "#fff";
    pen.fillRect(0, 0, canvas.width, canvas.height);
    pen.imageSmoothingQuality = "high";
    pen.drawImage(bitmap, 0, 0, canvas.width, canvas.height);
    canvas.setAttribute("role", "img");
    canvas.setAttribute("aria-label", this.name);
    return [canvas.height, canvas.width];
  }

  showProgress(share) {
    this.find(".certainty").textContent = `${Math.round(100 * share)} % done`;
  }

  showError(message) {
    this.find(".headline").textContent = "No answer";
    this.find(".certainty").textContent = "";
    this.showDoubt(message);
  }

  showDoubt(text) {
    const place = this.find(".doubt");
    place.hidden = text === "";
    place.textContent = text;
  }

  /** @param {any} bundle @param {import("./asker.js").Reply} reply */
  showAnswer(bundle, { answer, map, ms }) {
    this.find(".headline").textContent = headline(answer);
    const average = answer.task === "segment" ? ", on average over the pixels" : "";
    this.find(".certainty").textContent = `${percent(answer.confidence)} sure${average} · ${duration(ms)}`;
    this.showDoubt(doubt(answer, bundle));
    const details = this.find(".details");
    const over = this.find(".over");
    if (answer.task === "classify") {
      details.replaceChildren(scoreBars(answer));
      if (map !== null) drawEvidence(over, map);
    } else if (answer.task === "read") {
      const why = answer.valueError === null ? [] : [element("p", "hint", answer.valueError)];
      details.replaceChildren(characterTiles(answer), ...why);
      this.markCharacters(over, answer);
    } else details.replaceChildren(legend(answer, bundle.colors, (shown) => drawMask(over, answer, bundle.colors, shown)));
    this.offerToggle(TOGGLES[answer.task], answer.task !== "classify" || map !== null);
  }

  offerToggle(words, isOffered) {
    const toggle = this.find(".toggle");
    toggle.hidden = !isOffered;
    toggle.querySelector("span").textContent = words;
    const box = toggle.querySelector("input");
    box.onchange = () => (this.find(".over").hidden = !box.checked);
  }

  /** Mark where each character stands. */
  markCharacters(canvas, { characters, size: [, width] }) {
    const base = this.find(".base");
    canvas.width = base.width;
    canvas.height = base.height;
    const pen = canvas.getContext("2d");
    const scale = base.width / width;
    const tall = Math.max(3, base.height * 0.06);
    characters.forEach(({ x0, x1, confidence }, i) => {
      pen.fillStyle = confidence < 0.9 ? "#e07a3f" : i % 2 === 0 ? "#0f766e" : "#5cc9bb";
      pen.fillRect(x0 * scale, canvas.height - tall, Math.max(1, (x1 - x0) * scale - 1), tall);
    });
  }
}
