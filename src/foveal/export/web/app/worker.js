// Answers pictures beside the page, so that the page never freezes.

import { decodeWithBrowser, fetchBytes, rgbOf } from "./core/browser.js";
import { evidenceMap } from "./core/classify.js";
import { PictureError } from "./core/errors.js";
import { loadModel } from "./core/load.js";
import { frameForCopy } from "./core/pipeline.js";
import * as ort from "./runtime/ort.mjs";

const model = loadModel((path) => fetchBytes(new URL(path, import.meta.url)), ort, decodeWithBrowser);
model.then(
  ({ bundle }) => postMessage({ kind: "ready", bundle }),
  (error) => postMessage({ kind: "failed", message: String(error?.message ?? error) }),
);

// One picture after the other: there is one thread.
let queue = Promise.resolve();
onmessage = ({ data }) => {
  queue = queue.then(() => answer(data));
};

/** @param {{id: number, bytes?: Uint8Array, frame?: ImageData, copy?: [number, number] | null, isRaw?: boolean}} asked */
async function answer({ id, bytes, frame, copy = null, isRaw = false }) {
  try {
    const loaded = await model;
    const picture = bytes === undefined ? pictureOf(frame) : await loaded.decode(bytes);
    const decoded = performance.now();
    const onProgress = (share) => postMessage({ kind: "progress", id, share });
    const { answer: said, details } = await loaded.answer(picture, onProgress);
    const map = copy === null || said.task !== "classify" ? null : mapFor(loaded, said, details, copy);
    postMessage({ kind: "answer", id, answer: said, map, raw: isRaw ? details : null, ms: performance.now() - decoded });
  } catch (error) {
    const message = error instanceof PictureError ? error.message : `This picture could not be answered: ${error.message}`;
    postMessage({ kind: "error", id, message });
  }
}

function pictureOf(frame) {
  const pixels = rgbOf(frame);
  return { pixels, height: pixels.height, width: pixels.width };
}

/** The evidence for the answer on a copy of the picture, [height, width]. */
function mapFor({ bundle }, said, { frame, outputs }, [height, width]) {
  if (outputs.evidence === undefined) return null;
  const label = bundle.labels.indexOf(said.scores[0][0]);
  const data = evidenceMap(bundle, outputs.evidence, frameForCopy(frame, height, width), label);
  return { height, width, data, label: said.scores[0][0] };
}
