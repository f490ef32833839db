// The page of models and versions: shows what the store has, and moves aliases for administrators.

import { fetchWithKey } from "./key.js";
import { figure as percent, measured } from "./words.js";

const byId = (id) => document.getElementById(id);

async function ask(path, options = {}) {
  const response = await fetchWithKey(path, options);
  const body = await response.json();
  if (!response.ok) throw Object.assign(new Error(body.error), { status: response.status });
  return body;
}

function post(path, body) {
  const headers = { "content-type": "application/json" };
  return ask(path, { method: "POST", headers, body: JSON.stringify(body), asksAgain: true });
}

async function load(said = "") {
  try {
    const { models } = await ask("/models");
    const described = await Promise.all(models.map((model) => ask(`/models/${encodeURIComponent(model.name)}`)));
    byId("models").replaceChildren(...described.map(card));
    byId("said").textContent = said || `${described.length === 1 ? "One model is" : `${described.length} models are`} served`;
    byId("error").hidden = true;
  } catch (error) {
    byId("said").textContent = "";
    byId("error").textContent = error instanceof TypeError ? "The server cannot be reached. Is it still running?" : error.message;
    byId("error").hidden = false;
  }
}

function card(model) {
  const made = element("section", null, "card");
  const head = element("div", null, "head");
  head.append(element("h2", model.name));
  made.append(head);
  if (!model.is_stored) made.append(element("p", "Served from a path. To manage versions, publish it in a store: foveal models push RUN NAME", "muted small"));
  else if (!model.can_change) made.append(element("p", "To promote and roll back here, start the server with --keys and create a key with the scope admin: foveal keys create NAME --scope admin", "muted small"));
  if (model.can_change && model.history.length) {
    const back = element("button", "Roll back", "button");
    back.type = "button";
    back.addEventListener("click", () => confirm(rollback(model)));
    head.append(back);
  }
  const versions = element("div", null, "stack");
  versions.append(...model.versions.map((version) => article(model, version)));
  made.append(versions);
  if (model.history.length) made.append(history(model.history));
  return made;
}

function article(model, version) {
  const made = byId("version").content.firstElementChild.cloneNode(true);
  const part = (selector) => made.querySelector(selector);
  const title = part("h3");
  title.textContent = `Version ${version.version}`;
  title.append(...version.aliases.map((alias) => element("span", alias, alias === "live" ? "badge is-live" : "badge")));
  title.append(...version.roles.map((role) => element("span", role === "current" ? "answering" : role, role === "current" ? "badge is-live" : "badge")));
  if (version.state === "LOADING" || version.state === "UNLOADING") title.append(element("span", version.state === "LOADING" ? "loading" : "ending", "badge is-warn"));
  if (version.state === "END") title.append(element("span", `cannot be loaded (${version.error})`, "badge is-bad"));
  const about = [];
  if (version.created) about.push(`trained ${day(version.created)}`);
  if (version.pushed) about.push(`published ${day(version.pushed)} by ${version.who}`);
  if (version.parent) about.push(`compared with version ${version.parent}`);
  part(".about").textContent = about.join("; ");
  fill(part(".note"), version.note);
  fill(part(".difference"), version.difference ? `Compared with version ${version.parent}: ${version.difference}.` : "");
  part("dl").replaceChildren(...Object.entries(version.metrics).map(([name, metric]) => figure(name, metric, name === model.primary_metric)));
  const exports = part(".exports");
  exports.hidden = !version.exports.length;
  exports.append(...version.exports.map((made) => exported(model, made)));
  const button = part("button");
  if (model.can_change && !version.aliases.includes("live")) {
    button.hidden = false;
    button.textContent = `Promote version ${version.version}`;
    button.addEventListener("click", () => confirm(promote(model, version)));
  } else part(".actions").remove();
  return made;
}

