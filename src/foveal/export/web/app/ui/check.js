// The page of the proof: what was found at the export, and the same pictures answered here.

import { Asker } from "./asker.js";
import { element } from "./details.js";
import { duration, percent } from "./words.js";

// Processors round differently; what was proven at the export may drift this far.
const DRIFT = 0.01;
const $ = (id) => /** @type {any} */ (document.getElementById(id));
const asker = new Asker();

function showVerdict(kind, words) {
  $("verdict").className = `notice ${kind}`;
  $("verdict").textContent = words;
}

function proofWords(proof) {
  const inputs = proof.identical_inputs;
  const share = inputs === undefined ? "" : ` The model input was identical, bit for bit, for ${percent(inputs)} of them.`;
  return (
    `${proof.samples} validation pictures were answered from their files in ${proof.runtime}: ` +
    `${percent(proof.label_agreement)} as by the bundle, with probabilities that differ by at most ` +
    `${proof.max_probability_difference.toPrecision(2)}.${share}`
  );
}

async function checkOne({ file, text, confidence, unsure }) {
  const address = `check/${file}`;
  const bytes = new Uint8Array(await (await fetch(address)).arrayBuffer());
  const { answer, ms } = await asker.ask({ bytes });
  const isSame = answer.text === text && answer.unsure === unsure && Math.abs(answer.confidence - confidence) <= DRIFT;
  const picture = /** @type {HTMLImageElement} */ (document.createElement("img"));
  picture.src = address;
  picture.alt = `picture ${file}`;
  const words = isSame
    ? `${text || "nothing"}, ${percent(answer.confidence)} sure`
    : `${answer.text || "nothing"}, ${percent(answer.confidence)} sure; expected ${text || "nothing"}, ${percent(confidence)}`;
  const verdict = element("b", isSame ? "passed" : "failed", isSame ? "Passed" : "Failed");
  $("checks").append(element("li", "", picture, element("span", "", verdict, " ", words)));
  return { isSame, ms };
}

async function check() {
  const begun = performance.now();
  const bundle = await asker.ready;
  const loaded = performance.now() - begun;
  $("proof").textContent = bundle.proof === undefined ? "A server created this app from its model without verifying it in a browser; this page verifies it here." : proofWords(bundle.proof);
  const checks = await (await fetch("check/checks.json")).json();
  if (checks.length === 0) return showVerdict("", "This app contains no pictures to check itself with.");
  const results = [];
  for (const one of checks) results.push(await checkOne(one));
  const passed = results.filter(({ isSame }) => isSame).length;
  const isFine = passed === results.length;
  showVerdict(isFine ? "good" : "bad", `${passed} of ${results.length} pictures ${isFine ? "passed" : "passed; do not rely on this app on this device"}.`);
  const usual = results.map(({ ms }) => ms).sort((a, b) => a - b)[results.length >> 1];
  $("timing").textContent = `The model was loaded in ${duration(loaded)}; a picture takes ${duration(usual)} here.`;
}

check().catch((error) => showVerdict("bad", `The check failed: ${error.message}`));
