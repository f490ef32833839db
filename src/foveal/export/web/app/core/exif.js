// The orientation in an EXIF block, and turning pixels upright. Bad EXIF is no orientation.

const ORIENTATION = 0x0112;
const SHORT = 3;
// Real blocks hold some dozen entries; more is garbage.
const MOST_ENTRIES = 512;

/**
 * @param {Uint8Array} block The TIFF structure, with or without the leading `Exif\0\0`.
 * @returns {number} 1 to 8; 1 when the block states none, or is bad.
 */
export function orientationOf(block) {
  const start = String.fromCharCode(...block.subarray(0, 6)) === "Exif\0\0" ? 6 : 0;
  const view = new DataView(block.buffer, block.byteOffset + start, Math.min(block.length, 65536) - start);
  try {
    return readOrientation(view);
  } catch (error) {
    if (error instanceof RangeError) return 1;
    throw error;
  }
}

/** @param {DataView} view */
function readOrientation(view) {
  const order = view.getUint32(0);
  const little = order === 0x49492a00;
  if (!little && order !== 0x4d4d002a) return 1;
  const first = view.getUint32(4, little);
  const count = Math.min(view.getUint16(first, little), MOST_ENTRIES);
  for (let i = 0; i < count; i++) {
    const at = first + 2 + 12 * i;
    // All of the entry is looked at before its tag is: one that is cut off is bad.
    const value = view.getUint16(at + 8, little);
    if (view.getUint16(at, little) !== ORIENTATION) continue;
    const isValid = view.getUint16(at + 2, little) === SHORT && view.getUint32(at + 4, little) === 1;
    return isValid && value >= 1 && value <= 8 ? value : 1;
  }
  return 1;
}

/** Whether an orientation exchanges height and width. @param {number} orientation */
export function swapsSides(orientation) {
  return orientation >= 5;
}

/**
 * @param {import("./types.js").Pixels} pixels As stored in the file.
 * @param {number} orientation 1 to 8.
 * @returns {import("./types.js").Pixels} As they are meant to be seen.
 */
export function turnUpright(pixels, orientation) {
  if (orientation === 1) return pixels;
  const swaps = swapsSides(orientation);
  const height = swaps ? pixels.width : pixels.height;
  const width = swaps ? pixels.height : pixels.width;
  const flipsRows = [3, 4, 7, 8].includes(orientation);
  const flipsColumns = [2, 3, 6, 7].includes(orientation);
  const data = new Uint8Array(3 * height * width);
  let to = 0;
  for (let y = 0; y < height; y++) {
    const row = flipsRows ? height - 1 - y : y;
    for (let x = 0; x < width; x++) {
      const column = flipsColumns ? width - 1 - x : x;
      const from = 3 * (swaps ? column * pixels.width + row : row * pixels.width + column);
      data[to++] = pixels.data[from];
      data[to++] = pixels.data[from + 1];
      data[to++] = pixels.data[from + 2];
    }
  }
  return { height, width, data };
}
