// What only browsers have: decoders of further formats, and files by address.

import { PictureError } from "./errors.js";

/** Decode WebP, AVIF and whatever else this browser knows, upright and over white. @type {import("./decode.js").OtherDecoder} */
export async function decodeWithBrowser(bytes) {
  let bitmap;
  try {
    const options = { imageOrientation: "from-image", colorSpaceConversion: "none", premultiplyAlpha: "none" };
    bitmap = await createImageBitmap(new Blob([bytes]), /** @type {any} */ (options));
  } catch {
    throw new PictureError("This is no picture that the browser can show. JPEG and PNG always work.");
  }
  const { width, height } = bitmap;
  const context = new OffscreenCanvas(width, height).getContext("2d", { willReadFrequently: true });
  context.drawImage(bitmap, 0, 0);
  bitmap.close();
  return rgbOf(context.getImageData(0, 0, width, height));
}

/** RGBA over white. @param {{data: Uint8ClampedArray, width: number, height: number}} image */
export function rgbOf({ data, width, height }) {
  const rgb = new Uint8Array(3 * width * height);
  for (let from = 0, to = 0; from < data.length; from += 4, to += 3) {
    const alpha = data[from + 3];
    for (let c = 0; c < 3; c++) {
      const sum = data[from + c] * alpha + 255 * (255 - alpha) + 128;
      rgb[to + c] = (sum + (sum >> 8)) >> 8;
    }
  }
  return { height, width, data: rgb };
}

/** @param {string | URL} address @returns {Promise<Uint8Array>} */
export async function fetchBytes(address) {
  const response = await fetch(address);
  if (!response.ok) throw new Error(`${address}: ${response.status}`);
  return new Uint8Array(await response.arrayBuffer());
}
