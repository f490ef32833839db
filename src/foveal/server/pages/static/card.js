// One picture and its answer. Knows nothing of the category check's form.

import { predict } from "./api.js";
import { Feedback } from "./feedback.js";
import { drawMask, maskSummary } from "./mask.js";
import { drawReading, readingSummary, unsureReason } from "./reading.js";
import { percent } from "./words.js";

const TOP = 5;

// An answer in one line.
export function summaryOf(answer, model) {
  const said = { mask: maskSummary, text: readingSummary }[model.target] ?? classSummary;
  return `${answer.unsure ? "unsure, best guess " : ""}${said(answer)}`;
}

function classSummary(answer) {
  return `${answer.label || "none of the classes"}, ${percent(answer.confidence)}`;
}

export class Card {
  constructor(file, model) {
    this.file = file;
    this.model = model;
    this.sent = file;
    this.answer = null;
    this.isReading = model.target === "text";
    this.isMask = model.target === "mask";
    this.viewer = null;
    this.feedback = null;
    const template = document.getElementById("card");
    this.element = template.content.firstElementChild.cloneNode(true);
    this.url = URL.createObjectURL(file);
    const preview = this.find(".preview");
    preview.src = this.url;
    preview.alt = file.name;
    preview.addEventListener("error", () => {
      preview.hidden = true;
      this.find(".stage").classList.add("blind");
    });
    this.find("figcaption").textContent = file.name;
    this.element.classList.toggle("is-reading", this.isReading);
    this.element.classList.toggle("is-mask", this.isMask);
    if (this.isReading) this.find(".evidence-name").textContent = "Show alignment";
    this.find(".copy").addEventListener("click", () => this.copy());
    this.find(".more").onclick = () => this.toggleAll();
    this.find(".evidence-on").addEventListener("change", (event) =>
      this.showEvidence(event.target.checked),
    );
    this.find(".evidence-strength").addEventListener("input", () => this.setStrength());
  }

  find(selector) {
    return this.element.querySelector(selector);
  }

  show(selector, text) {
    const element = this.find(selector);
    element.textContent = text;
    element.hidden = !text;
    return element;
  }

  // Offers to say whether the answer is right, where the server keeps that.
  offerFeedback(kept) {
    this.feedback ??= new Feedback(this, kept);
    this.feedback.reset();
  }

  setWorking() {
    this.find(".working").hidden = false;
    this.show(".error", "");
    this.find(".retry").hidden = true;
  }

  setNote(text) {
    this.show(".note", text);
  }

  async setAnswer(answer) {
    this.answer = answer;
    this.find(".working").hidden = true;
    this.element.classList.toggle("is-unsure", answer.unsure);
    if (this.isMask) await drawMask(this, answer);
    else if (this.isReading) drawReading(this, answer);
    else this.drawScores();
    this.show(".unsure-note", answer.unsure ? this.unsureText() : "");
    const ms = answer.ms < 10 ? answer.ms.toFixed(1) : Math.round(answer.ms);
    this.show(".meta", `${ms} ms · ${answer.model} · version ${answer.version}`);
    // A mask lies over its picture already.
    this.find(".evidence").hidden = this.isMask;
  }

  // The answer in a few words, for those who do not see it.
  summary() {
    if (this.answer === null) return this.find(".error").textContent;
    return summaryOf(this.answer, this.model);
  }

  unsureText() {
    const whys = this.answer.reasons.map((reason) => this.why(reason));
    if (!this.model.usable) {
      const foreign = this.answer.reasons.includes("unfamiliar") ? ` Also, ${this.why("unfamiliar")}.` : "";
      return `${this.model.promise}${foreign} This is a best guess. Please check it yourself.`;
    }
    return `Unsure. This is a best guess: ${whys.join(", and ")}. Please check it yourself.`;
  }

  why(reason) {
    const limit = this.model.unsure_below;
    if (reason === "unfamiliar") return "this picture is unlike the training pictures";
    if (this.isReading) return unsureReason(this.answer, limit);
    return `the confidence is below the limit of ${percent(limit)}`;
  }

  drawScores() {
    const headline = this.show(".headline", this.answer.label || "None of the classes");
    const share = document.createElement("span");
    share.className = "share";
    share.textContent = percent(this.answer.confidence);
    headline.append(" ", share);
    this.drawBars(TOP);
    const hidden = Object.keys(this.answer.scores).length - TOP;
    const more = this.find(".more");
    more.hidden = hidden <= 0;
    more.textContent = `Show all ${hidden + TOP} classes`;
  }

  drawBars(count) {
    const bars = this.find(".bars");
    bars.hidden = false;
    const entries = Object.entries(this.answer.scores).sort((a, b) => b[1] - a[1]);
    bars.replaceChildren(...entries.slice(0, count).map(([name, share]) => bar(name, share)));
  }

  toggleAll() {
    const more = this.find(".more");
    const open = more.getAttribute("aria-expanded") !== "true";
    more.setAttribute("aria-expanded", String(open));
    const total = Object.keys(this.answer.scores).length;
    more.textContent = open ? `Show the top ${TOP}` : `Show all ${total} classes`;
    this.drawBars(open ? total : TOP);
  }

  setError(error, retry) {
    this.find(".working").hidden = true;
    this.show(".error", error.message);
    const button = this.find(".retry");
    button.hidden = !error.passing;
    button.onclick = retry;
  }

  setVerdict(kind, text) {
    const verdict = this.show(".card-verdict", text);
    verdict.dataset.kind = kind;
    // The verdict says it already.
    if (kind === "unsure") this.find(".unsure-note").hidden = true;
  }

  async showEvidence(on) {
    // A heat map lies over the picture; a text's alignment has its own size and stands below it.
    const image = this.find(this.isReading ? ".figure img" : ".overlay");
    const place = this.isReading ? this.find(".figure") : image;
    const strength = this.find(".evidence-strength");
    strength.disabled = !on || this.isReading;
    if (!on) {
      place.hidden = true;
      return;
    }
    if (!image.src) {
      try {
        const { explanation } = await predict(this.model.name, this.sent, { explain: true });
        image.src = `data:image/png;base64,${explanation.png_b64}`;
        image.alt = this.isReading
          ? `Alignment of the picture's columns to the characters of ${this.answer.text || "no text"}`
          : `Evidence for ${this.answer.label}`;
        await image.decode();
      } catch (error) {
        this.show(".error", error.message);
        this.find(".evidence-on").checked = false;
        strength.disabled = true;
        return;
      }
    }
    place.hidden = !this.find(".evidence-on").checked;
    this.setStrength();
  }

  setStrength() {
    this.find(".overlay").style.opacity = this.find(".evidence-strength").value / 100;
  }

  async copy() {
    const button = this.find(".copy");
    try {
      await navigator.clipboard.writeText(this.answer.text);
      button.textContent = "Copied";
    } catch {
      button.textContent = "Copying is not allowed here";
    }
  }

  dispose() {
    this.viewer?.dispose();
    URL.revokeObjectURL(this.url);
    this.element.remove();
  }
}

function bar(name, share) {
  const item = document.createElement("li");
  const label = document.createElement("span");
  label.className = "bar-name";
  label.textContent = name;
  const value = document.createElement("span");
  value.className = "bar-share";
  value.textContent = percent(share);
  const track = document.createElement("span");
  track.className = "bar-track";
  track.setAttribute("aria-hidden", "true");
  const fill = document.createElement("span");
  fill.style.width = `${Math.max(0.5, 100 * share)}%`;
  track.append(fill);
  item.append(label, value, track);
  return item;
}
