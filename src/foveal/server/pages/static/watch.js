// The live page of a training: asks for its state again and again and shows what changed.

import { percent } from "./words.js";

const RUNNING_MS = 1000;
// A run that has ended may be resumed.
const ENDED_MS = 5000;
const TINY_PX = 64;

const byId = (id) => document.getElementById(id);
const shown = {};
const answers = new Map();
let pictures = [];
let epochs = [];
// Follow the latest epoch until somebody chooses one.
let follows = true;
let isRunning = false;

function element(tag, text = "", className = "") {
  const made = document.createElement(tag);
  made.textContent = text;
  if (className) made.className = className;
  return made;
}

async function ask(address, options) {
  const response = await fetch(address, options);
  const body = await response.json();
  if (!response.ok) throw new Error(body.error ?? `status ${response.status}`);
  return body;
}

// Whether a part differs from what is shown; what does not change is not drawn again.
function isNew(part, value) {
  const text = JSON.stringify(value);
  if (shown[part] === text) return false;
  shown[part] = text;
  return true;
}

async function follow() {
  let wait = RUNNING_MS;
  try {
    const state = await ask("/state");
    byId("error").hidden = true;
    await show(state);
    if (state.status !== "running") wait = ENDED_MS;
  } catch (error) {
    byId("error").textContent = error instanceof TypeError
      ? `foveal watch is no longer running.${isRunning ? " The training itself continues." : ""}`
      : error.message;
    byId("error").hidden = false;
  }
  setTimeout(follow, wait);
}

async function show(state) {
  showStatus(state);
  if (isNew("metrics", state.metrics)) showMetrics(state.metrics);
  if (isNew("curves", [state.figures, state.note])) showCurves(state);
  if (isNew("findings", state.findings)) showFindings(state.findings);
  await showPictures(state);
}

const ENDED = {
  done: "The training has ended.",
  interrupted: "The training was stopped. The model has the best weights so far.",
  broken_off: "No process is training this run: it has not started, or was killed.",
  gone: "The directory of this run no longer exists.",
};

function showStatus(state) {
  const running = state.status === "running";
  isRunning = running;
  const { title, total, done, fields = {}, stopping } = state.progress;
  byId("name").textContent = state.name;
  byId("path").textContent = state.path;
  document.title = `${running ? percentOf(done, total) : ""}${state.name}`;
  const status = !running ? ENDED[state.status]
    : stopping ? "Stopping after this epoch; then the model is exported and evaluated."
      : title ? "In progress." : "In progress: between two stages.";
  // Said again by screen readers when it changes, and only then.
  if (byId("status").textContent !== status) byId("status").textContent = status;
  byId("work").hidden = !running || !title;
  if (running && title) showWork(title, done, total, fields);
  byId("stop").hidden = !running;
  byId("stop").disabled = Boolean(stopping);
  byId("report").hidden = !state.has_report;
  byId("sheet").hidden = !state.has_sheet;
  showNext(state);
}

function percentOf(done, total) {
  return total ? `${Math.floor((100 * done) / total)} % · ` : "";
}

function showWork(title, done, total, fields) {
  byId("work-title").textContent = title;
  byId("work-done").textContent = total ? `${Math.floor((100 * done) / total)} %` : `${done}`;
  const bar = byId("work-bar");
  bar.setAttribute("aria-label", title);
  if (total) {
    bar.max = total;
    bar.value = done;
  } else {
    bar.removeAttribute("value");
  }
  byId("work-fields").replaceChildren(...Object.entries(fields).map(([name, value]) => {
    const pair = document.createElement("div");
    pair.append(element("dt", name), element("dd", value));
    return pair;
  }));
}

function showNext({ status, path }) {
  const next = {
    done: ["Predict with it:", `foveal predict ${path} PICTURE`],
    interrupted: ["Train the remaining epochs:", `foveal train --resume ${path}`],
    broken_off: ["Resume the training:", `foveal train --resume ${path}`],
  }[status];
  byId("next").hidden = !next;
  if (next) [byId("next-words").textContent, byId("next-command").textContent] = next;
}

function showMetrics(metrics) {
  byId("metrics-card").hidden = !metrics.length;
  byId("metrics").replaceChildren(...metrics.map(({ title, meaning, value, interval }) => {
    const one = document.createElement("div");
    one.title = meaning;
    one.append(element("dt", title), element("dd", value));
    if (interval) one.append(element("dd", interval));
    return one;
  }));
}

