// The page: ways to give pictures, and the answers.

import { Asker } from "./asker.js";
import { Camera } from "./camera.js";
import { Card } from "./card.js";
import { Live } from "./live.js";
import { spoken } from "./words.js";

const $ = (id) => /** @type {any} */ (document.getElementById(id));
const asker = new Asker();
const camera = new Camera($("video"));
const live = new Live(asker, camera, { overlay: $("overlay"), words: $("live"), spoken: $("spoken") });
let bundle = null;

asker.ready.then(
  (loaded) => {
    bundle = loaded;
    $("loading").hidden = true;
    for (const id of ["start", "photo", "files"]) $(id).disabled = false;
  },
  (error) => {
    $("loading").hidden = true;
    $("failed").hidden = false;
    $("failed").textContent = `The model cannot be loaded. ${error.message}`;
  },
);

/** Answer a picture file. @param {Blob & {name?: string}} file */
async function answer(file) {
  const card = new Card(file.name ?? "picture");
  $("answers").prepend(card.root);
  try {
    const copy = await showPicture(card, file);
    const bytes = new Uint8Array(await file.arrayBuffer());
    await asker.ready;
    const reply = await asker.ask({ bytes, copy }, (share) => card.showProgress(share));
    card.showAnswer(bundle, reply);
    $("spoken").textContent = `${card.name}: ${spoken(reply.answer, bundle)}`;
  } catch (error) {
    card.showError(error.message);
    $("spoken").textContent = `${card.name}: ${error.message}`;
  }
}

/** Show a file, upright; what the browser cannot show may be answered nevertheless. */
async function showPicture(card, file) {
  try {
    const bitmap = await createImageBitmap(file, { imageOrientation: "from-image" });
    const size = card.showPicture(bitmap);
    bitmap.close();
    return size;
  } catch {
    card.find(".picture").hidden = true;
    return null;
  }
}

async function startCamera(wanted) {
  $("camera-error").hidden = true;
  // In the page before it plays: some phones show nothing otherwise.
  $("stage").hidden = false;
  $("ways").classList.add("aside");
  try {
    await camera.start(wanted);
  } catch (error) {
    stopCamera();
    $("camera-error").hidden = false;
    $("camera-error").textContent = error.message;
    return;
  }
  $("live").textContent = "Looking…";
  await listCameras();
  live.go(bundle);
}

/** Cameras have names only once one was allowed, so they are listed now. */
async function listCameras() {
  const found = await camera.list();
  const options = found.map(({ deviceId, label }, i) => new Option(label || `Camera ${i + 1}`, deviceId));
  $("cameras").replaceChildren(...options);
  $("cameras").value = camera.deviceId ?? "";
  $("cameras").parentElement.hidden = found.length < 2;
  $("turn").hidden = found.length < 2;
}

function stopCamera() {
  const wasOn = !$("stage").hidden;
  camera.stop();
  $("stage").hidden = true;
  $("ways").classList.remove("aside");
  if (wasOn) $("start").focus();
}

$("start").onclick = () => startCamera({});
$("stop").onclick = stopCamera;
$("turn").onclick = () => startCamera({ facing: camera.facing === "user" ? "environment" : "user" });
$("cameras").onchange = () => startCamera({ deviceId: $("cameras").value });
$("take").onclick = () => {
  const frame = camera.frame();
  if (frame === null) return;
  // Without loss: what is kept is what the network saw.
  camera.canvas.toBlob((blob) => answer(Object.assign(blob, { name: `camera ${new Date().toLocaleTimeString()}` })), "image/png");
};
document.addEventListener("visibilitychange", () => {
  if (document.hidden && camera.isOn) stopCamera();
});
addEventListener("pagehide", () => camera.stop());

async function answerAll(files) {
  for (const file of files) await answer(file);
}
for (const id of ["photo", "files"]) {
  $(id).onchange = () => {
    const files = [...$(id).files];
    $(id).value = "";
    answerAll(files);
  };
}
// A file that is no picture gets a card that says so.
const filesOf = (transfer) => [...(transfer?.files ?? [])];
addEventListener("paste", (event) => answerAll(filesOf(event.clipboardData)));
addEventListener("dragover", (event) => {
  event.preventDefault();
  $("ways").classList.add("over");
});
addEventListener("dragleave", () => $("ways").classList.remove("over"));
addEventListener("drop", (event) => {
  event.preventDefault();
  $("ways").classList.remove("over");
  answerAll(filesOf(event.dataTransfer));
});

if ("serviceWorker" in navigator) {
  // Its list of files must never come from the browser's own cache.
  navigator.serviceWorker.register("sw.js", { updateViaCache: "none" }).then(
    () => navigator.serviceWorker.ready.then(() => ($("offline").textContent = "Ready to work offline. No picture leaves this device.")),
    () => {},
  );
}
