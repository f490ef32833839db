// Wires the page: pictures come in, answers go out.

import { AnswerError, fitToLimits, loadModels, predict, readableBytes } from "./api.js";
import { Card, summaryOf } from "./card.js";
import { CategoryCheck, TextCheck } from "./check.js";
import { LiveView } from "./live.js";
import { WORDS, aboutModel } from "./words.js";

// Enough to keep the server busy, few enough to leave it to others too.
const PARALLEL = 3;

const byId = (id) => document.getElementById(id);
// By what a model answers with; a mask has no one answer that could be declared.
const checks = { labels: new CategoryCheck(), text: new TextCheck() };
const live = new LiveView(byId("live"), { say: summaryOf, keep: (file) => add([file]) });
let models = [];
let limits = null;
// What the server keeps of feedback; null where it keeps none.
let kept = null;
let model = null;
let check = checks.labels;
let cards = [];

async function start() {
  try {
    ({ models, limits, feedback: kept = null } = await loadModels());
  } catch (error) {
    byId("about").textContent = "";
    showPageError(error.message);
    return;
  }
  const select = byId("model");
  select.replaceChildren(...models.map((m) => new Option(m.name, m.name)));
  byId("model-field").hidden = models.length < 2;
  select.addEventListener("change", () => chooseModel(select.value));
  byId("limits").textContent += `, up to ${readableBytes(limits.max_body_bytes)}; larger ones are reduced in the browser first`;
  chooseModel(models[0].name);
}

function chooseModel(name) {
  model = models.find((m) => m.name === name);
  live.model = model;
  check = checks[model.target] ?? null;
  byId("about").textContent = aboutModel(model);
  for (const [mode, words] of Object.entries(WORDS[model.target])) {
    byId(`mode-${mode}`).textContent = words.mode;
  }
  byId("modes").hidden = check === null;
  byId("check-title").textContent = WORDS[model.target].check?.mode ?? "";
  for (const [target, other] of Object.entries(checks)) other.field.hidden = target !== model.target;
  check?.setModel(model);
  changeMode();
}

function isChecking() {
  return check !== null && document.querySelector('input[name="mode"]:checked').value === "check";
}

function changeMode() {
  if (!model) return;
  const checking = isChecking();
  byId("check").hidden = !checking;
  byId("title").textContent = WORDS[model.target][checking ? "check" : "recognise"].title;
  check?.reset();
}

async function add(files) {
  const pictures = [...files];
  if (pictures.length === 0) return;
  // A picture may be given before the models are known; if there are none, the page says why.
  await started;
  if (!model) return;
  showPageError("");
  const declared = isChecking() ? check.declared : null;
  if (isChecking() && !check.isAnswerable()) return;
  // Whoever changes the model or the mode meanwhile is answered as they asked.
  const used = check;
  const added = pictures.map((file) => new Card(file, model));
  cards = [...added, ...cards];
  byId("list").prepend(...added.map((card) => card.element));
  byId("results-bar").hidden = false;
  document.body.classList.add("has-answers");
  const answers = await askAll(added, declared, used);
  if (declared !== null && used === check) used.conclude(answers, declared);
  announce(added, answers);
}

async function askAll(added, declared, used) {
  const waiting = [...added];
  const worker = async () => {
    for (let card = waiting.shift(); card; card = waiting.shift()) await ask(card, declared, used);
  };
  await Promise.all(Array.from({ length: PARALLEL }, worker));
  return added.map((card) => card.answer).filter((answer) => answer !== null);
}

async function ask(card, declared, used) {
  card.setWorking();
  try {
    const { picture, note } = await fitToLimits(card.file, limits);
    card.sent = picture;
    card.setNote(note);
    const answer = await predict(card.model.name, picture, { expected: declared });
    await card.setAnswer(answer);
    if (kept !== null) card.offerFeedback(kept);
    if (declared !== null) {
      const { kind, text } = used.judge(answer, declared);
      card.setVerdict(kind, text);
    }
  } catch (error) {
    if (!(error instanceof AnswerError)) throw error;
    card.setError(error, () => ask(card, declared, used));
  }
}

function announce(added, answers) {
  const [first] = added;
  byId("announce").textContent =
    added.length === 1
      ? `${first.file.name}: ${first.summary()}`
      : `${answers.length} of ${added.length} pictures answered.`;
}

function showPageError(text) {
  const element = byId("page-error");
  element.textContent = text;
  element.hidden = !text;
}

function clear() {
  cards.forEach((card) => card.dispose());
  cards = [];
  byId("results-bar").hidden = true;
  document.body.classList.remove("has-answers");
  check?.reset();
  byId("announce").textContent = "Cleared.";
  byId("choose").focus();
}

function listen() {
  for (const id of ["choose", "camera"]) {
    byId(id).addEventListener("change", (event) => {
      // A snapshot first: emptying the input, so that the same file can be chosen again, empties
      // its live list too.
      const files = [...event.target.files];
      event.target.value = "";
      add(files);
    });
  }
  document.addEventListener("paste", (event) => {
    const files = [...event.clipboardData.files];
    if (files.length > 0) {
      event.preventDefault();
      add(files);
    }
  });
  document.querySelectorAll('input[name="mode"]').forEach((input) => {
    input.addEventListener("change", changeMode);
  });
  byId("clear").addEventListener("click", clear);
  listenForCamera();
  listenForDrops();
}

function listenForCamera() {
  const button = byId("live-open");
  button.hidden = !LiveView.isPossible;
  button.addEventListener("click", () => {
    button.setAttribute("aria-expanded", "true");
    live.open();
  });
  byId("live").addEventListener("closed", () => {
    button.setAttribute("aria-expanded", "false");
    button.focus();
  });
}

function listenForDrops() {
  const zone = byId("drop");
  let depth = 0;
  const mark = (change) => {
    depth = Math.max(0, depth + change);
    zone.classList.toggle("over", depth > 0);
  };
  document.addEventListener("dragenter", () => mark(1));
  document.addEventListener("dragleave", () => mark(-1));
  document.addEventListener("dragover", (event) => event.preventDefault());
  document.addEventListener("drop", (event) => {
    event.preventDefault();
    mark(-depth);
    if (event.dataTransfer.files.length > 0) add(event.dataTransfer.files);
    else showPageError("That is a link, not a file. Save the picture first, or paste it.");
  });
}

listen();
const started = start();
