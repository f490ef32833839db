// ONNX Runtime in WebAssembly, on one thread. Never WebGPU: its answers differ, and threads need
// headers that static hosts do not send and that make iOS run out of memory.

/**
 * @param {any} ort The module of onnxruntime-web.
 * @param {Uint8Array} wasm Its program, maybe packed.
 * @param {Uint8Array} network The content of model.onnx.
 * @returns {Promise<import("./model.js").Run>}
 */
export async function openSession(ort, wasm, network) {
  ort.env.wasm.numThreads = 1;
  ort.env.wasm.wasmBinary = await unpacked(wasm);
  ort.env.logLevel = "error";
  // The network was folded when it was exported. To look for more takes half of the start, and
  // answers are no faster for it (efficientnet_lite0: 1.4 s against 0.8 s of processor time).
  const options = { executionProviders: ["wasm"], graphOptimizationLevel: "disabled", logSeverityLevel: 3 };
  const session = await ort.InferenceSession.create(network, options);
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
