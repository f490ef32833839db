// The suspects of a review as the server has them: fetched by pages, only some of them kept.

const PAGE = 100;
const MOST_PAGES = 60;
const REVIEWER_STORED = "foveal-review-by";

export function element(tag, text = "", className = "") {
  const made = document.createElement(tag);
  made.textContent = text;
  if (className) made.className = className;
  return made;
}

export async function ask(address, body) {
  const response = await fetch(address, body && {
    method: "POST", headers: { "content-type": "application/json" }, body: JSON.stringify(body),
  });
  const answer = await response.json();
  // The server was started again, or the log was moved away: nothing known here is worth keeping.
  if (response.status === 409) location.reload();
  if (!response.ok) throw new Error(answer.error ?? `status ${response.status}`);
  return answer;
}

// An identifier of this browser: what others decided is not undone here.
function reviewer() {
  const made = crypto.getRandomValues(new Uint32Array(4)).join("-");
  try {
    if (!localStorage.getItem(REVIEWER_STORED)) localStorage.setItem(REVIEWER_STORED, made);
    return localStorage.getItem(REVIEWER_STORED);
  } catch {
    // A page in a frame may have no storage: until it is loaded again.
    return made;
  }
}

// Positions as [[first, end], ...].
function rangesOf(positions) {
  const ranges = [];
  for (const position of [...positions].sort((a, b) => a - b)) {
    const last = ranges.at(-1);
    if (last && last[1] === position) last[1] += 1;
    else ranges.push([position, position + 1]);
  }
  return ranges;
}

export class Suspects {
  // onChange: called when suspects or decisions arrive.
  constructor(onChange) {
    this.onChange = onChange;
    this.pages = new Map();
    this.asked = new Set();
    this.queue = 0;
    this.by = reviewer();
    // One request that may change something after another, so that an answer never undoes a later one.
    this.turn = Promise.resolve();
  }

  async load() {
    this.about = await ask("state");
    ({ session: this.session, version: this.version, counts: this.counts } = this.about);
  }

  get queues() { return this.about.queues; }
  get count() { return this.queues[this.queue]?.count ?? 0; }

  choose(queue) {
    this.queue = queue;
    this.forget();
  }

  forget() {
    this.pages.clear();
    this.asked.clear();
  }

  at(position) { return this.pages.get(Math.floor(position / PAGE))?.[position % PAGE]; }

  // Fetch what is missing of [first, end).
  need(first, end) {
    for (let page = Math.floor(first / PAGE); page * PAGE < Math.min(end, this.count); page += 1) {
      const known = this.pages.get(page);
      if (known) {
        // The latest stay.
        this.pages.delete(page);
        this.pages.set(page, known);
      } else if (!this.asked.has(page)) this.fetchPage(page);
    }
  }

  async fetchPage(page) {
    const { queue } = this;
    this.asked.add(page);
    try {
      const answer = await ask(`queues/${queue}?start=${page * PAGE}&count=${PAGE}`);
      if (queue !== this.queue) return;
      this.pages.set(page, answer.suspects);
      for (const oldest of this.pages.keys()) {
        if (this.pages.size <= MOST_PAGES) break;
        this.pages.delete(oldest);
      }
      this.onChange();
    } catch (error) {
      this.onChange(error);
    } finally {
      this.asked.delete(page);
    }
  }

  // Positions are shown as decided at once; the server's answer says what holds.
  decide(positions, action, label) {
    for (const position of positions) {
      const one = this.at(position);
      if (!one) continue;
      const wanted = label ?? one.suggestion;
      if (action !== "relabel") one.decision = { action, label: null };
      else if (wanted === one.label) one.decision = { action: "keep", label: null };
      else if (wanted !== null) one.decision = { action, label: wanted };
    }
    this.onChange();
    const queue = this.queue;
    const ranges = rangesOf(positions);
    return this.inTurn(() => this.post("decide", { queue, ranges, action, label }));
  }

  undo() { return this.inTurn(() => this.post("undo", {})); }

  poll() {
    return this.inTurn(async () => {
      const delta = await ask(`state?since=${this.version}&session=${this.session}`);
      if (delta.session !== this.session) location.reload();
      if (delta.version !== this.version) this.take(delta);
    });
  }

  inTurn(work) {
    const result = this.turn.then(work);
    this.turn = result.catch(() => {});
    return result;
  }

  async post(address, body) {
    try {
      const delta = await ask(address, { session: this.session, version: this.version, by: this.by, ...body });
      this.take(delta);
      return delta;
    } catch (error) {
      // What was shown as decided is not.
      this.forget();
      this.onChange(error);
      throw error;
    }
  }

  take({ version, counts, changed }) {
    Object.assign(this, { version, counts });
    if (changed === null) this.forget();
    else if (changed.length) {
      const now = new Map(changed.map(({ number, decision }) => [number, decision]));
      for (const page of this.pages.values()) {
        for (const one of page) {
          for (const each of [one, ...one.like]) {
            if (now.has(each.number)) each.decision = now.get(each.number);
          }
        }
      }
    }
    this.onChange();
  }

  async nextOpen(from) { return (await ask(`queues/${this.queue}/next?from=${from}`)).next; }
}

export function decided({ decision }) {
  if (!decision) return "";
  return {
    keep: "kept", skip: "skipped", quarantine: "quarantine", relabel: `→ ${decision.label}`,
  }[decision.action];
}
