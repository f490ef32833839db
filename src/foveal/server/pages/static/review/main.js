// The page of a review: a kind of finding at a time, most doubted first, decided by key or click.

import { Grid } from "./grid.js";
import { LabelDialog } from "./label.js";
import { Large } from "./large.js";
import { element, Suspects } from "./suspects.js";

// What is decided in other tabs, or by other programs, is seen after this.
const POLL_MS = 5000;
const KEYS_STORED = "foveal-review-keys";
const TYPED_IN = "input:not([type=checkbox], [type=radio]), textarea, select";
const PRESSED = "button, a, summary, input, select";

const byId = (id) => document.getElementById(id);
const suspects = new Suspects(changed);
const number = new Intl.NumberFormat("en");
let grid;
let large;
let labels;
let keysOn = true;
// While the next undecided is asked for: a key would mean a picture that nobody has seen yet.
let isMoving = false;
// What was refused is told until the next decision: what loads meanwhile says nothing about it.
let isRefused = false;

async function begin() {
  await suspects.load();
  const { about } = suspects;
  byId("data").textContent = about.data;
  byId("data").title = `${about.data}: ${about.layout}. Decisions are written to ${about.log}`;
  byId("apply-command").textContent = about.command;
  large = new Large(about);
  labels = new LabelDialog(about, (label) => decide("relabel", label));
  const shape = about.target === "text" ? { least: 220, ratio: 0.42 } : { least: 140, ratio: 0.85 };
  grid = new Grid(byId("grid"), byId("rows"), suspects, shape, { onActive: showActive, onOpen: look });
  listQueues(about.queues);
  const first = suspects.counts.findIndex((_, queue) => leftOf(queue) > 0);
  await choose(Math.max(0, first));
  // In the cell of a notebook the next keys are the notebook's, until someone clicks here.
  if (window.parent === window) byId("grid").focus({ preventScroll: true });
  setInterval(() => document.hidden || suspects.poll().catch(complain), POLL_MS);
  document.addEventListener("visibilitychange", () => document.hidden || suspects.poll().catch(complain));
}

function leftOf(queue) {
  return suspects.queues[queue].count - Object.values(suspects.counts[queue]).reduce((a, b) => a + b, 0);
}

function listQueues(queues) {
  byId("findings").replaceChildren(...queues.map((queue, i) => {
    const button = element("button");
    button.type = "button";
    const track = element("span", "", "track");
    track.append(element("span"));
    button.append(element("span", queue.title, "name"), element("span", "", "left"), track);
    button.addEventListener("click", () => choose(i).then(() => byId("grid").focus({ preventScroll: true })));
    return button;
  }));
  byId("finding").replaceChildren(...queues.map((_, i) => new Option("", i)));
  byId("finding").hidden = !queues.length;
  if (!queues.length) {
    byId("title").textContent = "Nothing to review";
    byId("message").textContent = "The last check found no individual pictures to review.";
  }
}

async function choose(queue) {
  if (!suspects.queues[queue]) return changed();
  suspects.choose(queue);
  const { title, message, method, hint, found, count } = suspects.queues[queue];
  byId("title").textContent = title;
  byId("message").textContent = found > count ? `${message} ${number.format(count)} of them are shown.` : message;
  byId("method").textContent = [method, hint].filter(Boolean).join(". ");
  byId("how").hidden = !(method || hint);
  byId("finding").value = queue;
  grid.reset((await suspects.nextOpen(0)) ?? 0);
  changed();
}

// Everything that depends on decisions; what did not change is not touched.
function changed(error) {
  if (error) return complain(error);
  if (!grid) return;
  if (!isRefused) showError("");
  showProgress();
  grid.draw();
  showActive();
}

function showProgress() {
  const { queues, counts, queue } = suspects;
  queues.forEach((each, i) => {
    const left = leftOf(i);
    const button = byId("findings").children[i];
    setText(button.children[1], left ? number.format(left) : "✓");
    button.title = `${number.format(left)} of ${number.format(each.count)} left`;
    button.classList.toggle("is-done", !left);
    button.toggleAttribute("aria-current", i === queue);
    button.lastChild.firstChild.style.width = `${(100 * (each.count - left)) / each.count}%`;
    setText(byId("finding").options[i], `${each.title} (${left ? `${number.format(left)} left` : "done"})`);
  });
  const { count } = suspects;
  const seen = count ? count - leftOf(queue) : 0;
  const skipped = counts[queue]?.skip ?? 0;
  setText(byId("done"), number.format(seen));
  setText(byId("of"), `of ${number.format(count)}${skipped ? `, ${number.format(skipped)} skipped` : ""}`);
  const bar = byId("progress");
  bar.setAttribute("aria-valuemax", count);
  bar.setAttribute("aria-valuenow", seen);
  bar.firstElementChild.style.width = count ? `${(100 * seen) / count}%` : "0";
  showComplete(count > 0 && seen === count);
}

