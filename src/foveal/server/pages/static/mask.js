// One mask: the picture under its colours, what each class takes of it, and both as files.

import { readMask, readNumbers } from "./png.js";
import { Viewer } from "./viewer.js";
import { percent } from "./words.js";

const BACKGROUND = "background";
// Classes named in the headline, and in the legend before the rest is folded away.
const NAMED = 3;
const LISTED = 10;

export async function drawMask(card, answer) {
  const { classes } = answer;
  const found = foundIn(answer);
  const headline = card.show(".headline", " ");
  headline.replaceChildren(...objectParts(answer), ...headlineParts(found));
  card.show(".certainty", `${percent(answer.confidence)} mean confidence over its pixels`);
  const bytes = decoded(answer.mask.png_b64);
  let mask;
  try {
    mask = await readMask(bytes);
    if (answer.instances) mask.numbers = await readNumbers(decoded(answer.mask.instances_png_b64));
  } catch {
    card.show(".error", "This browser is too old to show the mask.");
    return;
  }
  const element = document.getElementById("mask-view").content.firstElementChild.cloneNode(true);
  const viewer = new Viewer(element, card.file, mask);
  viewer.look.shown = classes.map(({ name }) => name !== BACKGROUND);
  card.viewer = viewer;
  card.find(".stage").replaceWith(element);
  card.find("figure").classList.add("has-view");
  element.querySelector("canvas").setAttribute("aria-label", `${card.file.name} under its mask: ${spoken(classes)}`);
  drawLegend(card, viewer, classes);
  const isSeen = await viewer.open();
  if (!isSeen) card.setNote("This browser cannot show the picture itself, only its mask.");
  listen(element, viewer, answer);
  offerFiles(card, viewer, bytes);
}

function decoded(base64) {
  return Uint8Array.from(atob(base64), (character) => character.charCodeAt(0));
}

// What a screen reader hears when the answer comes.
export function maskSummary(answer) {
  const found = foundIn(answer).map(({ name, share }) => `${name} ${shareText(share)}`);
  const count = answer.instances?.length ? `${objectsText(answer)}: ` : "";
  return `${count}${found.join(", ") || "nothing found"}; ${percent(answer.confidence)} sure`;
}

function foundIn({ classes }) {
  const found = classes.filter(({ name, pixels }) => pixels > 0 && name !== BACKGROUND);
  return found.sort((a, b) => b.share - a.share);
}

function objectsText({ instances }) {
  return `${instances.length.toLocaleString("en")} object${instances.length === 1 ? "" : "s"}`;
}

function objectParts(answer) {
  return answer.instances?.length ? [`${objectsText(answer)}: `] : [];
}

function headlineParts(found) {
  if (found.length === 0) return ["Nothing found"];
  const parts = found.slice(0, NAMED).flatMap(({ name, share }, i) => {
    const value = document.createElement("span");
    value.className = "share";
    value.textContent = shareText(share);
    return [i > 0 ? ", " : "", `${name} `, value];
  });
  return found.length > NAMED ? [...parts, ` and ${found.length - NAMED} more`] : parts;
}

function shareText(share) {
  return share > 0 && share < 0.0005 ? "< 0.1 %" : percent(share);
}

function spoken(classes) {
  return classes.map(({ name, share }) => `${name} ${shareText(share)}`).join(", ");
}

function drawLegend(card, viewer, classes) {
  const list = card.find(".legend");
  list.hidden = false;
  const rows = classes.map((entry, i) => legendRow(entry, i, viewer));
  // What was looked for comes first.
  const isGround = (row) => row.classList.contains("is-ground");
  list.replaceChildren(...rows.filter((row) => !isGround(row)), ...rows.filter(isGround));
  if (classes.length <= LISTED) return;
  // Those that do not occur are folded away first.
  const there = classes.flatMap(({ pixels }, i) => (pixels > 0 ? [i] : []));
  const kept = new Set(there.slice(0, LISTED));
  const more = card.find(".more");
  const fold = (isOpen) => {
    rows.forEach((row, i) => { row.hidden = !isOpen && !kept.has(i); });
    more.textContent = isOpen ? "Show fewer classes" : `Show all ${classes.length} classes`;
    more.setAttribute("aria-expanded", String(isOpen));
  };
  more.hidden = false;
  more.onclick = () => fold(more.getAttribute("aria-expanded") !== "true");
  fold(false);
}

function legendRow({ name, share, pixels }, i, viewer) {
  const row = document.getElementById("legend-row").content.firstElementChild.cloneNode(true);
  row.classList.toggle("is-absent", pixels === 0);
  row.classList.toggle("is-ground", name === BACKGROUND);
  row.style.setProperty("--class", `rgb(${viewer.mask.colors[i].join(" ")})`);
  const box = row.querySelector("input");
  box.checked = viewer.look.shown[i];
  box.addEventListener("change", () => {
    viewer.look.shown[i] = box.checked;
    viewer.redraw();
  });
  row.querySelector(".class-name").textContent = name;
  row.querySelector(".bar-share").textContent = shareText(share);
  row.querySelector(".bar-share").title = `${pixels.toLocaleString("en")} pixels`;
  row.querySelector(".bar-track span").style.width = `${pixels > 0 ? Math.max(0.5, 100 * share) : 0}%`;
  return row;
}

function listen(element, viewer, { classes, instances }) {
  const slider = element.querySelector(".opacity input");
  const said = element.querySelector(".opacity-share");
  slider.value = 100 * viewer.look.opacity;
  const show = () => {
    said.textContent = `${slider.value} %`;
    slider.setAttribute("aria-valuetext", said.textContent);
  };
  slider.addEventListener("input", () => {
    viewer.setLook({ opacity: slider.value / 100 });
    show();
  });
  show();
  element.querySelector(".outlines-only").addEventListener("change", (event) => {
    viewer.setLook({ outlinesOnly: event.target.checked });
  });
  const readout = element.querySelector(".readout");
  viewer.stage.addEventListener("pointermove", (event) => {
    const here = viewer.at(...viewer.place(event));
    if (!here) {
      readout.textContent = "";
      return;
    }
    const object = here.number ? instances[here.number - 1] : null;
    const words = object
      ? `${object.label} ${here.number}, ${object.area.toLocaleString("en")} px, ${percent(object.score)}`
      : classes[here.value].name;
    readout.textContent = `${words} · ${here.column}, ${here.row}`;
  });
  viewer.stage.addEventListener("pointerleave", () => { readout.textContent = ""; });
}

function offerFiles(card, viewer, bytes) {
  const stem = card.file.name.replace(/\.[^.]*$/, "") || "picture";
  card.find(".downloads").hidden = false;
  card.find(".save-mask").onclick = () => save(new Blob([bytes], { type: "image/png" }), `${stem}_mask.png`);
  card.find(".save-overlay").onclick = async () => save(await viewer.drawnPng(), `${stem}_overlay.png`);
}

function save(blob, name) {
  const link = document.createElement("a");
  link.href = URL.createObjectURL(blob);
  link.download = name;
  link.click();
  // Later: the browser has not begun to read it yet.
  setTimeout(() => URL.revokeObjectURL(link.href), 60_000);
}
