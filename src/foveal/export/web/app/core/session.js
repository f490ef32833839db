// ONNX Runtime in WebAssembly, on one thread. Never WebGPU: its answers differ, and threads need
// headers that static hosts do not send and that make iOS run out of memory.

// To look for more to fold takes half of the start, and answers are no faster for it: the network
// was folded when it was exported (efficientnet_lite0: 1.4 s against 0.8 s of processor time).
const OPTIONS = { executionProviders: ["wasm"], graphOptimizationLevel: "disabled", logSeverityLevel: 3 };
// An ONNX model of one operator, Identity.
const NOTHING = "CAg6NwoQCgFhEgFiIghJZGVudGl0eRIBZ1oPCgFhEgoKCAgBEgQKAggBYg8KAWISCgoICAESBAoCCAFCBAoAEBE=";

/**
 * Start the runtime. It does that with the first network that it is given: a trivial one, so that
 * the real one may still be on its way. At 20 Mbit/s, on a processor slowed down four times, the
 * first answer came after 11.3 s instead of 14.4 s (medians of 5, efficientnet_lite0, busy cores).
 *
 * @param {any} ort The module of onnxruntime-web.
 * @param {Uint8Array} wasm Its program, maybe packed.
 */
export async function startRuntime(ort, wasm) {
  ort.env.wasm.numThreads = 1;
  ort.env.wasm.wasmBinary = await unpacked(wasm);
  ort.env.logLevel = "error";
  const nothing = Uint8Array.from(atob(NOTHING), (character) => character.charCodeAt(0));
  const session = await ort.InferenceSession.create(nothing, OPTIONS);
  await session.release();
}

/**
 * @param {any} ort The module of onnxruntime-web, started.
 * @param {Uint8Array} network The content of model.onnx.
 * @returns {Promise<import("./model.js").Run>}
 */
export async function openSession(ort, network) {
  const session = await ort.InferenceSession.create(network, OPTIONS);
  return async (data, dims, names) => {
    const image = new ort.Tensor("uint8", data, dims);
    const results = await session.run({ image }, names);
    const outputs = {};
    for (const name of names) {
      outputs[name] = { data: Float32Array.from(results[name].data), dims: results[name].dims };
      results[name].dispose();
    }
    return outputs;
  };
}

/** Unpack what is gzipped: not every host compresses what it sends, nor leaves .gz as it is. */
async function unpacked(bytes) {
  if (bytes[0] !== 0x1f || bytes[1] !== 0x8b) return bytes;
  const stream = new Blob([bytes]).stream().pipeThrough(new DecompressionStream("gzip"));
  return new Uint8Array(await new Response(stream).arrayBuffer());
}