function showComplete(isDone) {
  byId("complete").hidden = !isDone;
  if (!isDone) return;
  const next = suspects.queues.findIndex((_, queue) => leftOf(queue) > 0);
  setText(byId("complete-words"), next < 0 ? "All decisions are made. This command applies them, and can be undone:" : "All of these are decided.");
  byId("apply").hidden = next >= 0;
  const button = byId("next-queue");
  button.hidden = next < 0;
  if (next < 0) return;
  setText(button, `Next: ${suspects.queues[next].title} (${number.format(leftOf(next))})`);
  button.onclick = () => choose(next).then(() => byId("grid").focus({ preventScroll: true }));
}

function setText(target, text) {
  if (target.textContent !== text) target.textContent = text;
}

// The positions that a key acts on.
function concerned() {
  return !large.isOpen && grid.chosen.size ? [...grid.chosen] : [grid.active];
}

function showActive() {
  const positions = concerned();
  const one = suspects.at(grid.active);
  const several = positions.length > 1;
  setText(byId("chosen"), several || grid.chosen.size ? `${number.format(positions.length)} selected` : one?.sample ?? "");
  const suggestion = several ? "as suggested" : one?.suggestion;
  for (const button of document.querySelectorAll("[data-act=suggested]")) {
    button.disabled = !suggestion;
    setText(button.firstElementChild, several ? "Relabel as suggested" : suggestion ? `→ ${suggestion}` : "Relabel");
    button.title = several ? "Relabel each to its suggestion" : suggestion ? `Relabel to ${suggestion}` : "Nothing is suggested";
  }
  if (large.isOpen && one) large.show(one);
}

function complain(error) {
  const words = error instanceof TypeError
    ? "foveal review is no longer running. Earlier decisions are stored."
    : error.message;
  showError(words);
  say(words);
}

// The enlarged picture lies over the page.
function showError(words) {
  for (const place of [byId("error"), byId("large-refused")]) {
    place.textContent = words;
    place.hidden = !words;
  }
}

// Tell that a decision was not stored, and show again what holds.
function refuse(error, about) {
  isRefused = !(error instanceof TypeError);
  complain(isRefused ? new Error(`No decision was stored for ${about}. ${error.message}`) : error);
  grid.draw();
}

function say(words) {
  byId("said").textContent = words;
  byId("large-said").textContent = words;
}

async function decide(action, label = null) {
  const positions = concerned();
  const one = suspects.at(positions[0]);
  if (!suspects.count || isMoving || (positions.length === 1 && !one)) return;
  if (action === "relabel" && label === null && positions.length === 1 && one?.suggestion == null) {
    return askLabel();
  }
  const several = positions.length > 1;
  isRefused = false;
  grid.chosen.clear();
  const sent = suspects.decide(positions, action, label);
  // The next key is for the next picture, before the server has answered.
  if (several) {
    say(`Storing ${number.format(positions.length)} decisions…`);
    sent.then(step, () => {});
  } else step();
  const name = (count) => (several ? `${number.format(count)} pictures` : one?.sample ?? "1 picture");
  try {
    const { acted, passed_over: left } = await sent;
    const done = { keep: "Kept", quarantine: "Quarantined", skip: "Skipped", relabel: "Relabelled" }[one?.decision?.action ?? action];
    const rest = left ? `; no suggestion for ${number.format(left)}` : "";
    say(`${done} ${name(acted)}${rest}. ${number.format(leftOf(suspects.queue))} left.`);
  } catch (error) {
    refuse(error, name(positions.length));
  }
}

async function undo() {
  try {
    const { acted, changed: samples } = await suspects.undo();
    say(acted ? `Undone: ${number.format(acted)} ${acted === 1 ? "picture" : "pictures"}.` : "There is nothing to undo.");
    const taken = new Set(samples?.map((each) => each.number));
    // Back to what was undone, where it is in sight of this queue.
    for (const [start, page] of suspects.pages) {
      const index = page.findIndex((one) => taken.has(one.number));
      if (index >= 0 && acted) return grid.move(start * 100 + index);
    }
  } catch (error) {
    complain(error);
  }
}

