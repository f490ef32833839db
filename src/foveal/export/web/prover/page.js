// The page of a proof: asks the worker of the app.

import { proveWith } from "./prover.js";

const worker = new Worker(new URL("../worker.js", import.meta.url), { type: "module" });
const waiting = new Map();
worker.onerror = (event) => waiting.forEach(({ reject }) => reject(new Error(event.message || "the worker failed")));
worker.onmessage = ({ data }) => {
  if (data.kind === "failed") waiting.forEach(({ reject }) => reject(new Error(data.message)));
  const asked = waiting.get(data.id);
  if (asked === undefined || data.kind === "progress") return;
  waiting.delete(data.id);
  if (data.kind === "error") asked.reject(new Error(data.message));
  else asked.resolve({ answer: data.answer, details: data.raw });
};
let count = 0;
const answer = (bytes) =>
  new Promise((resolve, reject) => {
    const id = ++count;
    waiting.set(id, { resolve, reject });
    worker.postMessage({ id, bytes, isRaw: true }, [bytes.buffer]);
  });
const version = /(?:Chrome|Firefox|Version)\/[0-9.]+/.exec(navigator.userAgent)?.[0] ?? "a browser";
await proveWith(new URL("./", import.meta.url), answer, version.replace("/", " "));
document.title = "done";
