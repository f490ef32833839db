// One picture and its answer. Knows nothing of the category check's form.

import { predict } from "./api.js";

const TOP = 5;

export function percent(share) {
  const value = 100 * share;
  // Never claims a certainty that the number does not have.
  if (value > 99.9 && value < 100) return "> 99.9 %";
  const digits = value < 10 || (value > 99 && value < 100) ? 1 : 0;
  return `${value.toFixed(digits)} %`;
}

export class Card {
  constructor(file, model) {
    this.file = file;
    this.model = model;
    this.sent = file;
    this.answer = null;
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
    this.find(".more").addEventListener("click", () => this.toggleAll());
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

  setWorking() {
    this.find(".working").hidden = false;
    this.show(".error", "");
    this.find(".retry").hidden = true;
  }

  setNote(text) {
    this.show(".note", text);
  }

  setAnswer(answer) {
    this.answer = answer;
    this.find(".working").hidden = true;
    const name = answer.label || "None of the classes";
    const headline = this.show(".headline", name);
    const share = document.createElement("span");
    share.className = "share";
    share.textContent = percent(answer.confidence);
    headline.append(" ", share);
    this.element.classList.toggle("is-unsure", answer.unsure);
    this.show(".unsure-note", answer.unsure ? this.unsureText() : "");
    this.drawBars(TOP);
    const hidden = Object.keys(answer.scores).length - TOP;
    const more = this.find(".more");
    more.hidden = hidden <= 0;
    more.textContent = `Show all ${hidden + TOP} classes`;
    const ms = answer.ms < 10 ? answer.ms.toFixed(1) : Math.round(answer.ms);
    this.show(".meta", `${ms} ms · ${answer.model} · version ${answer.version}`);
    this.find(".evidence").hidden = false;
  }

  unsureText() {
    const limit = percent(this.model.unsure_below);
    return `Unsure. This is a best guess: the model is not certain enough (it asks for ${limit}). Please look yourself.`;
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
    const overlay = this.find(".overlay");
    this.find(".evidence-strength").disabled = !on;
    if (!on) {
      overlay.hidden = true;
      return;
    }
    if (!overlay.src) {
      try {
        const { explanation } = await predict(this.model.name, this.sent, { explain: true });
        overlay.src = `data:image/png;base64,${explanation.png_b64}`;
        overlay.alt = `Where the evidence for ${this.answer.label} lies`;
        await overlay.decode();
      } catch (error) {
        this.show(".error", error.message);
        this.find(".evidence-on").checked = false;
        this.find(".evidence-strength").disabled = true;
        return;
      }
    }
    overlay.hidden = !this.find(".evidence-on").checked;
    this.setStrength();
  }

  setStrength() {
    this.find(".overlay").style.opacity = this.find(".evidence-strength").value / 100;
  }

  dispose() {
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
