// Reads the values of a palette PNG, or of a grey one of 16 bits. A canvas would give colours instead, which some browsers
// change on purpose, and of which a large picture has more than a canvas may hold.

const SIGNATURE_BYTES = 8;
const CHUNK_HEAD_BYTES = 8;
const CHUNK_TAIL_BYTES = 4;
const PALETTE = 3;
const GREY = 0;

export async function readMask(bytes) {
  const { header, colors, parts } = chunks(bytes);
  if (!header || header.kind !== PALETTE || header.interlaced) throw new Error("not a mask's PNG");
  const { width, height, depth } = header;
  const packed = unfiltered(await inflated(parts), height, Math.ceil((width * depth) / 8));
  return { width, height, colors, values: depth === 8 ? packed : unpacked(packed, header) };
}

// The number of the object at each pixel, from 1; 0 for none. Of more than 65,535 objects the PNG
// has colours, and null is returned.
export async function readNumbers(bytes) {
  const { header, parts } = chunks(bytes);
  if (!header || header.kind !== GREY || header.depth !== 16 || header.interlaced) return null;
  const { width, height } = header;
  const rows = unfiltered(await inflated(parts), height, 2 * width, 2);
  const numbers = new Uint16Array(width * height);
  for (let i = 0; i < numbers.length; i += 1) numbers[i] = (rows[2 * i] << 8) | rows[2 * i + 1];
  return numbers;
}

function chunks(bytes) {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  const found = { header: null, colors: [], parts: [] };
  for (let at = SIGNATURE_BYTES; at + CHUNK_HEAD_BYTES <= bytes.length; ) {
    const length = view.getUint32(at);
    const name = String.fromCharCode(...bytes.subarray(at + 4, at + CHUNK_HEAD_BYTES));
    const start = at + CHUNK_HEAD_BYTES;
    const content = bytes.subarray(start, start + length);
    if (name === "IHDR") {
      found.header = {
        width: view.getUint32(start),
        height: view.getUint32(start + 4),
        depth: content[8],
        kind: content[9],
        interlaced: content[12] !== 0,
      };
    } else if (name === "PLTE") {
      for (let i = 0; i < length; i += 3) found.colors.push([...content.subarray(i, i + 3)]);
    } else if (name === "IDAT") {
      found.parts.push(content);
    }
    at = start + length + CHUNK_TAIL_BYTES;
  }
  return found;
}

async function inflated(parts) {
  const stream = new Blob(parts).stream().pipeThrough(new DecompressionStream("deflate"));
  return new Uint8Array(await new Response(stream).arrayBuffer());
}

// Undoes the filter that stands before each row, of pixels of `size` bytes, at least one.
function unfiltered(data, height, stride, size = 1) {
  const rows = new Uint8Array(height * stride);
  for (let row = 0; row < height; row += 1) {
    const from = row * (stride + 1);
    const to = row * stride;
    const filter = data[from];
    rows.set(data.subarray(from + 1, from + 1 + stride), to);
    if (filter === 0) continue;
    for (let i = to; i < to + stride; i += 1) {
      const left = i >= to + size ? rows[i - size] : 0;
      const above = row > 0 ? rows[i - stride] : 0;
      const corner = i >= to + size && row > 0 ? rows[i - stride - size] : 0;
      rows[i] += predicted(filter, left, above, corner);
    }
  }
  return rows;
}

function predicted(filter, left, above, corner) {
  if (filter === 1) return left;
  if (filter === 2) return above;
  if (filter === 3) return (left + above) >> 1;
  const toLeft = Math.abs(above - corner);
  const toAbove = Math.abs(left - corner);
  const toCorner = Math.abs(left + above - 2 * corner);
  if (toLeft <= toAbove && toLeft <= toCorner) return left;
  return toAbove <= toCorner ? above : corner;
}

// Few classes are stored as 1, 2 or 4 bits each.
function unpacked(packed, { width, height, depth }) {
  const values = new Uint8Array(width * height);
  const stride = Math.ceil((width * depth) / 8);
  const each = 8 / depth;
  const bits = (1 << depth) - 1;
  for (let row = 0; row < height; row += 1) {
    for (let column = 0; column < width; column += 1) {
      const byte = packed[row * stride + Math.floor(column / each)];
      values[row * width + column] = (byte >> (8 - depth * (1 + (column % each)))) & bits;
    }
  }
  return values;
}
