// From a picture to the model input, and from the model input back: the pipeline of a bundle.
// docs/bundle-format.md is the contract; pages are not read here.

import { PictureError } from "./errors.js";
import { resizeMap, resizeReducing } from "./resize.js";

/** Round as Python does: halves go to the even neighbour. @param {number} value */
export function rounded(value) {
  const low = Math.floor(value);
  const rest = value - low;
  if (rest !== 0.5) return rest < 0.5 ? low : low + 1;
  return low % 2 === 0 ? low : low + 1;
}

/**
 * The size, [height, width], that decoding must keep, or null for every pixel.
 * @param {import("./types.js").Pipeline} pipeline
 * @returns {[number, number] | null}
 */
export function decodeSize({ fit, height, width }) {
  if (fit === "tile") return null;
  return fit === "line" ? [height, 1] : [height, width];
}

/**
 * @param {import("./types.js").Pipeline} pipeline
 * @param {number} height @param {number} width Of the original.
 * @returns {import("./types.js").Frame}
 * @throws {PictureError} When it is too wide for `line`.
 */
export function frameOf(pipeline, height, width) {
  const original = /** @type {[number, number]} */ ([height, width]);
  const input = /** @type {[number, number]} */ ([pipeline.height, pipeline.width]);
  if (pipeline.fit === "tile") return { original, input: original, scale: [1, 1], offset: [0, 0] };
  const [scaleY, scaleX] = [pipeline.height / height, pipeline.width / width];
  if (pipeline.fit === "stretch") return { original, input, scale: [scaleY, scaleX], offset: [0, 0] };
  if (pipeline.fit === "line") return lineFrame(pipeline, height, width);
  const scale = pipeline.fit === "pad" ? Math.min(scaleY, scaleX) : Math.max(scaleY, scaleX);
  const rows = Math.max(1, rounded(height * scale));
  const columns = Math.max(1, rounded(width * scale));
  const top = Math.floor((pipeline.height - rows) / 2);
  const left = Math.floor((pipeline.width - columns) / 2);
  return { original, input, scale: [rows / height, columns / width], offset: [top, left] };
}

function lineFrame(pipeline, height, width) {
  const columns = Math.max(1, rounded((width * pipeline.height) / height));
  if (columns > pipeline.width) {
    const most = Math.floor((pipeline.width * height) / pipeline.height);
    throw new PictureError(
      `The picture is ${width} pixels wide and ${height} high. Expected at most ${most} wide at this height: ` +
        "cut it to the line of text.",
    );
  }
  const padded = pipeline.width_step * Math.ceil(columns / pipeline.width_step);
  const scale = [pipeline.height / height, columns / width];
  return { original: [height, width], input: [pipeline.height, padded], scale, offset: [0, 0] };
}

/**
 * Return the model input of a picture, and where the picture lies in it.
 * @param {import("./types.js").Pipeline} pipeline One that does not cut tiles.
 * @param {import("./types.js").Picture} picture
 * @returns {{input: import("./types.js").Pixels, frame: import("./types.js").Frame}}
 */
export function prepare(pipeline, picture) {
  const frame = frameOf(pipeline, picture.height, picture.width);
  const rows = Math.max(1, rounded(frame.original[0] * frame.scale[0]));
  const columns = Math.max(1, rounded(frame.original[1] * frame.scale[1]));
  const isSame = picture.pixels.height === rows && picture.pixels.width === columns;
  const small = isSame ? picture.pixels : resizeReducing(picture.pixels, rows, columns);
  return { input: placed(small, frame, pipeline.pad_color), frame };
}

/** Put pixels where they belong in a model input; what is outside is cut off. */
function placed(small, { input: [height, width], offset: [top, left] }, color) {
  if (small.height === height && small.width === width) return small;
  const data = new Uint8Array(3 * height * width);
  for (let i = 0; i < data.length; i++) data[i] = color[i % 3];
  const from = Math.max(0, -left);
  const count = Math.min(small.width - from, width - Math.max(0, left));
  for (let y = Math.max(0, top); y < Math.min(height, top + small.height); y++) {
    const start = 3 * ((y - top) * small.width + from);
    data.set(small.data.subarray(start, start + 3 * count), 3 * (y * width + Math.max(0, left)));
  }
  return { height, width, data };
}

/** The frame of the same model input as seen from a copy of another size. */
export function frameForCopy(frame, height, width) {
  const [sy, sx] = [height / frame.original[0], width / frame.original[1]];
  return { ...frame, original: [height, width], scale: [frame.scale[0] / sy, frame.scale[1] / sx] };
}

/** `x0, y0, x1, y1` of the picture in the model input; may reach outside. */
export function boxInInput({ original, scale, offset }) {
  const [top, left] = offset;
  return [left, top, left + original[1] * scale[1], top + original[0] * scale[0]];
}

/**
 * Resample a map over the whole model input to the pixels of the original.
 * @param {Float32Array} values @param {number} rows @param {number} columns
 * @param {import("./types.js").Frame} frame
 * @returns {Float32Array} (height, width); 0 where `crop` cut off.
 */
export function resampleToOriginal(values, rows, columns, frame) {
  const [height, width] = frame.original;
  const [x0, y0, x1, y1] = boxInInput(frame);
  const [sy, sx] = [rows / frame.input[0], columns / frame.input[1]];
  const inner = [Math.max(x0, 0), Math.max(y0, 0), Math.min(x1, frame.input[1]), Math.min(y1, frame.input[0])];
  const toX = (x) => rounded((x - frame.offset[1]) / frame.scale[1]);
  const toY = (y) => rounded((y - frame.offset[0]) / frame.scale[0]);
  const [left, top] = [toX(inner[0]), toY(inner[1])];
  const wide = Math.max(1, toX(inner[2]) - left);
  const high = Math.max(1, toY(inner[3]) - top);
  const box = [inner[0] * sx, inner[1] * sy, inner[2] * sx, inner[3] * sy];
  const part = resizeMap(values, rows, columns, high, wide, box);
  if (high === height && wide === width) return part;
  const whole = new Float32Array(height * width);
  for (let y = 0; y < high; y++) whole.set(part.subarray(y * wide, (y + 1) * wide), (top + y) * width + left);
  return whole;
}
