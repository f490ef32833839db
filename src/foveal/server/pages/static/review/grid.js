// A listbox of pictures of which only those in sight, and the active one, are in the document.

import { prepare, source } from "./picture.js";
import { decided, element } from "./suspects.js";

const GAP = 10;
const SPARE_ROWS = 2;
// While somebody scrolls by, nothing is decoded.
const SETTLED_MS = 80;
const WORDS_REM = 3.5;

export class Grid {
  // shape: { least, ratio }: least width of a tile in px, height of its picture by its width.
  constructor(box, rows, suspects, shape, { onActive, onOpen }) {
    Object.assign(this, { box, rows, suspects, shape, onActive, onOpen });
    this.tiles = new Map();
    this.chosen = new Set();
    this.active = 0;
    this.anchor = 0;
    this.outlined = true;
    this.box.addEventListener("scroll", () => this.scrolled(), { passive: true });
    this.box.addEventListener("click", (event) => this.clicked(event));
    new ResizeObserver(() => this.layOut()).observe(box);
  }

  reset(active) {
    for (const tile of this.tiles.values()) tile.box.remove();
    this.tiles.clear();
    this.chosen.clear();
    this.active = this.anchor = active;
    this.layOut();
  }

  layOut() {
    const width = this.box.clientWidth;
    const rem = parseFloat(getComputedStyle(document.documentElement).fontSize);
    this.columns = Math.max(1, Math.floor((width - GAP) / (this.shape.least + GAP)));
    this.tileWidth = Math.floor((width - GAP * (this.columns + 1)) / this.columns);
    this.tileHeight = Math.round(this.tileWidth * this.shape.ratio + WORDS_REM * rem);
    this.rowHeight = this.tileHeight + GAP;
    const rows = Math.ceil(this.suspects.count / this.columns);
    this.rows.style.height = `${rows * this.rowHeight + GAP}px`;
    for (const [position, tile] of this.tiles) this.place(tile.box, position);
    this.reveal();
    this.draw();
  }

  place(box, position) {
    const left = GAP + (position % this.columns) * (this.tileWidth + GAP);
    const top = GAP + Math.floor(position / this.columns) * this.rowHeight;
    box.style.width = `${this.tileWidth}px`;
    box.style.height = `${this.tileHeight}px`;
    box.style.transform = `translate(${left}px, ${top}px)`;
  }

  // Bring the active one into sight.
  reveal() {
    const top = Math.floor(this.active / this.columns) * this.rowHeight;
    const { scrollTop, clientHeight } = this.box;
    if (top < scrollTop) this.box.scrollTop = top;
    else if (top + this.rowHeight + GAP > scrollTop + clientHeight) {
      this.box.scrollTop = top + this.rowHeight + GAP - clientHeight;
    }
  }

  get pageOf() { return Math.max(1, Math.floor(this.box.clientHeight / this.rowHeight)) * this.columns; }

  move(position, { extend = false } = {}) {
    const { count } = this.suspects;
    if (!count) return;
    this.active = Math.max(0, Math.min(count - 1, position));
    if (extend) {
      this.chosen.clear();
      const [first, last] = [this.anchor, this.active].sort((a, b) => a - b);
      for (let i = first; i <= last; i += 1) this.chosen.add(i);
    } else this.anchor = this.active;
    this.reveal();
    this.draw();
    this.onActive();
  }

  toggle(position) {
    if (!this.chosen.delete(position)) this.chosen.add(position);
    this.anchor = position;
    this.move(position);
  }

  chooseAll() {
    for (let i = 0; i < this.suspects.count; i += 1) this.chosen.add(i);
    this.draw();
    this.onActive();
  }

  chooseNone() {
    this.chosen.clear();
    this.draw();
    this.onActive();
  }

  positionOf(event) {
    const box = event.target.closest(".tile");
    return box ? Number(box.dataset.position) : null;
  }

  clicked(event) {
    const position = this.positionOf(event);
    if (position === null) return;
    this.box.focus({ preventScroll: true });
    if (event.shiftKey) this.move(position, { extend: true });
    else if (event.ctrlKey || event.metaKey || event.target.closest(".tile-tick") || this.chosen.size) this.toggle(position);
    else if (position === this.active) this.onOpen();
    else this.move(position);
  }

  // Once a frame, however often the browser says that it scrolls.
  scrolled() {
    if (this.waits) return;
    this.waits = true;
    requestAnimationFrame(() => {
      this.waits = false;
      this.draw({ onlyNew: true });
    });
  }

