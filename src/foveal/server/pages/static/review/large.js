// One suspect, large, with what is known of it and the pictures to compare it with.

import { prepare, source } from "./picture.js";
import { ask, decided, element } from "./suspects.js";

const byId = (id) => document.getElementById(id);

export class Large {
  constructor(about) {
    this.about = about;
    this.dialog = byId("large");
    this.image = byId("large-image");
    prepare(this.image, byId("large-error"));
    byId("large-close").addEventListener("click", () => this.dialog.close());
    this.mode = "picture";
  }

  get isOpen() { return this.dialog.open; }

  open(one) {
    this.show(one);
    if (!this.isOpen) this.dialog.showModal();
    // Not on a button: letters and arrows are meant for the picture.
    byId("large-name").tabIndex = -1;
    byId("large-name").focus();
  }

  // Show a suspect; the same again brings its decision up to date.
  show(one) {
    const isOther = this.one?.number !== one.number;
    this.one = one;
    byId("large-name").textContent = one.sample;
    const labels = byId("large-labels");
    labels.replaceChildren(element("span", one.label ?? "no label", one.suggestion === null ? "" : "muted"));
    if (one.suggestion !== null) labels.append(element("span", " → ", "muted"), element("span", one.suggestion));
    const said = byId("large-decision");
    said.textContent = decided(one);
    said.dataset.action = one.decision?.action ?? "";
    if (!isOther) return;
    this.beside = null;
    this.showModes();
    this.showPicture();
    this.showLike();
    this.showFacts();
  }

  // What can be shown: [mode, words, form of the picture, its options].
  get modes() {
    const { one, about } = this;
    const modes = [["picture", "Picture", "large", {}]];
    if (about.target === "mask") modes.unshift(["outline", "Outline", "large", { outlined: true }]);
    if (about.model && about.target === "labels") {
      if (one.label !== null) modes.push(["own", `Evidence: ${one.label}`, "evidence", { label: one.label }]);
      if (one.suggestion !== null) modes.push(["suggested", `Evidence: ${one.suggestion}`, "evidence", { label: one.suggestion }]);
    }
    if (about.model) modes.push(["answer", "The model's answer", "evidence", {}]);
    return modes;
  }

  showModes() {
    const { modes } = this;
    if (!modes.some(([mode]) => mode === this.mode)) this.mode = modes[0][0];
    if (this.about.target === "mask" && !this.chose) this.mode = "outline";
    const box = byId("large-modes");
    box.hidden = modes.length < 2;
    const [legend] = box.children;
    box.replaceChildren(legend, ...modes.map(([mode, words]) => {
      const label = element("label");
      const input = Object.assign(document.createElement("input"), { type: "radio", name: "mode", value: mode, checked: mode === this.mode });
      input.addEventListener("change", () => this.choose(mode));
      label.append(input, element("span", words));
      return label;
    }));
  }

  choose(mode) {
    this.mode = mode;
    this.chose = true;
    for (const input of byId("large-modes").querySelectorAll("input")) input.checked = input.value === mode;
    this.showPicture();
  }

  // Show the next of some modes, or the picture where none is left.
  turn(wanted) {
    const there = ["picture", ...this.modes.map(([mode]) => mode).filter((mode) => wanted.includes(mode))];
    this.choose(there[(there.indexOf(this.mode) + 1) % there.length]);
  }

  showPicture() {
    const shown = this.beside ?? this.one;
    const [, words, form, options] = this.modes.find(([mode]) => mode === this.mode);
    this.image.alt = `${shown.sample}${this.mode === "picture" ? "" : `, ${words}`}`;
    const address = source(shown.number, form, options);
    if (this.image.getAttribute("src") !== address) this.image.src = address;
  }

  showLike() {
    const { like } = this.one;
    byId("large-like").hidden = !like.length;
    byId("large-like-list").replaceChildren(...like.map((other) => {
      const button = element("button");
      button.type = "button";
      button.title = other.sample;
      button.setAttribute("aria-pressed", "false");
      const image = new Image();
      image.alt = other.sample;
      image.loading = "lazy";
      image.src = source(other.number, "thumbnail");
      button.append(image, element("span", other.label ?? "no label"));
      button.addEventListener("click", () => {
        this.beside = this.beside === other ? null : other;
        for (const each of byId("large-like-list").children) each.setAttribute("aria-pressed", each === button && this.beside === other);
        this.showPicture();
      });
      return button;
    }));
  }

  async showFacts() {
    const { one } = this;
    const list = byId("large-facts");
    const facts = [["Probability of a wrong label", one.chance > 0 ? `${Math.round(100 * one.chance)} %` : ""], ["Among its duplicates", one.note ?? ""], ["Split", one.split ?? ""]];
    list.replaceChildren(...pairs(facts));
    try {
      const { width, height, bytes, format, answer } = await ask(`pictures/${one.number}`);
      facts.push(["Size", `${width} × ${height} px`], ["File", bytes ? `${format}, ${kilobytes(bytes)}` : ""], ["Model's answer", answer ?? ""]);
    } catch {
      // The picture's place says why.
    }
    if (this.one === one) list.replaceChildren(...pairs(facts));
  }
}

function pairs(facts) {
  return facts.filter(([, value]) => value).map(([name, value]) => {
    const pair = element("div");
    pair.append(element("dt", name), element("dd", value));
    return pair;
  });
}

function kilobytes(bytes) {
  const [size, unit] = bytes < 1e6 ? [bytes / 1e3, "kB"] : [bytes / 1e6, "MB"];
  return `${size.toFixed(size < 10 ? 1 : 0)} ${unit}`;
}
