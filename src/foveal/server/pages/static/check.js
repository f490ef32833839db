// The check: does what was declared, a category or a text, agree with the picture?

import { percent, visible } from "./words.js";

// What both checks share: the field, the verdict, and what one answer says.
class Check {
  constructor(id, event, { is, seems }) {
    Object.assign(this, { is, seems });
    this.field = document.getElementById(`${id}-field`);
    this.control = document.getElementById(id);
    this.verdict = document.getElementById("verdict");
    this.undo = document.getElementById("undo");
    this.control.addEventListener(event, () => this.reset());
  }

  reset() {
    this.undo.hidden = true;
    this.say("", "");
  }

  say(kind, text) {
    this.verdict.dataset.kind = kind;
    this.verdict.textContent = text;
  }

  ask(text) {
    this.say("unsure", text);
    this.control.focus();
    return false;
  }

  // What one answer says about what was declared when it was sent.
  judge(answer, declared) {
    const seen = this.seen(answer);
    if (answer.unsure) {
      const guess = answer.matches ? `Perhaps ${declared}, but unsure` : `Unsure: perhaps ${seen}, not ${declared}`;
      const unfamiliar = answer.reasons.includes("unfamiliar");
      const why = unfamiliar ? ": unlike the training pictures" : ` (${percent(answer.confidence)})`;
      return { kind: "unsure", text: `${guess}${why}.` };
    }
    if (answer.matches) return { kind: "match", text: `Match: this ${this.is} ${declared}.` };
    return { kind: "mismatch", text: `This ${this.seems} ${seen}, not ${declared}.` };
  }

  unsureText(unsure, answers, declared) {
    if (answers.length === 1) return `${this.judge(unsure[0], declared).text} Please check it yourself.`;
    return `${unsure.length} of ${answers.length} pictures are unsure. Please check them yourself.`;
  }
}

export class CategoryCheck extends Check {
  constructor() {
    super("category", "change", { is: "is", seems: "looks like" });
    this.previous = null;
    this.undo.addEventListener("click", () => this.undoChange());
  }

  setModel({ labels }) {
    const options = labels.map((name) => new Option(name, name));
    const first = new Option("Choose…", "");
    this.control.replaceChildren(first, ...options);
  }

  get declared() {
    return this.control.value || null;
  }

  seen(answer) {
    return answer.label || "none of the classes";
  }

  reset() {
    super.reset();
    this.previous = null;
  }

  isAnswerable() {
    return this.declared !== null || this.ask("Choose the declared category first.");
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
    const selectable = [...this.control.options].some((option) => option.value && option.value === label);
    if (!single || !selectable) {
      this.say("mismatch", `${warning} The category was not changed.`);
      return;
    }
    this.previous = declared;
    this.control.value = label;
    this.undo.textContent = `Undo: back to ${declared}`;
    this.undo.hidden = false;
    this.say("mismatch", `${warning} The category was changed to ${label}.`);
  }

  undoChange() {
    const back = this.previous;
    const changedTo = this.control.value;
    this.control.value = back;
    this.previous = null;
    this.undo.hidden = true;
    this.say("unsure", `Kept ${back}. The picture still looks like ${changedTo}.`);
    this.control.focus();
  }
}

export class TextCheck extends Check {
  constructor() {
    super("expected", "input", { is: "says", seems: "says" });
    this.labels = new Set();
  }

  setModel({ labels }) {
    this.labels = new Set(labels);
  }

  get declared() {
    return this.control.value.trim() || null;
  }

  seen(answer) {
    return answer.text || "nothing";
  }

  isAnswerable() {
    if (this.declared === null) return this.ask("Type the expected text first.");
    const odd = [...this.declared].find((character) => !this.labels.has(character));
    return odd === undefined || this.ask(`The model does not know “${visible(odd)}”, so it can never read this text.`);
  }

  conclude(answers, declared) {
    if (answers.length === 0 || this.declared !== declared) return;
    const wrong = answers.filter((a) => !a.matches && !a.unsure);
    const unsure = answers.filter((a) => a.unsure);
    if (wrong.length > 0) {
      const many = `${wrong.length} of ${answers.length} do not say ${declared}.`;
      this.say("mismatch", answers.length === 1 ? this.judge(wrong[0], declared).text : many);
    } else if (unsure.length > 0) {
      this.say("unsure", this.unsureText(unsure, answers, declared));
    } else {
      const all = `Match: all ${answers.length} pictures say ${declared}.`;
      this.say("match", answers.length === 1 ? this.judge(answers[0], declared).text : all);
    }
  }
}

function matchText(answers, declared) {
  if (answers.length === 1) {
    return `Match: this is ${declared}, ${percent(answers[0].confidence)}.`;
  }
  return `Match: all ${answers.length} pictures are ${declared}.`;
}