// What was exported from a version, with its proof; administrators can download it.
function exported(model, made) {
  const row = element("li");
  const size = `${(made.bytes / 1e6).toFixed(1)} MB`;
  const proof = made.proof;
  // Of masks, the share is that of the pixels.
  const what = model.task === "segment" ? "the pixels of " : "";
  const said = proof ? `${percent(proof.label_agreement)} of ${what}${proof.samples} validation pictures answered identically in ${proof.runtime}` : "the network of this version, unchanged";
  const words = element("span");
  const name = [made.to, made.precision, ...made.options.map((option) => option.replaceAll("_", " "))].join(", ");
  words.append(element("strong", name), ` (${size}): ${said}`);
  row.append(words);
  if (model.can_download) {
    const button = element("button", "Download", "button");
    button.type = "button";
    button.setAttribute("aria-label", `Download ${name}`);
    button.addEventListener("click", () => download(made, button));
    row.append(button);
  }
  return row;
}

// A link could not carry the key.
async function download(made, button) {
  button.disabled = true;
  try {
    const response = await fetchWithKey(made.download, { asksAgain: true });
    if (!response.ok) throw new Error((await response.json()).error);
    const name = /filename="([^"]+)"/.exec(response.headers.get("content-disposition") ?? "")?.[1] ?? made.to;
    const link = element("a");
    link.href = URL.createObjectURL(await response.blob());
    link.download = name;
    link.click();
    URL.revokeObjectURL(link.href);
    byId("said").textContent = `${name} was downloaded`;
  } catch (error) {
    byId("error").textContent = error.message;
    byId("error").hidden = false;
  }
  button.disabled = false;
}

function figure(name, metric, isPrimary) {
  const box = element("div");
  box.append(element("dt", name.replaceAll("_", " ") + (isPrimary ? " (primary)" : "")), element("dd", measured(metric)));
  return box;
}

function history(moves) {
  const box = element("details");
  box.append(element("summary", `History: ${moves.length === 1 ? "one change" : `${moves.length} changes`} of aliases`));
  const list = element("ol", null, "moves");
  list.append(...moves.map((move) => element("li", `${day(move.when)}, ${move.who}: ${move.action === "promote" ? "promoted" : "rolled back"} ${move.alias} ${move.before ? `from version ${move.before} ` : ""}to version ${move.version}${move.forced ? ", forced" : ""}`)));
  box.append(list);
  return box;
}

function promote(model, version) {
  const live = model.versions.find((other) => other.aliases.includes("live"));
  return {
    title: `Promote ${model.name}, version ${version.version}`,
    what: `Every server that follows the alias loads this version and answers with it${live ? `; live is currently version ${live.version}` : ""}.`,
    label: "Promote",
    send: (alias, force) => post(`/admin/models/${encodeURIComponent(model.name)}/promote`, { version: version.version, alias, force }),
    canForce: true,
  };
}

function rollback(model) {
  return {
    title: `Roll back ${model.name}`,
    what: "The alias points to its previous version again.",
    label: "Roll back",
    send: (alias) => post(`/admin/models/${encodeURIComponent(model.name)}/rollback`, { alias }),
    canForce: false,
  };
}

function confirm(act) {
  const opener = document.activeElement;
  const dialog = byId("confirm").content.firstElementChild.cloneNode(true);
  const part = (selector) => dialog.querySelector(selector);
  part("h2").textContent = act.title;
  part(".what").textContent = act.what;
  part(".do").textContent = act.label;
  let force = false;
  part("form").addEventListener("submit", async (event) => {
    if (event.submitter?.value !== "do") return;
    event.preventDefault();
    part(".do").disabled = true;
    try {
      const move = await act.send(part("input").value, force);
      dialog.close();
      await load(`${move.alias} is now version ${move.version}`);
    } catch (error) {
      part(".refused").textContent = error.message;
      part(".refused").hidden = false;
      if (act.canForce && error.status === 409) {
        force = true;
        part(".do").textContent = "Promote anyway";
      }
    }
    part(".do").disabled = false;
  });
  dialog.addEventListener("close", () => {
    dialog.remove();
    if (opener.isConnected) opener.focus();
  });
  document.body.append(dialog);
  dialog.showModal();
  part(".do").focus();
}

function fill(part, text) {
  part.textContent = text;
  part.hidden = !text;
}

function element(tag, text = null, kind = "") {
  const made = document.createElement(tag);
  if (text !== null) made.textContent = text;
  if (kind) made.className = kind;
  return made;
}

const day = (when) => when.slice(0, 16).replace("T", " ");

load();
