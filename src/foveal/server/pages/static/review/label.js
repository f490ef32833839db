// Asks for a class by a part of its name, or for a text.

import { source } from "./picture.js";
import { element } from "./suspects.js";

const MOST_SHOWN = 50;
const byId = (id) => document.getElementById(id);

export class LabelDialog {
  // about: of the server; onLabel(label): called with what was chosen.
  constructor(about, onLabel) {
    Object.assign(this, { about, onLabel, dialog: byId("label"), input: byId("label-input"), list: byId("label-list") });
    this.input.addEventListener("input", () => this.match());
    this.input.addEventListener("keydown", (event) => this.pressed(event));
    this.list.addEventListener("click", (event) => {
      const item = event.target.closest("li");
      if (item) this.take(item.dataset.label);
    });
    byId("label-cancel").addEventListener("click", () => this.dialog.close());
    this.dialog.querySelector("form").addEventListener("submit", (event) => {
      event.preventDefault();
      this.finish();
    });
  }

  get isText() { return this.about.target === "text"; }

  // chosen: the suspects that are loaded; count: how many there are.
  open(chosen, count) {
    const [one] = chosen;
    this.one = count === 1 ? one : null;
    byId("label-title").textContent = count === 1 ? `${this.isText ? "What is written in" : "Which class is"} ${one.sample}?` : `Relabel ${count.toLocaleString("en")} pictures`;
    const image = byId("label-image");
    image.hidden = count !== 1;
    if (count === 1) image.src = source(one.number, this.isText ? "large" : "thumbnail");
    this.input.value = this.isText && count === 1 ? one.suggestion ?? one.label ?? "" : "";
    this.fail("");
    this.match();
    this.dialog.showModal();
    this.input.focus();
    this.input.select();
  }

  // The choices: those that begin with what was typed, then those that contain it.
  match() {
    const typed = this.input.value.trim();
    const low = typed.toLowerCase();
    const notes = new Map();
    if (this.one?.label != null) notes.set(this.one.label, "now");
    if (this.one?.suggestion != null) notes.set(this.one.suggestion, "suggested");
    const names = this.isText ? [...notes.keys()].reverse() : this.about.labels;
    const begins = names.filter((name) => name.toLowerCase().startsWith(low));
    const holds = this.isText ? [] : names.filter((name) => name.toLowerCase().indexOf(low) > 0);
    const found = [...begins, ...holds].slice(0, MOST_SHOWN);
    if (!this.isText && !low && notes.size) found.sort((a, b) => (notes.get(b) === "suggested") - (notes.get(a) === "suggested"));
    const items = found.map((name) => [name, notes.get(name) ?? ""]);
    // A new class is made on purpose only: it is never the first choice while another fits.
    if (!this.isText && typed && !names.includes(typed)) items.push([typed, this.about.takes_several && typed.includes("|") ? "several" : "new class"]);
    this.list.replaceChildren(...items.map(([name, note], i) => {
      const item = element("li", name);
      item.id = `choice-${i}`;
      item.dataset.label = name;
      item.setAttribute("role", "option");
      if (note) item.append(element("small", note));
      return item;
    }));
    this.list.hidden = !items.length;
    this.input.setAttribute("aria-expanded", items.length > 0);
    this.point(this.isText ? -1 : 0);
  }

  point(index) {
    const items = [...this.list.children];
    this.index = items.length ? Math.max(-1, Math.min(items.length - 1, index)) : -1;
    items.forEach((item, i) => item.setAttribute("aria-selected", i === this.index));
    if (this.index >= 0) {
      this.input.setAttribute("aria-activedescendant", items[this.index].id);
      items[this.index].scrollIntoView({ block: "nearest" });
    } else this.input.removeAttribute("aria-activedescendant");
  }

  pressed(event) {
    const step = { ArrowDown: 1, ArrowUp: -1 }[event.key];
    if (!step) return;
    event.preventDefault();
    this.point(this.index + step);
  }

  finish() {
    const item = this.list.children[this.index];
    if (item) this.take(item.dataset.label);
    else if (this.input.value.trim()) this.take(this.input.value.trim());
    else this.fail(this.isText ? "Type the text." : "Type part of a class name.");
  }

  take(label) {
    this.dialog.close();
    this.onLabel(label);
  }

  fail(words) {
    byId("label-error").textContent = words;
    byId("label-error").hidden = !words;
  }
}
