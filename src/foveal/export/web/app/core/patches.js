// Clear small patches and holes out of a mask. A patch of a label is connected at corners too, a
// hole in it only along sides; step 5 of the fit `tile` in docs/bundle-format.md.

/**
 * @param {Uint8Array} mask (height, width) positions in the labels; changed in place.
 * @param {number} height @param {number} width @param {number} classes
 * @param {{smallest?: number[], holes?: number[]}} limits Areas for each label; empty for none.
 */
export function tidy(mask, height, width, classes, { smallest = [], holes = [] }) {
  smallest.forEach((limit, label) => limit > 1 && clearPatches(mask, height, width, classes, label, limit));
  holes.forEach((limit, label) => limit > 1 && fillHoles(mask, height, width, label, limit));
}

/** Give each patch of fewer than `limit` pixels to the label with which it shares most sides. */
function clearPatches(mask, height, width, classes, label, limit) {
  const changes = [];
  for (const { places } of parts(mask, height, width, (value) => value === label, true, limit)) {
    const borders = new Array(classes).fill(0);
    for (const place of places) {
      for (const beside of sides(place, height, width)) borders[mask[beside]]++;
    }
    borders[label] = 0;
    const most = Math.max(...borders);
    if (most > 0) changes.push([places, borders.indexOf(most)]);
  }
  for (const [places, becomes] of changes) for (const place of places) mask[place] = becomes;
}

/** Fill each hole of fewer than `limit` pixels that does not touch the edge of the picture. */
function fillHoles(mask, height, width, label, limit) {
  const holes = parts(mask, height, width, (value) => value !== label, false, limit);
  for (const { places, isAtEdge } of [...holes]) {
    if (!isAtEdge) for (const place of places) mask[place] = label;
  }
}

function* sides(place, height, width) {
  const x = place % width;
  if (place >= width) yield place - width;
  if (place + width < height * width) yield place + width;
  if (x > 0) yield place - 1;
  if (x + 1 < width) yield place + 1;
}

/** Yield the connected parts of fewer than `limit` pixels. */
function* parts(mask, height, width, isInside, diagonal, limit) {
  const seen = new Uint8Array(mask.length);
  const stack = [];
  for (let start = 0; start < mask.length; start++) {
    if (seen[start] || !isInside(mask[start])) continue;
    seen[start] = 1;
    stack.push(start);
    const places = [];
    let isAtEdge = false;
    let area = 0;
    while (stack.length > 0) {
      const place = stack.pop();
      // What is too large is followed to its end, but not kept.
      if (++area < limit) places.push(place);
      const x = place % width;
      const y = (place - x) / width;
      if (x === 0 || y === 0 || x === width - 1 || y === height - 1) isAtEdge = true;
      for (let row = Math.max(0, y - 1); row <= Math.min(height - 1, y + 1); row++) {
        for (let column = Math.max(0, x - 1); column <= Math.min(width - 1, x + 1); column++) {
          if (!diagonal && row !== y && column !== x) continue;
          const next = row * width + column;
          if (seen[next] || !isInside(mask[next])) continue;
          seen[next] = 1;
          stack.push(next);
        }
      }
    }
    if (area < limit) yield { places, isAtEdge };
  }
}
