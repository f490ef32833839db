// The page of live figures: asks for the counts, and shows what has happened between two answers.

import { fetchWithKey } from "./key.js";
import { counted } from "./words.js";

const EVERY_MS = 2000;
const KEPT = 60;
const byId = (id) => document.getElementById(id);
// The last answers, the newest last.
let past = [];
let points = [];

async function look() {
  let now;
  try {
    const response = await fetchWithKey("/metrics.json");
    if (!response.ok) throw new Error((await response.json()).error);
    now = await response.json();
    byId("error").hidden = true;
  } catch (error) {
    byId("error").textContent = error instanceof TypeError ? "The server cannot be reached. Is it still running?" : error.message;
    byId("error").hidden = false;
    byId("state").textContent = "";
    return setTimeout(look, EVERY_MS);
  }
  // Counts that fall mean that the server was started again.
  if (past.length && now.pictures < past.at(-1).pictures) past = points = [];
  if (past.length) points = [...points.slice(-KEPT), step(past.at(-1), now)];
  past = [...past.slice(-1), now];
  show(now);
  setTimeout(look, EVERY_MS);
}

function step(then, now) {
  const seconds = Math.max(0.001, now.at - then.at);
  const counts = Object.fromEntries(Object.entries(now.seconds.buckets).map(([le, n]) => [le, n - (then.seconds.buckets[le] ?? 0)]));
  return { rate: (now.pictures - then.pictures) / seconds, half: quantile(counts, 0.5), most: quantile(counts, 0.99) };
}

// Within the bucket in which it lies, a quantile is found by proportion, as Prometheus does it.
function quantile(buckets, share) {
  const bounds = Object.entries(buckets).map(([le, n]) => [le === "+Inf" ? Infinity : Number(le), n]).sort((a, b) => a[0] - b[0]);
  const total = bounds.at(-1)?.[1] ?? 0;
  if (!total) return null;
  let [low, below] = [0, 0];
  for (const [high, count] of bounds) {
    if (count >= share * total) {
      if (high === Infinity) return 1000 * low;
      return 1000 * (low + ((high - low) * (share * total - below)) / Math.max(1e-9, count - below));
    }
    [low, below] = [high, count];
  }
  return 1000 * low;
}

function show(now) {
  byId("state").textContent = `${now.ready ? "Ready" : "Not ready"}; ${now.workers === 1 ? "one process" : `${now.workers} processes`}`;
  const all = { half: quantile(now.seconds.buckets, 0.5), most: quantile(now.seconds.buckets, 0.99) };
  tiles("tiles", [
    ["Pictures answered", now.pictures.toLocaleString("en")],
    ["Unsure", share(now.unsure, now.pictures)],
    ["Pictures per second", points.length ? points.at(-1).rate.toFixed(1) : "–"],
    ["Median latency", ms(all.half)],
    ["99th percentile", ms(all.most)],
    ["In progress", `${now.queue.pictures} of ${now.queue.limit}`],
    ["Memory", now.resident_bytes ? `${Math.round(now.resident_bytes / 2 ** 20).toLocaleString("en")} MiB` : "–"],
  ]);
  draw("rate", [points.map((p) => p.rate)], "pictures per second");
  draw("latency", [points.map((p) => p.half), points.map((p) => p.most)], "ms");
  const statuses = Object.entries(now.statuses).sort();
  tiles("statuses", statuses.length ? statuses.map(([status, n]) => [statusWords(status), n.toLocaleString("en")]) : [["No request yet", "–"]]);
  byId("models").replaceChildren(...now.models.map(modelCard));
  showAlarms(now);
}

function statusWords(status) {
  const words = { 200: "answered", 499: "client disconnected", 429: "over quota", 503: "busy", 504: "timed out" };
  return words[status] ? `${status}, ${words[status]}` : status;
}

function tiles(id, pairs) {
  byId(id).replaceChildren(...pairs.map(([name, value]) => {
    const box = element("div");
    box.append(element("dt", name), element("dd", value));
    return box;
  }));
}

function draw(id, lines, unit) {
  const values = lines.flat().filter((value) => value !== null);
  const top = Math.max(1e-9, ...values) * 1.1;
  const svg = byId(id);
  svg.replaceChildren(...lines.map((line, i) => {
    const path = document.createElementNS("http://www.w3.org/2000/svg", "path");
    let drawn = "", pen = "M";
    line.forEach((value, j) => {
      if (value === null) return (pen = "M");
      drawn += `${pen}${(600 * (j + 1 + KEPT - line.length)) / KEPT} ${158 - (154 * value) / top}`;
      pen = "L";
    });
    path.setAttribute("d", drawn);
    if (i) path.setAttribute("class", "second");
    return path;
  }));
  const words = values.length ? `Up to ${Math.max(...values).toFixed(1)} ${unit} in the last ${Math.round((lines[0].length * EVERY_MS) / 1000)} s` : "Nothing yet";
  byId(`${id}-words`).textContent = words;
  svg.setAttribute("aria-label", words);
}

