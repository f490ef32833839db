// Answers what the camera sees, frame by frame, each once the one before is answered.

import { drawEvidence, drawMask } from "./draw.js";
import { doubt, duration, headline, percent } from "./words.js";

// An evidence map is blurred by nature: this many pixels along the longer side are enough.
const MAP = 160;
// What a screen reader hears of a moving picture, at most this often.
const SPOKEN_MS = 4000;

export class Live {
  /**
   * @param {import("./asker.js").Asker} asker @param {import("./camera.js").Camera} camera
   * @param {{overlay: HTMLCanvasElement, words: HTMLElement, spoken: HTMLElement}} places
   */
  constructor(asker, camera, places) {
    this.asker = asker;
    this.camera = camera;
    this.places = places;
    this.lastSpoken = 0;
    this.run = 0;
  }

  /** Answer until the camera stops. @param {any} bundle */
  async go(bundle) {
    const run = ++this.run;
    while (this.camera.isOn && run === this.run) {
      const frame = this.camera.frame();
      if (frame === null) await new Promise((resolve) => setTimeout(resolve, 50));
      else await this.answer(bundle, frame, run);
      await new Promise((resolve) => requestAnimationFrame(resolve));
    }
  }

  async answer(bundle, frame, run) {
    const { height, width } = frame;
    const scale = MAP / Math.max(height, width);
    const copy = [Math.max(1, Math.round(height * scale)), Math.max(1, Math.round(width * scale))];
    try {
      const reply = await this.asker.ask({ frame, copy }, (share) => {
        // A frame that is answered tile by tile may take long; what was said of the last one stays.
        if (this.places.words.childElementCount === 0) this.places.words.textContent = `Looking… ${percent(share)}`;
      });
      if (this.camera.isOn && run === this.run) this.show(bundle, reply);
    } catch (error) {
      this.places.words.textContent = error.message;
    }
  }

  show(bundle, { answer, map, ms }) {
    const { overlay, words, spoken } = this.places;
    overlay.classList.toggle("mirrored", this.camera.facing === "user");
    if (answer.task === "segment") {
      drawMask(overlay, answer, bundle.colors, answer.classes.map(({ name }) => name !== "background"));
    } else if (map !== null) drawEvidence(overlay, map);
    const strong = document.createElement("strong");
    strong.textContent = headline(answer);
    const rest = document.createElement("span");
    rest.textContent = `${percent(answer.confidence)} sure · ${duration(ms)}`;
    const why = document.createElement("span");
    why.className = "why";
    why.textContent = doubt(answer, bundle);
    words.replaceChildren(strong, rest, why);
    words.classList.toggle("unsure", answer.unsure);
    if (performance.now() - this.lastSpoken > SPOKEN_MS) {
      this.lastSpoken = performance.now();
      spoken.textContent = `${headline(answer)}, ${percent(answer.confidence)} sure`;
    }
  }
}
