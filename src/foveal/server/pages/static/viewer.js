// A picture under its mask that can be zoomed and moved. Knows nothing of the answer's words.

import { paint } from "./paint.js";

// A copy of a large picture is enough until it is zoomed; all of it takes hundreds of megabytes.
const OVERVIEW_PX = 2048;
// Of a drawn file: more than this is more than some browsers' canvases can hold.
const MOST_DRAWN_PX = 16_777_216;
const CLOSEST = 32;
const STEP = 1.5;
const ARROW_PX = 60;
const LINE_PX = 16;

export class Viewer {
  // `element`: the filled-in template. `file`: the picture. `mask`: what `readMask` gave,
  // with `numbers` where objects are told apart.
  constructor(element, file, mask) {
    Object.assign(this, { element, file, mask, overview: null, whole: null });
    this.stage = element.querySelector(".view-stage");
    this.canvas = element.querySelector("canvas");
    this.pen = this.canvas.getContext("2d");
    this.look = { opacity: 0.5, outlinesOnly: false, shown: mask.colors.map(() => true) };
    this.pointers = new Map();
    this.scale = null;
    this.stage.style.aspectRatio = `${mask.width} / ${mask.height}`;
    this.resizing = new ResizeObserver(() => this.resize());
    this.listen();
  }

  // Returns whether this browser can show the picture; the mask it shows in any case.
  async open() {
    const { width, height } = this.mask;
    const share = Math.min(1, OVERVIEW_PX / Math.max(width, height));
    const size = {
      resizeWidth: Math.max(1, Math.round(width * share)),
      resizeHeight: Math.max(1, Math.round(height * share)),
      resizeQuality: "high",
    };
    try {
      this.overview = await createImageBitmap(this.file, share < 1 ? size : {});
    } catch {
      this.look.opacity = 1;
    }
    this.resizing.observe(this.stage);
    return this.overview !== null;
  }

  dispose() {
    this.resizing.disconnect();
    this.overview?.close();
    this.whole?.close();
  }

  setLook(changes) {
    Object.assign(this.look, changes);
    this.redraw();
  }

  // Pixels of the page for each of the picture at which all of it is seen.
  get fitting() {
    return Math.min(this.stage.clientWidth / this.mask.width, this.stage.clientHeight / this.mask.height);
  }

  get isFitted() {
    return this.scale <= this.fitting * 1.001;
  }

  resize() {
    if (this.stage.clientWidth === 0) return;
    const wasFitted = this.scale === null || this.wasFitted;
    this.moveTo(wasFitted ? this.fitting : this.scale, this.x, this.y);
  }

  fit() {
    this.moveTo(this.fitting, 0, 0);
  }

  // Zooms so that what lies at (x, y) of the stage stays there.
  zoomBy(factor, x = this.stage.clientWidth / 2, y = this.stage.clientHeight / 2) {
    const closest = Math.max(CLOSEST, this.fitting);
    const scale = Math.min(closest, Math.max(this.fitting, this.scale * factor));
    const grown = scale / this.scale;
    this.moveTo(scale, x - (x - this.x) * grown, y - (y - this.y) * grown);
  }

  moveTo(scale, x, y) {
    const { clientWidth: width, clientHeight: height } = this.stage;
    this.scale = Math.max(scale, this.fitting);
    this.x = kept(x, width, this.mask.width * this.scale);
    this.y = kept(y, height, this.mask.height * this.scale);
    this.wasFitted = this.isFitted;
    this.stage.classList.toggle("is-zoomed", !this.isFitted);
    this.element.querySelector(".zoom-share").textContent = `${Math.round(100 * this.scale)} %`;
    this.element.querySelector(".zoom-out").disabled = this.isFitted;
    this.element.querySelector(".zoom-fit").disabled = this.isFitted;
    this.element.querySelector(".zoom-in").disabled = this.scale >= Math.max(CLOSEST, this.fitting);
    this.redraw();
  }

  redraw() {
    if (this.scale === null || this.frame) return;
    this.frame = requestAnimationFrame(() => {
      this.frame = null;
      this.draw();
    });
  }

  draw() {
    const ratio = window.devicePixelRatio;
    const width = Math.max(1, Math.round(this.stage.clientWidth * ratio));
    const height = Math.max(1, Math.round(this.stage.clientHeight * ratio));
    if (this.canvas.width !== width) this.canvas.width = width;
    if (this.canvas.height !== height) this.canvas.height = height;
    const view = { scale: this.scale * ratio, x: this.x * ratio, y: this.y * ratio };
    paint(this.pen, this.pictureFor(view.scale), this.mask, view, this.look, ratio);
    this.stage.dataset.zoom = this.scale.toFixed(3);
  }

  // Returns the copy of the picture that is fine enough; the whole of a large one comes later.
  pictureFor(scale) {
    if (this.overview === null) return null;
    if (scale * this.mask.width <= this.overview.width || this.overview.width >= this.mask.width) {
      this.whole?.close();
      this.whole = null;
      return this.overview;
    }
    if (this.whole === null && !this.loading) this.loadWhole();
    return this.whole ?? this.overview;
  }

