// Bytes become an upright RGB picture. JPEG and PNG are decoded here, in the same way in every
// browser; other formats by the browser, if it can.

import { NotOursError, PictureError } from "./errors.js";
import { swapsSides, turnUpright } from "./exif.js";
import { decodeJpeg, readJpegHeader } from "./jpeg.js";
import { decodePng, readPngHeader } from "./png.js";

/**
 * Decodes whole files to upright RGB over white, or throws.
 * @typedef {(bytes: Uint8Array) => Promise<import("./types.js").Pixels>} OtherDecoder
 */

/**
 * @param {Uint8Array} bytes
 * @param {{max_bytes: number, max_pixels: number}} limits
 * @param {[number, number] | null} least Height and width that the picture will be scaled to.
 * @param {OtherDecoder} other For the formats, and the damaged files, that are not read here.
 * @returns {Promise<import("./types.js").Picture>}
 * @throws {PictureError}
 */
export async function decode(bytes, limits, least, other) {
  if (bytes.length > limits.max_bytes) {
    throw new PictureError(`The picture has ${bytes.length} bytes. Expected at most ${limits.max_bytes}.`);
  }
  const read = readerOf(bytes);
  if (read !== null) {
    const header = read.header(bytes);
    const isTurned = swapsSides(header.orientation);
    const height = isTurned ? header.width : header.height;
    const width = isTurned ? header.height : header.width;
    checkSize(height, width, limits);
    try {
      const pixels = turnUpright(await read.pixels(bytes, header, orient(least, isTurned)), header.orientation);
      return { pixels, height, width };
    } catch (error) {
      if (!(error instanceof NotOursError)) throw error;
    }
  }
  const pixels = await other(bytes);
  checkSize(pixels.height, pixels.width, limits);
  return { pixels, height: pixels.height, width: pixels.width };
}

function checkSize(height, width, { max_pixels: most }) {
  if (height < 1 || width < 1) throw new PictureError("The picture has no pixels.");
  if (height * width > most) {
    throw new PictureError(`The picture has ${width} x ${height} pixels. Expected at most ${most} in all.`);
  }
}

const orient = (least, isTurned) => (least === null || !isTurned ? least : [least[1], least[0]]);

const JPEG = {
  header: readJpegHeader,
  pixels: async (bytes, { height, width }, least) => decodeJpeg(bytes, jpegFactor(height, width, least)),
};
const PNG = { header: readPngHeader, pixels: decodePng };

function readerOf(bytes) {
  if (bytes[0] === 0xff && bytes[1] === 0xd8 && bytes[2] === 0xff) return JPEG;
  return String.fromCharCode(...bytes.subarray(0, 8)) === "\x89PNG\r\n\x1a\n" ? PNG : null;
}

/** How many times smaller a JPEG may be decoded: never below twice the size that is wanted. */
export function jpegFactor(height, width, least) {
  if (least === null) return 1;
  const fits = (factor) => Math.floor(height / factor) >= 2 * least[0] && Math.floor(width / factor) >= 2 * least[1];
  return [8, 4, 2].find(fits) ?? 1;
}
