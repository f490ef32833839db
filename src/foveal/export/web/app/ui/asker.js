// Asks the worker, and gives its answers back as promises.

/** @typedef {{answer: any, map: any, ms: number}} Reply */

export class Asker {
  constructor() {
    this.worker = new Worker(new URL("../worker.js", import.meta.url), { type: "module" });
    this.count = 0;
    /** @type {Map<number, {resolve: (reply: Reply) => void, reject: (error: Error) => void, onProgress: (share: number) => void}>} */
    this.waiting = new Map();
    /** The bundle's description, once the model is loaded. @type {Promise<any>} */
    this.ready = new Promise((resolve, reject) => {
      this.worker.onmessage = ({ data }) => this.receive(data, resolve, reject);
      this.worker.onerror = (event) => reject(new Error(event.message || "This browser cannot run the app."));
    });
  }

  receive(data, resolve, reject) {
    if (data.kind === "ready") return resolve(data.bundle);
    if (data.kind === "failed") return reject(new Error(data.message));
    const asked = this.waiting.get(data.id);
    if (asked === undefined) return;
    if (data.kind === "progress") return asked.onProgress(data.share);
    this.waiting.delete(data.id);
    if (data.kind === "error") asked.reject(new Error(data.message));
    else asked.resolve(data);
  }

  /**
   * @param {{bytes?: Uint8Array, frame?: ImageData, copy?: [number, number] | null}} source The bytes of a file, or
   *   a frame of the camera; `copy` is the size that an evidence map is wanted in.
   * @param {(share: number) => void} [onProgress]
   * @returns {Promise<Reply>}
   */
  ask({ bytes, frame, copy = null }, onProgress = () => {}) {
    const id = ++this.count;
    const owned = [bytes?.buffer ?? frame?.data.buffer];
    return new Promise((resolve, reject) => {
      this.waiting.set(id, { resolve, reject, onProgress });
      this.worker.postMessage({ id, bytes, frame, copy }, owned);
    });
  }
}
