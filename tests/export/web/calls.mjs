// Calls functions of the app in Node: reads a list of calls as JSON from standard input, writes what
// they give to standard output.

import { createHash } from "node:crypto";
import { readFile } from "node:fs/promises";
import { text } from "node:stream/consumers";
import { pathToFileURL } from "node:url";

const app = pathToFileURL(`${process.argv[2]}/`);
const load = (name) => import(new URL(`core/${name}.js`, app).href);
const [classify, decoding, expression, patches, pipelines, reading, resizing, tiles, segment] = await Promise.all(
  ["classify", "decode", "expression", "patches", "pipeline", "read", "resize", "tiles", "segment"].map(load),
);
const { loadModel } = await load("load");
const { doubt } = await import(new URL("ui/words.js", app).href);
const LIMITS = { max_bytes: 1e9, max_pixels: 1e9 };
const digest = ({ height, width, data }) => [height, width, createHash("sha256").update(data).digest("hex")];
const noOther = async () => {
  throw new Error("not read here");
};
const pixelsOf = ({ height, width, data }) => ({ height, width, data: Uint8Array.from(Buffer.from(data, "base64")) });
const floats = ({ dims, data }) => {
  const bytes = Uint8Array.from(Buffer.from(data, "base64"));
  return { dims, data: new Float32Array(bytes.buffer) };
};

const CALLS = {
  // The order in which a model is loaded, whose network arrives when the runtime has started.
  async load_order() {
    const order = [];
    let arrive;
    const network = new Promise((resolve) => (arrive = resolve));
    const create = async (bytes) => {
      order.push(bytes.length === 3 ? "network" : Buffer.from(bytes).toString("base64"));
      if (order.length === 1) arrive(new Uint8Array(3));
      return { release: async () => order.push("released") };
    };
    const ort = { env: { wasm: {} }, InferenceSession: { create } };
    const files = { "model/model.json": new TextEncoder().encode('{"outputs": [], "task": "classify"}'), "runtime/ort.wasm.bin": new Uint8Array(9) };
    // A network that is waited for first would never come.
    const late = new Promise((_, reject) => setTimeout(() => reject(new Error("the runtime waits for the network")), 5000).unref());
    await Promise.race([loadModel(async (path) => files[path] ?? network, ort, noOther), late]);
    return { order, threads: ort.env.wasm.numThreads, program: ort.env.wasm.wasmBinary.length };
  },
  async load_without_network() {
    const ort = { env: { wasm: {} }, InferenceSession: { create: () => new Promise(() => {}) } };
    const read = async (path) => {
      if (path === "model/model.onnx") throw new Error(`${path}: 404`);
      return new Uint8Array(9);
    };
    return loadModel(read, ort, noOther).then(() => "loaded", (error) => error.message);
  },
  async prepare({ path, pipeline }) {
    const bytes = new Uint8Array(await readFile(path));
    const picture = await decoding.decode(bytes, LIMITS, pipelines.decodeSize(pipeline), noOther);
    const { input, frame } = pipelines.prepare(pipeline, picture);
    return { decoded: digest(picture.pixels), input: digest(input), frame };
  },
  async decode({ path, least = null }) {
    return digest((await decoding.decode(new Uint8Array(await readFile(path)), LIMITS, least, noOther)).pixels);
  },
  resize: ({ pixels, height, width }) => digest(resizing.resizeReducing(pixelsOf(pixels), height, width)),
  read: ({ bundle, logits, attention, frame }) => {
    const outputs = { logits: floats(logits), ...(attention ? { attention: floats(attention) } : {}) };
    return reading.answerRead(bundle, outputs, frame);
  },
  classify: ({ bundle, logits }) => classify.answerClassify(bundle, { logits: floats(logits) }),
  evidence: ({ bundle, evidence, frame, label }) => [...classify.evidenceMap(bundle, floats(evidence), frame, label)],
  segment: ({ bundle, logits }) => {
    const { dims, data } = floats(logits);
    const { mask, confidence } = segment.answerSegment(bundle, data, dims[1], dims[2]);
    return { mask: [...mask], confidence };
  },
  doubt: ({ reasons, calibration }) => doubt({ reasons }, { calibration }),
  value: ({ text: written }) => expression.valueOf(written),
  tidy: ({ mask, classes, limits }) => {
    const { height, width, data } = pixelsOf(mask);
    patches.tidy(data, height, width, classes, limits);
    return [...data];
  },
  async tiles({ pipeline, pixels, bundle }) {
    const picture = pixelsOf(pixels);
    // A network that gives its own input back, each channel a label, and the mean of its corner.
    const run = async (data, [, height, width]) => {
      const maps = new Float32Array(3 * height * width);
      for (let i = 0; i < height * width; i++) for (let c = 0; c < 3; c++) maps[c * height * width + i] = data[3 * i + c] / 16;
      return { logits: { data: maps, dims: [1, 3, height, width] }, unfamiliarity: { data: [data[0]], dims: [1] } };
    };
    const each = [];
    const logits = await tiles.runTiles(pipeline, picture, 3, run, each, () => {});
    const { mask, confidence } = segment.answerSegment(bundle, logits, picture.height, picture.width);
    return { logits: Buffer.from(logits.buffer).toString("base64"), each, mask: [...mask], confidence };
  },
};

const calls = JSON.parse(await text(process.stdin));
const results = [];
for (const { call, ...given } of calls) results.push(await CALLS[call](given));
process.stdout.write(JSON.stringify(results));