// Go to the next undecided: here when it is known, else by asking.
async function step() {
  if (isMoving) return;
  const { count, queue } = suspects;
  for (let position = grid.active + 1; position < count; position += 1) {
    const one = suspects.at(position);
    if (!one) break;
    if (!one.decision) return grid.move(position);
  }
  isMoving = true;
  await suspects.turn;
  const next = await suspects.nextOpen(grid.active + 1).catch(complain);
  isMoving = false;
  if (queue !== suspects.queue) return;
  if (next == null) {
    if (large.isOpen) large.dialog.close();
  } else grid.move(next);
}

function look() {
  const one = suspects.at(grid.active);
  if (one) large.open(one);
}

function askLabel() {
  if (suspects.about.target === "mask" || !suspects.count) return;
  const positions = concerned();
  const known = positions.map((position) => suspects.at(position)).filter(Boolean);
  if (known.length) labels.open(known, positions.length);
}

const ACTS = {
  keep: () => decide("keep"),
  suggested: () => suspects.about.target !== "mask" && decide("relabel"),
  label: askLabel,
  quarantine: () => decide("quarantine"),
  skip: () => decide("skip"),
  open: look,
  undo,
};

function turnQueue(by) {
  const { length } = suspects.queues;
  if (length) choose((suspects.queue + by + length) % length);
}

const LETTERS = {
  k: ACTS.keep, r: ACTS.suggested, l: ACTS.label, q: ACTS.quarantine, s: ACTS.skip, u: ACTS.undo,
  o: () => (large.isOpen ? large.dialog.close() : look()),
  x: () => large.isOpen || grid.toggle(grid.active),
  n: step,
  e: () => large.isOpen && large.turn(["own", "suggested", "answer"]),
  m: () => (large.isOpen ? large.turn(["outline"]) : turnOutlines()),
  "[": () => turnQueue(-1), "]": () => turnQueue(1),
  "?": () => byId("help").showModal(),
};

function turnOutlines() {
  grid.outlined = !grid.outlined;
  grid.showPictures();
}

function moved(key) {
  const { active, columns, pageOf } = grid;
  if (large.isOpen) return { ArrowLeft: active - 1, ArrowRight: active + 1 }[key];
  return {
    ArrowLeft: active - 1, ArrowRight: active + 1, ArrowUp: active - columns, ArrowDown: active + columns,
    Home: 0, End: suspects.count - 1, PageUp: active - pageOf, PageDown: active + pageOf,
  }[key];
}

function pressed(event) {
  const { key, target } = event;
  if (!grid || event.defaultPrevented || byId("label").open || byId("help").open || target.closest(TYPED_IN)) return;
  if ((event.ctrlKey || event.metaKey) && key.toLowerCase() === "a" && !large.isOpen && target === byId("grid")) {
    event.preventDefault();
    return grid.chooseAll();
  }
  if (event.ctrlKey || event.metaKey || event.altKey) return;
  // What has the focus keeps the keys that it knows itself.
  const isFree = !target.closest(PRESSED);
  const place = isFree && suspects.count ? moved(key) : undefined;
  if (place !== undefined) {
    event.preventDefault();
    // Not off the list, in whichever direction: the last row may be short.
    if (place >= 0 && place < suspects.count || key.startsWith("Page")) grid.move(place, { extend: event.shiftKey && !large.isOpen });
  } else if (isFree && key === "Enter") {
    // With Shift it runs a cell.
    if (!event.shiftKey) act(event, ACTS.suggested);
  }
  else if (isFree && key === " ") act(event, ACTS.open);
  else if (key === "Escape" && !large.isOpen) grid.chooseNone();
  else if (keysOn && !event.repeat && LETTERS[key.toLowerCase()]) act(event, LETTERS[key.toLowerCase()]);
}

function act(event, work) {
  event.preventDefault();
  work();
}

function switchKeys(on) {
  keysOn = on;
  byId("keys-on").checked = on;
}

// A page in a frame may have no storage.
function rememberKeys(on) {
  switchKeys(on);
  try {
    localStorage.setItem(KEYS_STORED, on ? "on" : "off");
  } catch {
    // Until the page is loaded again.
  }
}

function rememberedKeys() {
  try {
    return localStorage.getItem(KEYS_STORED) !== "off";
  } catch {
    return true;
  }
}

document.addEventListener("keydown", pressed);
document.addEventListener("click", (event) => {
  const button = event.target.closest("[data-act]");
  if (button && grid) ACTS[button.dataset.act]();
});
byId("finding").addEventListener("change", (event) => choose(Number(event.target.value)));
byId("help-button").addEventListener("click", () => byId("help").showModal());
byId("keys-on").addEventListener("change", (event) => rememberKeys(event.target.checked));
byId("large-previous").addEventListener("click", () => grid.move(grid.active - 1));
byId("large-next").addEventListener("click", () => grid.move(grid.active + 1));
switchKeys(rememberedKeys());
begin().catch(complain);
