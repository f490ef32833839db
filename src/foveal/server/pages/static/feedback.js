// Says of one answer whether it is right, and if not, what the picture is.

import { AnswerError, sendFeedback } from "./api.js";

const NEW = "\u0000new";

export class Feedback {
  constructor(card, kept) {
    this.card = card;
    this.takesNew = kept.new_labels;
    this.place = card.find(".feedback");
    this.form = card.find(".feedback-form");
    this.said = card.find(".feedback-said");
    this.ask = card.find(".feedback-ask");
    this.no = card.find(".feedback-no");
    this.no.textContent = card.isMask ? "No" : card.isReading ? "No, it says …" : "No, it is …";
    this.truth = this.truthField();
    card.find(".feedback-truth").replaceChildren(...this.truth.elements);
    card.find(".feedback-note").hidden = !card.isMask;
    card.find(".feedback-yes").addEventListener("click", () => this.send(this.whenRight(), true));
    this.no.addEventListener("click", () => this.open(this.form.hidden));
    card.find(".feedback-cancel").addEventListener("click", () => {
      this.open(false);
      this.no.focus();
    });
    this.form.addEventListener("submit", (event) => {
      event.preventDefault();
      const fields = this.whenWrong();
      if (fields !== null) this.send(fields, false);
    });
  }

  // For another answer to the same picture.
  reset() {
    this.place.hidden = false;
    this.ask.hidden = false;
    this.open(false);
    this.say("");
    this.truth.preset();
  }

  say(text, kind = "") {
    this.said.textContent = text;
    this.said.dataset.kind = kind;
  }

  open(on) {
    this.form.hidden = !on;
    this.no.setAttribute("aria-expanded", String(on));
    if (on) this.form.querySelector("select, input:not([hidden])")?.focus();
  }

  whenRight() {
    const { answer, isMask, isReading } = this.card;
    // Of a mask only that very answer can be right; a label or a text is true of the picture.
    if (isMask) return { right: "true", version: answer.version };
    if (isReading) return answer.text ? { text: answer.text, version: answer.version } : { right: "true", version: answer.version };
    return { label: this.card.model.multi_label ? answered(answer) : answer.label, version: answer.version };
  }

  whenWrong() {
    const { answer, isMask } = this.card;
    if (isMask) {
      const note = this.form.querySelector(".feedback-note input").value.trim();
      return { right: "false", version: answer.version, ...(note ? { note } : {}) };
    }
    const fields = this.truth.read();
    return fields === null ? null : { ...fields, version: answer.version };
  }

  async send(fields, isRight) {
    const buttons = this.place.querySelectorAll("button");
    buttons.forEach((button) => (button.disabled = true));
    try {
      await sendFeedback(this.card.model.name, this.card.sent, fields);
      this.ask.hidden = true;
      this.open(false);
      this.say(isRight ? "Thank you. Stored as right." : "Thank you. The correction was stored.", "kept");
    } catch (error) {
      if (!(error instanceof AnswerError)) throw error;
      this.say(error.message, "failed");
    } finally {
      buttons.forEach((button) => (button.disabled = false));
    }
  }

  truthField() {
    const { card } = this;
    if (card.isMask) return { elements: [], preset() {}, read: () => null };
    if (card.isReading) return textField(card);
    return card.model.multi_label ? boxesField(card) : choiceField(card, this.takesNew);
  }
}

function answered(answer) {
  const names = answer.label ? answer.label.split("|") : [];
  // An empty field says that none of the classes applies.
  return names.length > 0 ? names : [""];
}

function labelled(text, control) {
  const label = document.createElement("label");
  label.append(text, control);
  return label;
}

function textInput() {
  const input = document.createElement("input");
  Object.assign(input, { type: "text", autocomplete: "off", autocapitalize: "off", spellcheck: false });
  return input;
}

function textField(card) {
  const input = textInput();
  input.className = "feedback-text";
  input.required = true;
  input.maxLength = 1000;
  return {
    elements: [labelled("Text in the picture", input)],
    preset: () => (input.value = card.answer.text),
    read: () => ({ text: input.value.trim() }),
  };
}

function choiceField(card, takesNew) {
  const select = document.createElement("select");
  select.required = true;
  const other = textInput();
  other.maxLength = 100;
  const named = labelled("Class name", other);
  const show = () => {
    named.hidden = select.value !== NEW;
    other.required = !named.hidden;
  };
  select.addEventListener("change", show);
  return {
    elements: [labelled("Correct class", select), named],
    preset: () => {
      const names = card.model.labels.filter((name) => name !== card.answer.label);
      const options = names.map((name) => new Option(name, name));
      const last = takesNew ? [new Option("Another class …", NEW)] : [];
      select.replaceChildren(new Option("Choose…", ""), ...options, ...last);
      other.value = "";
      show();
    },
    read: () => ({ label: select.value === NEW ? other.value.trim() : select.value }),
  };
}

function boxesField(card) {
  const group = document.createElement("fieldset");
  const legend = document.createElement("legend");
  legend.textContent = "All classes that apply";
  const boxes = card.model.labels.map((name) => {
    const box = document.createElement("input");
    box.type = "checkbox";
    box.value = name;
    return box;
  });
  group.append(legend, ...boxes.map((box) => labelled(box.value, box)));
  group.querySelectorAll("label").forEach((label) => label.prepend(label.querySelector("input")));
  return {
    elements: [group],
    preset: () => {
      const names = new Set(answered(card.answer));
      boxes.forEach((box) => (box.checked = names.has(box.value)));
    },
    read: () => {
      const names = boxes.filter((box) => box.checked).map((box) => box.value);
      return { label: names.length > 0 ? names : [""] };
    },
  };
}