  async loadWhole() {
    this.loading = true;
    try {
      this.whole = await createImageBitmap(this.file);
      this.redraw();
    } catch {
      // Too large for this browser's memory: the copy stays, as sharp as it is.
      this.whole = null;
    }
    this.loading = false;
  }

  // Returns a PNG of the picture under its mask, as it looks now, at the size of the mask.
  async drawnPng() {
    const { width, height } = this.mask;
    const scale = Math.min(1, Math.sqrt(MOST_DRAWN_PX / (width * height)));
    const canvas = new OffscreenCanvas(
      Math.max(1, Math.round(width * scale)),
      Math.max(1, Math.round(height * scale)),
    );
    const picture = this.overview && (await createImageBitmap(this.file));
    paint(canvas.getContext("2d"), picture, this.mask, { scale, x: 0, y: 0 }, this.look, 1);
    picture?.close();
    return canvas.convertToBlob({ type: "image/png" });
  }

  // Returns the class at a place of the stage, with its place in the picture; null beside it.
  at(x, y) {
    const column = Math.floor((x - this.x) / this.scale);
    const row = Math.floor((y - this.y) / this.scale);
    if (column < 0 || row < 0 || column >= this.mask.width || row >= this.mask.height) return null;
    const at = row * this.mask.width + column;
    return { row, column, value: this.mask.values[at], number: this.mask.numbers?.[at] ?? 0 };
  }

  listen() {
    const on = (name, listener, options) => this.stage.addEventListener(name, listener, options);
    const click = (name, act) => this.element.querySelector(name).addEventListener("click", act);
    click(".zoom-in", () => this.zoomBy(STEP));
    click(".zoom-out", () => this.zoomBy(1 / STEP));
    click(".zoom-fit", () => this.fit());
    on("wheel", (event) => this.onWheel(event), { passive: false });
    on("keydown", (event) => this.onKey(event));
    on("dblclick", (event) => this.zoomBy(event.shiftKey ? 0.5 : 2, ...this.place(event)));
    on("pointerdown", (event) => this.onPress(event));
    on("pointermove", (event) => this.onMove(event));
    for (const name of ["pointerup", "pointercancel"]) on(name, (event) => this.onRelease(event));
  }

  place(event) {
    const box = this.stage.getBoundingClientRect();
    return [event.clientX - box.left - this.stage.clientLeft, event.clientY - box.top - this.stage.clientTop];
  }

  onWheel(event) {
    // All is seen already: the page scrolls on.
    if (event.deltaY > 0 && this.isFitted) return;
    event.preventDefault();
    const turned = event.deltaMode === WheelEvent.DOM_DELTA_LINE ? LINE_PX * event.deltaY : event.deltaY;
    // Browsers tell of a pinch on a touch pad as small turns with Ctrl.
    this.zoomBy(Math.exp(-turned * (event.ctrlKey ? 0.01 : 0.002)), ...this.place(event));
  }

  onKey(event) {
    if (event.ctrlKey || event.metaKey || event.altKey) return;
    const moves = { ArrowLeft: [1, 0], ArrowRight: [-1, 0], ArrowUp: [0, 1], ArrowDown: [0, -1] };
    const acts = { "+": () => this.zoomBy(STEP), "=": () => this.zoomBy(STEP), "-": () => this.zoomBy(1 / STEP), 0: () => this.fit() };
    if (event.key in acts) acts[event.key]();
    else if (event.key in moves && !this.isFitted) {
      const [x, y] = moves[event.key];
      this.moveTo(this.scale, this.x + ARROW_PX * x, this.y + ARROW_PX * y);
    } else return;
    event.preventDefault();
  }

  onPress(event) {
    if (event.button !== 0) return;
    this.stage.setPointerCapture(event.pointerId);
    this.pointers.set(event.pointerId, this.place(event));
    this.stage.classList.toggle("is-held", !this.isFitted);
  }

  onMove(event) {
    const now = this.place(event);
    const before = this.pointers.get(event.pointerId);
    if (!before) return;
    const others = [...this.pointers].filter(([id]) => id !== event.pointerId).map(([, place]) => place);
    this.pointers.set(event.pointerId, now);
    if (others.length === 0) {
      if (!this.isFitted) this.moveTo(this.scale, this.x + now[0] - before[0], this.y + now[1] - before[1]);
      return;
    }
    const [other] = others;
    const factor = Math.hypot(now[0] - other[0], now[1] - other[1]) / Math.max(1, Math.hypot(before[0] - other[0], before[1] - other[1]));
    // The middle of the two fingers stays on what it was on.
    this.zoomBy(factor, (before[0] + other[0]) / 2, (before[1] + other[1]) / 2);
    this.moveTo(this.scale, this.x + (now[0] - before[0]) / 2, this.y + (now[1] - before[1]) / 2);
  }

  onRelease(event) {
    this.pointers.delete(event.pointerId);
    this.stage.classList.toggle("is-held", this.pointers.size > 0 && !this.isFitted);
  }
}

// Keeps a picture that is larger than the stage over all of it, and a smaller one in its middle.
function kept(offset, stage, shown) {
  if (shown <= stage) return (stage - shown) / 2;
  return Math.min(0, Math.max(stage - shown, offset));
}
