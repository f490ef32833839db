// Talks to the server. Knows nothing of the page.

import { fetchWithKey } from "./key.js";

const DOWNSCALED_SIDE_PX = 2048;
const DOWNSCALED_QUALITY = 0.92;

// `passing` errors may be gone when the same picture is sent again.
export class AnswerError extends Error {
  constructor(message, { passing = false } = {}) {
    super(message);
    this.passing = passing;
  }
}

export async function loadModels() {
  const response = await send("/models");
  return response.json();
}

export async function predict(model, picture, { explain = false, expected = null } = {}) {
  const query = new URLSearchParams();
  if (explain) query.set("explain", "true");
  if (expected !== null) query.set("expected", expected);
  const text = query.toString();
  const path = `/predict/${encodeURIComponent(model)}${text ? `?${text}` : ""}`;
  const headers = { "content-type": "application/octet-stream" };
  const response = await send(path, { method: "POST", body: picture, headers });
  return response.json();
}

// Sends a picture again, with what is said of its answer: an object of fields, some of them lists.
export async function sendFeedback(model, picture, fields) {
  const form = new FormData();
  form.set("model", model);
  for (const [name, value] of Object.entries(fields)) {
    for (const text of Array.isArray(value) ? value : [value]) form.append(name, text);
  }
  form.set("file", picture, "picture");
  const response = await send("/feedback", { method: "POST", body: form });
  return response.json();
}

async function send(path, options) {
  let response;
  try {
    response = await fetchWithKey(path, options);
  } catch {
    throw new AnswerError("The server cannot be reached. Is it still running?", { passing: true });
  }
  if (response.ok) return response;
  let message = `The server answered with status ${response.status}.`;
  try {
    message = (await response.json()).error || message;
  } catch {
    // A proxy's own error page is not JSON; the status says enough.
  }
  const passing = response.status >= 500 || [401, 408, 429].includes(response.status);
  throw new AnswerError(message, { passing });
}

// Returns what to send for a file, with a note when it had to be made smaller.
export async function fitToLimits(file, limits) {
  if (file.size <= limits.max_body_bytes) return { picture: file, note: "" };
  let bitmap;
  try {
    bitmap = await createImageBitmap(file);
  } catch {
    const limit = readableBytes(limits.max_body_bytes);
    throw new AnswerError(
      `${file.name} has ${readableBytes(file.size)}, over the server's limit of ${limit}, and this ` +
        "browser cannot open it to reduce it.",
    );
  }
  // Halved until it fits: a noisy picture can be large at any quality.
  for (let side = DOWNSCALED_SIDE_PX; side >= 64; side /= 2) {
    const picture = await scaled(bitmap, side);
    if (picture.size <= limits.max_body_bytes) {
      bitmap.close();
      const sizes = `${readableBytes(file.size)} → ${readableBytes(picture.size)}`;
      return { picture, note: `Reduced before sending: ${sizes}.` };
    }
  }
  throw new AnswerError(`${file.name} cannot be reduced enough for this server.`);
}

async function scaled(bitmap, side) {
  const scale = Math.min(1, side / Math.max(bitmap.width, bitmap.height));
  const canvas = document.createElement("canvas");
  canvas.width = Math.max(1, Math.round(bitmap.width * scale));
  canvas.height = Math.max(1, Math.round(bitmap.height * scale));
  const pen = canvas.getContext("2d");
  pen.imageSmoothingQuality = "high";
  // JPEG has no transparency; the server lays alpha over white too.
  pen.fillStyle = "#fff";
  pen.fillRect(0, 0, canvas.width, canvas.height);
  pen.drawImage(bitmap, 0, 0, canvas.width, canvas.height);
  return new Promise((resolve, reject) => {
    canvas.toBlob(
      (blob) => (blob ? resolve(blob) : reject(new AnswerError("The picture is too large."))),
      "image/jpeg",
      DOWNSCALED_QUALITY,
    );
  });
}

export function readableBytes(count) {
  if (count < 1024) return `${count} bytes`;
  if (count < 1024 * 1024) return `${Math.round(count / 1024)} KB`;
  return `${(count / 1024 / 1024).toFixed(1)} MB`;
}
