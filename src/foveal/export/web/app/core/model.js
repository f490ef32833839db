// A bundle's network with its pipeline: from the bytes of a picture to an answer.

import { answerClassify } from "./classify.js";
import { decode } from "./decode.js";
import { PictureError } from "./errors.js";
import { decodeSize, frameOf, prepare } from "./pipeline.js";
import { answerRead } from "./read.js";
import { answerSegment } from "./segment.js";
import { runTiles } from "./tiles.js";

const UNFAMILIARITY = "unfamiliarity";
// As unfamiliar as the tile that this share of a picture's tiles does not exceed.
const FAMILIAR_TILES = 0.75;

/**
 * What is said of a picture, whatever the task.
 * @typedef {object} Answer
 * @property {string} task
 * @property {string} text The label, the labels joined by `|`, the text, or the shares of a mask.
 * @property {number} confidence
 * @property {boolean} unsure
 * @property {string[]} reasons Why it is unsure: `confidence`, `constraint`, `unfamiliar`.
 * @property {number | null} unfamiliarity Up to 1 the picture is familiar.
 * @property {[number, number]} size Height and width of the upright original.
 */

/**
 * Runs the network: named outputs for (N, height, width, 3) uint8.
 * @typedef {(data: Uint8Array, dims: number[], names: string[]) => Promise<Record<string, import("./types.js").Tensor>>} Run
 */

/**
 * @typedef {object} Details
 * @property {import("./types.js").Frame} frame
 * @property {Record<string, import("./types.js").Tensor>} outputs Of a tiled picture, joined, in original pixels.
 * @property {import("./types.js").Pixels} input
 */

/** A model, ready to answer. */
export class Model {
  /**
   * @param {any} bundle The content of bundle.json.
   * @param {Run} run
   * @param {import("./decode.js").OtherDecoder} decodeOther
   */
  constructor(bundle, run, decodeOther) {
    this.bundle = bundle;
    this.run = run;
    this.decodeOther = decodeOther;
    this.limits = bundle.limits ?? { max_bytes: 100_000_000, max_pixels: 50_000_000 };
    this.pipeline = { width_step: 32, scale: 1, overlap: 0.25, flips: "none", ...bundle.pipeline };
    this.names = bundle.outputs.map((output) => output.name);
  }

  /** @param {Uint8Array} bytes Of a picture file. */
  async decode(bytes) {
    return decode(bytes, this.limits, decodeSize(this.pipeline), this.decodeOther);
  }

  /**
   * @param {import("./types.js").Picture} picture
   * @param {(share: number) => void} [onProgress] Told how much of a large picture is done.
   * @returns {Promise<{answer: Answer & Record<string, any>, details: Details}>}
   */
  async answer(picture, onProgress = () => {}) {
    const { pipeline } = this;
    if (pipeline.fit === "tile") return this.answerTiled(picture, onProgress);
    const { input, frame } = prepare(pipeline, picture);
    const outputs = await this.run(input.data, [1, input.height, input.width, 3], this.names);
    checkNumbers(outputs);
    const decodeOutputs = this.bundle.task === "read" ? answerRead : answerClassify;
    const answer = decodeOutputs(this.bundle, outputs, frame);
    const value = outputs[UNFAMILIARITY]?.data[0] ?? null;
    return { answer: judged({ ...answer, size: frame.original }, value), details: { frame, outputs, input } };
  }

  async answerTiled(picture, onProgress) {
    const { pixels } = picture;
    const each = this.names.includes(UNFAMILIARITY) ? [] : null;
    const names = each === null ? ["logits"] : ["logits", UNFAMILIARITY];
    const run = async (data, dims) => {
      const outputs = await this.run(data, dims, names);
      checkNumbers(outputs);
      return outputs;
    };
    const logits = await runTiles(this.pipeline, pixels, this.bundle.labels.length, run, each, onProgress);
    const answer = answerSegment(this.bundle, logits, pixels.height, pixels.width);
    const frame = frameOf(this.pipeline, pixels.height, pixels.width);
    const value = each === null ? null : quantile(each, FAMILIAR_TILES);
    const outputs = { logits: { data: logits, dims: [1, this.bundle.labels.length, pixels.height, pixels.width] } };
    return { answer: judged({ ...answer, size: frame.original }, value), details: { frame, outputs, input: pixels } };
  }
}

/** The value that is nearest to a quantile. */
function quantile(values, share) {
  const sorted = [...values].sort((a, b) => a - b);
  const place = share * (sorted.length - 1);
  const low = Math.floor(place);
  // A half goes to the even neighbour, as in numpy.
  const up = place - low > 0.5 || (place - low === 0.5 && low % 2 === 1);
  return sorted[up ? low + 1 : low];
}

function judged(answer, unfamiliarity) {
  const isFamiliar = unfamiliarity === null || unfamiliarity <= 1;
  const reasons = isFamiliar ? answer.reasons : [...answer.reasons, "unfamiliar"];
  return { ...answer, reasons, unsure: reasons.length > 0, unfamiliarity };
}

function checkNumbers(outputs) {
  for (const { data } of Object.values(outputs)) {
    for (let i = 0; i < data.length; i++) {
      if (!Number.isFinite(data[i])) throw new PictureError("The network gave no number for this picture.");
    }
  }
}
