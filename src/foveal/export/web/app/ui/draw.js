// Draws what speaks for an answer over a picture: the evidence as a glow, a mask in its colours.

const EVIDENCE = [224, 122, 63];
const STRONGEST = 200;
const MASK = 130;

/** @param {HTMLCanvasElement} canvas @param {{height: number, width: number, data: Float32Array}} map */
export function drawEvidence(canvas, { height, width, data }) {
  const image = new ImageData(width, height);
  data.forEach((value, i) => image.data.set([...EVIDENCE, STRONGEST * value], 4 * i));
  show(canvas, image);
}

/**
 * @param {HTMLCanvasElement} canvas
 * @param {{mask: Uint8Array, size: [number, number]}} answer
 * @param {[number, number, number][]} colors Of the labels.
 * @param {boolean[]} shown Which labels are drawn.
 */
export function drawMask(canvas, { mask, size: [height, width] }, colors, shown) {
  const image = new ImageData(width, height);
  const pixels = new Uint32Array(image.data.buffer);
  const bytes = new Uint8Array(4);
  const word = new Uint32Array(bytes.buffer);
  const words = colors.map((color, i) => {
    bytes.set(shown[i] ? [...color, MASK] : [0, 0, 0, 0]);
    return word[0];
  });
  mask.forEach((label, i) => (pixels[i] = words[label]));
  show(canvas, image);
}

function show(canvas, image) {
  canvas.width = image.width;
  canvas.height = image.height;
  canvas.getContext("2d").putImageData(image, 0, 0);
}
