// The model of this folder: its description, its network, and the runtime that it was proven with.

import { Model } from "./model.js";
import { openSession } from "./session.js";

/**
 * @param {(path: string) => Promise<Uint8Array>} read Returns a file of this folder.
 * @param {any} ort The module of onnxruntime-web.
 * @param {import("./decode.js").OtherDecoder} decodeOther
 */
export async function loadModel(read, ort, decodeOther) {
  const files = ["model/model.json", "runtime/ort.wasm.bin", "model/model.onnx"];
  const [description, wasm, network] = await Promise.all(files.map(read));
  const bundle = JSON.parse(new TextDecoder().decode(description));
  return new Model(bundle, await openSession(ort, wasm, network), decodeOther);
}
