// Wires the page: pictures come in, answers go out.

import { AnswerError, fitToLimits, loadModels, predict, readableBytes } from "./api.js";
import { Card, percent } from "./card.js";
import { CategoryCheck } from "./check.js";

// Enough to keep the server busy, few enough to leave it to others too.
const PARALLEL = 3;

const byId = (id) => document.getElementById(id);
const check = new CategoryCheck();
let models = [];
let limits = null;
let model = null;
let cards = [];

async function start() {
  try {
    ({ models, limits } = await loadModels());
  } catch (error) {
    byId("about").textContent = "";
    showPageError(error.message);
    return;
  }
  const select = byId("model");
  select.replaceChildren(...models.map((m) => new Option(m.name, m.name)));
  byId("model-field").hidden = models.length < 2;
  select.addEventListener("change", () => chooseModel(select.value));
  byId("limits").textContent += `, up to ${readableBytes(limits.max_body_bytes)}; larger ones are made smaller here first`;
  chooseModel(models[0].name);
}

function chooseModel(name) {
  model = models.find((m) => m.name === name);
  const accuracy = model.metrics.accuracy;
  const tested = accuracy ? ` Right for ${measured(accuracy)} of its validation pictures.` : "";
  byId("about").textContent = `${model.name} tells ${listed(model.labels)} apart.${tested}`;
  const classifies = model.task === "classify";
  document.querySelector('input[value="check"]').disabled = !classifies;
  check.setLabels(classifies ? model.labels : []);
}

function measured({ value, low, high }) {
  const known = typeof low === "number" && typeof high === "number";
  return known ? `${percent(value)} (${percent(low).replace(" %", "")} to ${percent(high)})` : percent(value);
}

function listed(names) {
  if (names.length === 1) return names[0];
  if (names.length > 6) return `${names.length} classes`;
  return `${names.slice(0, -1).join(", ")} and ${names.at(-1)}`;
}

function isChecking() {
  return document.querySelector('input[name="mode"]:checked').value === "check";
}

function changeMode() {
  const checking = isChecking();
  byId("check").hidden = !checking;
  byId("title").textContent = checking ? "Does the picture fit its category?" : "What is in this picture?";
  check.reset();
}

async function add(files) {
  showPageError("");
  const pictures = [...files];
  if (pictures.length === 0) return;
  if (!model) {
    showPageError("There is no model to ask.");
    return;
  }
  const declared = isChecking() ? check.declared : null;
  if (isChecking() && declared === null) {
    check.askForCategory();
    return;
  }
  const added = pictures.map((file) => new Card(file, model));
  cards = [...added, ...cards];
  byId("list").prepend(...added.map((card) => card.element));
  byId("results-bar").hidden = false;
  document.body.classList.add("has-answers");
  const answers = await askAll(added, declared);
  if (declared !== null) check.conclude(answers, declared);
  announce(added, answers);
}

async function askAll(added, declared) {
  const waiting = [...added];
  const worker = async () => {
    for (let card = waiting.shift(); card; card = waiting.shift()) await ask(card, declared);
  };
  await Promise.all(Array.from({ length: PARALLEL }, worker));
  return added.map((card) => card.answer).filter((answer) => answer !== null);
}

async function ask(card, declared) {
  card.setWorking();
  try {
    const { picture, note } = await fitToLimits(card.file, limits);
    card.sent = picture;
    card.setNote(note);
    const answer = await predict(card.model.name, picture, { expected: declared });
    card.setAnswer(answer);
    if (declared !== null) {
      const { kind, text } = check.judge(answer, declared);
      card.setVerdict(kind, text);
    }
  } catch (error) {
    if (!(error instanceof AnswerError)) throw error;
    card.setError(error, () => ask(card, declared));
  }
}

function announce(added, answers) {
  const [first] = added;
  let text = `${answers.length} of ${added.length} pictures answered.`;
  if (added.length === 1) {
    const answer = first.answer;
    text = answer
      ? `${first.file.name}: ${answer.unsure ? "unsure, best guess " : ""}${answer.label}, ${percent(answer.confidence)}`
      : `${first.file.name}: ${first.find(".error").textContent}`;
  }
  byId("announce").textContent = text;
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
  check.reset();
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
  listenForDrops();
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
start();