function showCurves({ figures, note }) {
  byId("curves-card").hidden = !figures.length;
  byId("curves-note").textContent = note;
  byId("curves").replaceChildren(...figures.map(({ title, svg }) => {
    const figure = element("figure");
    figure.append(element("figcaption", title));
    const drawing = new DOMParser().parseFromString(svg, "image/svg+xml").documentElement;
    drawing.setAttribute("role", "img");
    drawing.setAttribute("aria-label", `${title} over the epochs`);
    figure.append(drawing);
    return figure;
  }));
}

function showFindings(findings) {
  byId("findings-card").hidden = !findings.length;
  byId("findings").replaceChildren(...findings.map(({ severity, message, hint }) => {
    const item = element("li", message, severity);
    if (hint) item.append(element("small", hint));
    return item;
  }));
}

async function showPictures(state) {
  // A training that begins anew has the same pictures; those of another split are not kept.
  if (state.has_pictures && !pictures.length) {
    pictures = (await ask("/pictures")).pictures ?? [];
    layOut();
  }
  if (!isNew("epochs", [state.epochs, pictures.length])) return;
  ({ epochs } = state);
  for (const known of [...answers.keys()]) if (!epochs.includes(known)) answers.delete(known);
  const slider = byId("epoch");
  const chosen = epochs[Number(slider.value)];
  slider.max = Math.max(0, epochs.length - 1);
  byId("epoch-field").hidden = !epochs.length;
  if (follows || chosen === undefined) slider.value = slider.max;
  await showEpoch();
}

function layOut() {
  byId("pictures-card").hidden = !pictures.length;
  const grid = byId("pictures");
  grid.classList.toggle("with-masks", pictures.some((one) => one.target));
  grid.replaceChildren(...pictures.map((one) => {
    const figure = element("figure");
    const panels = element("div", "", "panels");
    panels.append(panel(one.picture, one.target ? "picture" : "", one.sample));
    if (one.target) {
      panels.append(panel(one.target, "truth", `${one.sample}: truth`));
      panels.append(panel(one.picture, "answer", `${one.sample}: answer`));
    }
    figure.append(panels, element("figcaption"));
    return figure;
  }));
}

function panel(source, words, alternative) {
  const box = element("div");
  const image = new Image();
  image.alt = alternative;
  image.title = alternative;
  image.addEventListener("load", () => {
    image.classList.toggle("tiny", Math.max(image.naturalWidth, image.naturalHeight) <= TINY_PX);
    if (image.naturalWidth >= 2 * image.naturalHeight) byId("pictures").classList.add("of-text");
  });
  image.src = source;
  box.append(image);
  if (words) box.append(element("span", words));
  return box;
}

async function showEpoch() {
  const epoch = epochs[Number(byId("epoch").value)];
  if (epoch === undefined) return;
  if (!answers.has(epoch)) answers.set(epoch, (await ask(`/epochs/${epoch}`)).answers);
  const given = answers.get(epoch);
  byId("epoch-name").textContent = `${epoch}`;
  byId("epoch-right").textContent =
    `${given.filter((one) => one.right).length} of these ${given.length} right`;
  given.forEach((answer, i) => showAnswer(byId("pictures").children[i], pictures[i], answer));
}

function showAnswer(figure, picture, { answer, confidence, right, drawn }) {
  if (!figure) return;
  const caption = figure.querySelector("figcaption");
  const said = element("p", `${answer || "nothing"} `, right ? "right" : "wrong");
  said.append(element("span", percent(confidence), "muted"));
  caption.replaceChildren(said);
  if (!right && picture.truth) caption.append(element("p", `is ${picture.truth}`, "muted"));
  if (drawn) figure.querySelector(".panels > :last-child img").src = drawn;
}

byId("epoch").addEventListener("input", () => {
  follows = Number(byId("epoch").value) === epochs.length - 1;
  showEpoch();
});

byId("stop").addEventListener("click", async () => {
  byId("stop").disabled = true;
  try {
    await ask("/stop", { method: "POST" });
  } catch (error) {
    byId("error").textContent = error.message;
    byId("error").hidden = false;
  }
});

follow();
