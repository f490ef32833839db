// The shapes of data that the modules hand each other; nothing that runs.

/**
 * RGB pixels, three bytes each, row by row.
 * @typedef {{height: number, width: number, data: Uint8Array}} Pixels
 */

/**
 * A decoded picture, upright.
 * @typedef {object} Picture
 * @property {Pixels} pixels May be smaller than the original: a JPEG is decoded at a reduced scale
 *   where the network needs far fewer pixels.
 * @property {number} height Of the original.
 * @property {number} width Of the original.
 */

/**
 * Where an original lies in the model input: input = original * scale + offset. Pairs are (y, x).
 * @typedef {object} Frame
 * @property {[number, number]} original
 * @property {[number, number]} input
 * @property {[number, number]} scale
 * @property {[number, number]} offset
 */

/**
 * `pipeline` of a bundle.json.
 * @typedef {object} Pipeline
 * @property {number} height
 * @property {number} width
 * @property {"pad" | "stretch" | "crop" | "line" | "tile"} fit
 * @property {[number, number, number]} pad_color
 * @property {number} width_step
 * @property {number} scale
 * @property {number} overlap
 * @property {"none" | "horizontal" | "all"} flips
 */

/**
 * A numeric array with its shape.
 * @typedef {{data: Float32Array, dims: readonly number[]}} Tensor
 */

/**
 * `calibration` of a bundle.json.
 * @typedef {object} Calibration
 * @property {number} temperature
 * @property {number} unsure_below
 * @property {number[]} thresholds
 * @property {number[]} smallest
 * @property {number[]} holes
 * @property {number[]} [offsets] Missing in bundles of before.
 * @property {string | null} [not_usable] Why every answer is unsure; missing in bundles of before.
 */

export {};
