// Gives the app of an export the pictures that a proof server hands out, and sends back all that it
// says. Runs in a page and in Node; never part of an export.

/**
 * @param {URL} server
 * @param {(bytes: Uint8Array) => Promise<{answer: any, details: any}>} answer
 * @param {string} runtime
 */
export async function proveWith(server, answer, runtime) {
  for (;;) {
    const response = await fetch(new URL("next", server), { cache: "no-store" });
    if (response.status === 410) return;
    if (response.status === 204) continue;
    const bytes = new Uint8Array(await response.arrayBuffer());
    let body;
    try {
      body = packed(await answer(bytes), runtime);
    } catch (error) {
      body = new Blob([JSON.stringify({ runtime, error: String(error?.message ?? error) }), "\n"]);
    }
    await fetch(new URL("answer", server), { method: "POST", body });
  }
}

/** One line of JSON, then the numbers of the arrays that it lists. */
function packed({ answer, details }, runtime) {
  const { mask, ...said } = answer;
  const arrays = Object.entries(details.outputs).map(([name, { data, dims }]) => ({ name, dtype: "float32", dims, data }));
  const { height, width, data } = details.input;
  arrays.push({ name: "model input", dtype: "uint8", dims: [height, width, 3], data });
  if (mask !== undefined) arrays.push({ name: "mask", dtype: "uint8", dims: said.size, data: mask });
  const listed = arrays.map(({ name, dtype, dims }) => ({ name, dtype, dims }));
  return new Blob([JSON.stringify({ runtime, answer: said, arrays: listed }), "\n", ...arrays.map((array) => array.data)]);
}