  draw({ onlyNew = false } = {}) {
    if (!this.rowHeight) return;
    const { scrollTop, clientHeight } = this.box;
    const { count } = this.suspects;
    const firstRow = Math.max(0, Math.floor(scrollTop / this.rowHeight) - SPARE_ROWS);
    const endRow = Math.ceil((scrollTop + clientHeight) / this.rowHeight) + SPARE_ROWS;
    const first = firstRow * this.columns;
    const end = Math.min(count, endRow * this.columns);
    this.suspects.need(first, end);
    const wanted = new Set(this.active < count ? [this.active] : []);
    for (let position = first; position < end; position += 1) wanted.add(position);
    const spare = [...this.tiles.keys()].filter((position) => !wanted.has(position));
    for (const position of wanted) {
      const isNew = !this.tiles.has(position);
      if (isNew) this.put(position, spare.pop());
      if (isNew || !onlyNew) this.show(position);
    }
    for (const position of spare) this.drop(position);
    if (!onlyNew) this.drawActive();
    clearTimeout(this.settling);
    this.settling = setTimeout(() => this.showPictures(), SETTLED_MS);
  }

  drawActive() {
    if (this.active < this.suspects.count) {
      this.suspects.need(this.active, this.active + 1);
      this.box.setAttribute("aria-activedescendant", `tile-${this.active}`);
    } else this.box.removeAttribute("aria-activedescendant");
    this.box.classList.toggle("has-chosen", this.chosen.size > 0);
  }

  drop(position) {
    const tile = this.tiles.get(position);
    // Nobody waits for it any more.
    tile.image.removeAttribute("src");
    tile.box.remove();
    this.tiles.delete(position);
  }

  // Put a tile at a position: one that is out of sight, or else a new one.
  put(position, unused) {
    const tile = this.tiles.get(unused) ?? makeTile();
    this.tiles.delete(unused);
    this.tiles.set(position, tile);
    tile.box.id = `tile-${position}`;
    tile.box.dataset.position = position;
    tile.box.setAttribute("aria-posinset", position + 1);
    tile.image.removeAttribute("src");
    tile.image.hidden = false;
    tile.failed.hidden = true;
    this.place(tile.box, position);
    if (unused === undefined) this.rows.append(tile.box);
  }

  show(position) {
    const tile = this.tiles.get(position);
    tile.box.setAttribute("aria-setsize", this.suspects.count);
    tile.box.setAttribute("aria-selected", this.chosen.has(position));
    tile.box.classList.toggle("is-active", position === this.active);
    fill(tile, this.suspects.at(position));
  }

  showPictures() {
    for (const [position, tile] of this.tiles) {
      const one = this.suspects.at(position);
      if (!one) continue;
      const address = source(one.number, "thumbnail", this.outlined && this.suspects.about.target === "mask" ? { outlined: true } : {});
      if (tile.image.getAttribute("src") !== address) tile.image.src = address;
    }
  }
}

function makeTile() {
  const box = element("div", "", "tile");
  box.setAttribute("role", "option");
  const frame = element("div", "", "tile-picture");
  const image = new Image();
  image.alt = "";
  image.decoding = "async";
  image.draggable = false;
  const failed = element("p", "", "tile-error");
  failed.hidden = true;
  prepare(image, failed);
  frame.append(image, failed);
  const words = element("div", "", "tile-words");
  const label = element("span", "", "tile-label");
  const suggestion = element("span", "", "tile-suggestion");
  const score = element("span", "", "tile-score");
  words.append(label, suggestion, score);
  const badge = element("span", "", "tile-badge");
  box.append(frame, words, element("span", "✓", "tile-tick"), badge);
  return { box, image, failed, label, suggestion, score, badge };
}

// one: a suspect; undefined while it is loaded.
function fill({ box, label, suggestion, score, badge }, one) {
  const said = one ? decided(one) : "";
  const key = one ? `${one.number} ${said}` : "";
  if (box.dataset.shown === key) return;
  box.dataset.shown = key;
  box.title = one?.sample ?? "";
  label.textContent = one ? one.label ?? "no label" : "";
  suggestion.textContent = one?.suggestion != null ? `→ ${one.suggestion}` : "";
  score.textContent = one?.note ?? (one?.chance > 0 ? `${Math.round(100 * one.chance)} %` : "");
  badge.textContent = said;
  if (one?.decision) box.dataset.action = one.decision.action;
  else delete box.dataset.action;
  box.setAttribute("aria-label", one ? spoken(one) : "Loading");
}

export function spoken(one) {
  const parts = [one.sample, one.label === null ? "without a label" : `labelled ${one.label}`];
  if (one.suggestion !== null) parts.push(`looks like ${one.suggestion}`);
  if (one.chance > 0) parts.push(`${Math.round(100 * one.chance)} percent likely to be wrong`);
  if (one.note) parts.push(one.note);
  parts.push(decided(one) || "undecided");
  return parts.join(", ");
}
