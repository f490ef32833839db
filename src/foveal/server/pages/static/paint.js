// Paints a part of a picture and its mask at the size of a canvas. The mask is looked up for each
// pixel of the canvas, so that its size costs neither time nor memory.

// Of the outlines, in pixels of the page.
const OUTLINE_PX = 1.5;
// From this scale on the picture's own pixels are shown.
const SQUARE_PIXELS = 3;
// Of objects, in turn by their numbers: those of foveal.render.masks.
const OBJECT_COLORS = [
  [0, 158, 115], [240, 228, 66], [0, 114, 178], [230, 159, 0], [86, 180, 233], [213, 94, 0],
  [204, 121, 167], [83, 230, 76], [242, 166, 191], [22, 106, 156], [217, 230, 76], [226, 166, 242],
];

// `view`: pixels of the canvas for each of the mask, and where the mask's corner lies.
// `look`: opacity in [0, 1], whether only outlines are drawn, and which classes are shown.
export function paint(pen, picture, mask, view, look, ratio) {
  const { width, height } = pen.canvas;
  pen.clearRect(0, 0, width, height);
  const shown = { x: view.x, y: view.y, width: mask.width * view.scale, height: mask.height * view.scale };
  if (picture) {
    // What a picture leaves transparent is white to the server too.
    pen.fillStyle = "#fff";
    pen.fillRect(shown.x, shown.y, shown.width, shown.height);
    pen.imageSmoothingEnabled = view.scale < SQUARE_PIXELS * ratio;
    pen.imageSmoothingQuality = "high";
    drawVisible(pen, picture, shown);
  }
  if (look.opacity > 0) paintMask(pen, mask, view, look, ratio);
}

// Only what can be seen: scaling the whole of a large picture up would be slow.
function drawVisible(pen, picture, shown) {
  const left = Math.max(0, -shown.x);
  const top = Math.max(0, -shown.y);
  const width = Math.min(shown.width - left, pen.canvas.width - Math.max(0, shown.x));
  const height = Math.min(shown.height - top, pen.canvas.height - Math.max(0, shown.y));
  if (width <= 0 || height <= 0) return;
  const sx = picture.width / shown.width;
  const sy = picture.height / shown.height;
  pen.drawImage(
    picture,
    left * sx, top * sy, width * sx, height * sy,
    shown.x + left, shown.y + top, width, height,
  );
}

function paintMask(pen, mask, view, look, ratio) {
  const x0 = Math.max(0, Math.floor(view.x));
  const y0 = Math.max(0, Math.floor(view.y));
  const width = Math.min(pen.canvas.width, Math.ceil(view.x + mask.width * view.scale)) - x0;
  const height = Math.min(pen.canvas.height, Math.ceil(view.y + mask.height * view.scale)) - y0;
  if (width <= 0 || height <= 0) return;
  const columns = places(x0 - view.x, width, view.scale, mask.width);
  const rows = places(y0 - view.y, height, view.scale, mask.height);
  const values = sampled(mask.values, mask.width, rows, columns);
  const numbers = mask.numbers ? sampled(mask.numbers, mask.width, rows, columns) : null;
  const parts = numbers ?? values;
  const image = new ImageData(width, height);
  const pixels = new Uint32Array(image.data.buffer);
  const fill = shades(mask.colors, look, look.outlinesOnly ? 0 : look.opacity);
  // Outlines stay visible where the areas let the picture through.
  const opaque = Math.min(1, 2 * look.opacity);
  const line = shades(mask.colors, look, opaque);
  const everything = { shown: OBJECT_COLORS.map(() => true) };
  const objectFill = shades(OBJECT_COLORS, everything, look.outlinesOnly ? 0 : look.opacity);
  const objectLine = shades(OBJECT_COLORS, everything, opaque);
  const breadth = Math.max(1, Math.round(OUTLINE_PX * ratio));
  for (let row = 0, i = 0; row < height; row += 1) {
    const up = row >= breadth ? -breadth * width : 0;
    const down = row < height - breadth ? breadth * width : 0;
    for (let column = 0; column < width; column += 1, i += 1) {
      const part = parts[i];
      const left = column >= breadth ? -breadth : 0;
      const right = column < width - breadth ? breadth : 0;
      const isEdge =
        parts[i + up] !== part || parts[i + down] !== part ||
        parts[i + left] !== part || parts[i + right] !== part;
      const value = values[i];
      if (numbers && part > 0 && look.shown[value]) {
        pixels[i] = (isEdge ? objectLine : objectFill)[(part - 1) % OBJECT_COLORS.length];
      } else {
        pixels[i] = (isEdge ? line : fill)[value];
      }
    }
  }
  // Drawn from a canvas of its own: pixels that are put replace those below, whatever their alpha.
  const layer = new OffscreenCanvas(width, height);
  layer.getContext("2d").putImageData(image, 0, 0);
  pen.drawImage(layer, x0, y0);
}

// For each pixel of the canvas the place in the mask that its centre lies on.
function places(offset, count, scale, limit) {
  const found = new Int32Array(count);
  for (let i = 0; i < count; i += 1) {
    found[i] = Math.min(limit - 1, Math.max(0, Math.floor((offset + i + 0.5) / scale)));
  }
  return found;
}

function sampled(map, width, rows, columns) {
  const values = new map.constructor(rows.length * columns.length);
  let i = 0;
  for (const row of rows) {
    const start = row * width;
    for (const column of columns) {
      values[i] = map[start + column];
      i += 1;
    }
  }
  return values;
}

// For each class its colour as the bytes of a pixel: red, green, blue, alpha.
function shades(colors, { shown }, alpha) {
  const bytes = new Uint8ClampedArray(4 * 256);
  colors.forEach((color, i) => bytes.set([...color, shown[i] ? Math.round(255 * alpha) : 0], 4 * i));
  return new Uint32Array(bytes.buffer);
}
