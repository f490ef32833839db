// The model of this folder: its description, its network, and the runtime that it was proven with.

import { Model } from "./model.js";
import { openSession, startRuntime } from "./session.js";

/**
 * @param {(path: string) => Promise<Uint8Array>} read Returns a file of this folder.
 * @param {any} ort The module of onnxruntime-web.
 * @param {import("./decode.js").OtherDecoder} decodeOther
 */
export async function loadModel(read, ort, decodeOther) {
  const [description, network] = await Promise.all([
    read("model/model.json"),
    read("model/model.onnx"),
    read("runtime/ort.wasm.bin").then((wasm) => startRuntime(ort, wasm)),
  ]);
  const bundle = JSON.parse(new TextDecoder().decode(description));
  return new Model(bundle, await openSession(ort, network), decodeOther);
}