function modelCard(model) {
  const card = element("section", null, "card");
  card.append(element("h2", model.name));
  const versions = element("div", null, "versions");
  versions.append(...model.versions.map(versionPart));
  card.append(versions);
  return card;
}

function versionPart(version) {
  const part = element("div", null, "version");
  const title = element("h3", `Version ${version.version}`);
  title.append(...version.roles.map((role) => element("span", role, role === "current" ? "badge is-live" : "badge")));
  part.append(title, element("p", `${counted(version.answers, "picture")} answered`, "muted small"));
  const compared = version.agreement;
  if (compared.pictures || compared.busy || compared.failed) part.append(element("p", agreementWords(compared)));
  if (!version.validation) {
    part.append(element("p", "This bundle does not record its answers on validation, so drift is not measured. Retrain the model to enable it.", "muted small"));
    return part;
  }
  part.append(drift("Answers", version.last_hour.kinds, version.validation.kinds, version.drift.kinds));
  const bins = (counts) => Object.fromEntries(counts.map((n, i) => [`up to ${10 * (i + 1)} %`, n]).reverse());
  part.append(drift("Confidence", bins(version.last_hour.confidences), bins(version.validation.confidences), version.drift.confidences));
  return part;
}

function agreementWords(compared) {
  const parts = [];
  if (compared.pictures) {
    parts.push(`Agrees with the current version on ${share(compared.alike, compared.pictures)} of ${counted(compared.pictures, "picture")}`);
    parts.push(`mean agreement ${(compared.mean_sum / compared.pictures).toFixed(3)}`);
  }
  if (compared.busy) parts.push(`${compared.busy.toLocaleString("en")} not compared while the server was busy`);
  if (compared.failed) parts.push(`${compared.failed.toLocaleString("en")} failed`);
  return `${parts.join("; ")}.`;
}

function drift(title, now, then, found) {
  const box = element("div", null, "stack");
  const line = element("p");
  const [nowAll, thenAll] = [sum(now), sum(then)];
  const said = title === "Answers" ? "differ" : "differs";
  line.append(element("b", title), nowAll ? ` ${said} from validation by ${found.index.toFixed(2)} ` : ": none in the last hour ");
  line.append(element("span", found.alarm ? "shifted" : `alarm above ${found.limit.toFixed(2)}`, found.alarm ? "badge is-warn" : "badge"));
  box.append(line);
  const names = Object.keys({ ...then, ...now }).filter((name) => now[name] || then[name]);
  const shown = title === "Answers" ? names.sort((a, b) => (then[b] ?? 0) - (then[a] ?? 0)).slice(0, 8) : names;
  const pairs = element("div", null, "pairs");
  for (const name of shown) {
    const [a, b] = [(now[name] ?? 0) / Math.max(1, nowAll), (then[name] ?? 0) / Math.max(1, thenAll)];
    const both = element("span", null, "both");
    both.append(track(a, "track"), track(b, "track then"));
    // Bundles hold the names as they count them.
    pairs.append(element("span", name === "1 characters" ? "1 character" : name, "name"), both, element("span", `${percent(a)}, was ${percent(b)}`, "muted"));
  }
  const key = element("p", null, "key-of muted small");
  key.append(element("span", `last hour (${nowAll.toLocaleString("en")})`), element("span", `validation (${thenAll.toLocaleString("en")})`, "then"));
  box.append(pairs, key);
  return box;
}

function track(value, kind) {
  const outer = element("span", null, kind);
  const inner = element("span");
  inner.style.width = `${100 * value}%`;
  outer.append(inner);
  return outer;
}

function showAlarms(now) {
  const said = now.models.flatMap((model) => model.versions.flatMap((version) =>
    Object.entries(version.drift).filter(([, found]) => found.alarm).map(([of, found]) =>
      `${model.name}, version ${version.version}: ${of === "kinds" ? "the distribution of answers" : "the distribution of confidences"} has shifted from validation (${found.index.toFixed(2)}, over ${found.limit.toFixed(2)}, ${found.samples.toLocaleString("en")} answers).`)));
  byId("alarms").hidden = said.length === 0;
  byId("alarms").replaceChildren(...said.map((text) => element("li", text)));
}

function element(tag, text = null, kind = "") {
  const made = document.createElement(tag);
  if (text !== null) made.textContent = text;
  if (kind) made.className = kind;
  return made;
}

const sum = (counts) => Object.values(counts).reduce((a, b) => a + b, 0);
const percent = (value) => `${(100 * value).toFixed(value < 0.1 ? 1 : 0)} %`;
const share = (part, all) => (all ? percent(part / all) : "–");
const ms = (value) => (value === null ? "–" : value < 10 ? `${value.toFixed(1)} ms` : `${Math.round(value)} ms`);

look();
