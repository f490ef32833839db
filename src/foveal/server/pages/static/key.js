// Sends requests with the API key that a person has typed. It is kept for this tab only.

const NAME = "foveal-key";
let asking = null;

// Asks for a key where the server wants one, and sends the request again.
export async function fetchWithKey(path, options = {}) {
  for (;;) {
    const key = sessionStorage.getItem(NAME);
    const headers = { ...options.headers, ...(key ? { authorization: `Bearer ${key}` } : {}) };
    const response = await fetch(path, { ...options, headers });
    if (response.status !== 401 && !(response.status === 403 && options.asksAgain)) return response;
    // Another request may have been given a key meanwhile.
    if (key !== sessionStorage.getItem(NAME)) continue;
    sessionStorage.removeItem(NAME);
    const typed = await askForKey(await messageOf(response));
    if (!typed) return response;
  }
}

async function messageOf(response) {
  try {
    return (await response.clone().json()).error;
  } catch {
    return "This server requires an API key.";
  }
}

// One dialog, however many requests wait for it.
function askForKey(message) {
  asking ??= show(message).finally(() => (asking = null));
  return asking;
}

function show(message) {
  const dialog = document.createElement("dialog");
  dialog.className = "dialog card";
  dialog.setAttribute("aria-labelledby", "key-title");
  dialog.innerHTML = `<form method="dialog"><h2 id="key-title">API key</h2><p class="key-why"></p>
    <label for="key-text">Key</label><input id="key-text" type="password" autocomplete="off" required
    pattern="\\s*[!-~]{1,200}\\s*" title="a complete key, which starts with fvl_">
    <p class="muted small">The key is stored until this tab is closed, and sent to this server only.</p>
    <div class="actions"><button class="button primary" value="use">Use this key</button>
    <button class="button" value="" formnovalidate>Cancel</button></div></form>`;
  dialog.querySelector(".key-why").textContent = message;
  document.body.append(dialog);
  return new Promise((resolve) => {
    dialog.addEventListener("close", () => {
      const typed = dialog.returnValue === "use" ? dialog.querySelector("input").value.trim() : "";
      if (typed) sessionStorage.setItem(NAME, typed);
      dialog.remove();
      resolve(typed);
    });
    dialog.showModal();
  });
}
