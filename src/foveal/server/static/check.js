// The category check: does the declared category agree with the picture?

import { percent } from "./card.js";

export class CategoryCheck {
  constructor() {
    this.select = document.getElementById("category");
    this.verdict = document.getElementById("verdict");
    this.undo = document.getElementById("undo");
    this.previous = null;
    this.undo.addEventListener("click", () => this.undoChange());
    this.select.addEventListener("change", () => this.reset());
  }

  setLabels(labels) {
    const options = labels.map((name) => new Option(name, name));
    const first = new Option("Choose…", "");
    this.select.replaceChildren(first, ...options);
    this.reset();
  }

  get declared() {
    return this.select.value || null;
  }

  reset() {
    this.previous = null;
    this.undo.hidden = true;
    this.say("", "");
  }

  askForCategory() {
    this.say("unsure", "Choose the declared category first.");
    this.select.focus();
  }

  // What one answer says about the category that was declared when it was sent.
  judge(answer, declared) {
    const seen = answer.label || "none of the classes";
    const share = percent(answer.confidence);
    if (answer.unsure) {
      const guess = answer.matches ? `Perhaps ${declared}, but unsure` : `Unsure: perhaps ${seen}, not ${declared}`;
      return { kind: "unsure", text: `${guess} (${share}).` };
    }
    if (answer.matches) return { kind: "match", text: `Match: this is ${declared}.` };
    return { kind: "mismatch", text: `This looks like ${seen}, not ${declared}.` };
  }

  // Sums up the answers to the pictures that were added together.
  conclude(answers, declared) {
    if (answers.length === 0 || this.declared !== declared) return;
    const wrong = answers.filter((a) => !a.matches && !a.unsure);
    const unsure = answers.filter((a) => a.unsure);
    const seen = new Set(wrong.map((a) => a.label));
    if (wrong.length === 0) {
      this.undo.hidden = true;
      if (unsure.length > 0) this.say("unsure", this.unsureText(unsure, answers, declared));
      else this.say("match", matchText(answers, declared));
      return;
    }
    const [label] = seen;
    const single = seen.size === 1 && wrong.length === answers.length;
    const what = answers.length === 1 ? "This looks" : `${wrong.length} of ${answers.length} look`;
    const warning = `${what} like ${[...seen].join(", ") || "none of the classes"}, not ${declared}.`;
    const selectable = [...this.select.options].some((option) => option.value && option.value === label);
    if (!single || !selectable) {
      this.say("mismatch", `${warning} The category was left as it is.`);
      return;
    }
    this.previous = declared;
    this.select.value = label;
    this.undo.textContent = `Undo: back to ${declared}`;
    this.undo.hidden = false;
    this.say("mismatch", `${warning} The category was changed to ${label}.`);
  }

  unsureText(unsure, answers, declared) {
    if (answers.length === 1) return `${this.judge(unsure[0], declared).text} Please look yourself.`;
    return `${unsure.length} of ${answers.length} pictures are unsure. Please look yourself.`;
  }

  undoChange() {
    const back = this.previous;
    const changedTo = this.select.value;
    this.select.value = back;
    this.previous = null;
    this.undo.hidden = true;
    this.say("unsure", `Kept ${back}. The picture still looks like ${changedTo}.`);
    this.select.focus();
  }

  say(kind, text) {
    this.verdict.dataset.kind = kind;
    this.verdict.textContent = text;
  }
}

function matchText(answers, declared) {
  if (answers.length === 1) {
    return `Match: this is ${declared}, ${percent(answers[0].confidence)}.`;
  }
  return `Match: all ${answers.length} pictures are ${declared}.`;
}
