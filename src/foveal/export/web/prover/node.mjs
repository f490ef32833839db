// Proves an export in Node: node node.mjs FOLDER SERVER.

import { readFile } from "node:fs/promises";
import { join, resolve } from "node:path";
import { pathToFileURL } from "node:url";

const [folder, server] = process.argv.slice(2);
const load = (path) => import(pathToFileURL(join(resolve(folder), path)).href);
const [{ loadModel }, { proveWith }, ort] = await Promise.all([
  load("core/load.js"),
  import("./prover.js"),
  load("runtime/ort.mjs"),
]);
const read = async (path) => new Uint8Array(await readFile(join(folder, path)));
const decodeOther = async () => {
  throw new Error("only a browser decodes this format");
};
const model = await loadModel(read, ort, decodeOther);
const answer = async (bytes) => model.answer(await model.decode(bytes));
await proveWith(new URL(server), answer, `Node ${process.versions.node}`);
