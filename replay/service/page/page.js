// The page's behaviour. The token stays in this tab (session storage) and goes out in the Authorization header only.
"use strict";

const API = "api/v1";
const SIGNS = { running: "▶", pausing: "◧", paused: "❚❚", cancelling: "◧", cancelled: "■", interrupted: "⚠", completed: "✔", failed: "✖" };
const find = (id) => document.getElementById(id);
const number = (value) => Number(value ?? 0).toLocaleString("en");
const rows = new Map(); // job id → {row, state}
let token = null;
let reading = null; // AbortController of the event stream

// A link that the service printed carries the token in its fragment, which browsers never send; it is taken out at once.
const fragment = new URLSearchParams(location.hash.slice(1)).get("token");
if (fragment) {
  sessionStorage.setItem("token", fragment);
  history.replaceState(null, "", location.pathname);
}

async function ask(method, path, body) {
  const headers = { Authorization: `Bearer ${token}` };
  if (body !== undefined) headers["Content-Type"] = "application/json";
  const answer = await fetch(`${API}/${path}`, { method, headers, body: JSON.stringify(body) });
  if (answer.ok) return answer.status === 204 ? null : answer.json();
  const problem = await answer.json().catch(() => ({ title: `HTTP ${answer.status}` }));
  const error = new Error([problem.detail ?? problem.title, problem.hint].filter(Boolean).join("\n"));
  error.status = answer.status;
  throw error;
}

async function attempt(work) {
  find("trouble").textContent = "";
  try {
    await work();
  } catch (error) {
    if (error.status === 401) signOut("The token is not the right one any more.");
    else find("trouble").textContent = error.message;
  }
}

// --- signing in -------------------------------------------------------------------------------------------------------

async function signIn(given) {
  token = given;
  try {
    await fill();
  } catch (error) {
    signOut(error.status === 401 ? "This is not the token of the service." : error.message);
    return;
  }
  sessionStorage.setItem("token", token);
  find("login").hidden = true;
  find("signed-in").hidden = find("sign-out").hidden = false;
  read();
}

function signOut(reason) {
  reading?.abort();
  reading = token = null;
  sessionStorage.removeItem("token");
  rows.clear();
  find("jobs").tBodies[0].replaceChildren();
  find("login").hidden = false;
  find("signed-in").hidden = find("sign-out").hidden = true;
  find("login-error").textContent = reason;
  find("connection").textContent = "not signed in";
  find("token").value = "";
  find("token").focus();
}

// --- what there is ----------------------------------------------------------------------------------------------------

async function fill() {
  const [archives, targets] = await Promise.all([ask("GET", "archives"), ask("GET", "targets")]);
  choices("archive", archives.map((one) => [one.name, `${one.name} (${number(one.messages)} messages)`]));
  const named = targets.map((one) => [one.name, `${one.name} (${one.system})`]);
  choices("to", named);
  choices("source", named);
  find("source").systems = Object.fromEntries(targets.map((one) => [one.name, one.system]));
  find("archives").tBodies[0].replaceChildren(...archives.map((one) => {
    const row = document.createElement("tr");
    const head = document.createElement("th");
    head.scope = "row";
    head.textContent = one.name;
    row.append(head);
    for (const [text, kind] of [
      [`${one.source.place} on ${one.source.target}`, ""], [number(one.messages), "number"], [number(one.bytes), "number"],
      [time(one.first), ""], [time(one.last), ""],
    ]) {
      const cell = row.insertCell();
      cell.textContent = text;
      cell.className = kind;
    }
    return row;
  }));
}

const time = (text) => (text ? new Date(text).toLocaleString("sv") : "–");

function choices(id, options) {
  const select = find(id);
  const before = select.value;
  select.replaceChildren(...options.map(([value, text]) => new Option(text, value)));
  if (options.some(([value]) => value === before)) select.value = before;
}

// --- jobs: a row each, changed in place so that the keyboard's focus stays ----------------------------------------------

function show(job) {
  const known = rows.get(job.id) ?? newRow(job);
  const { row } = known;
  if (known.state !== undefined && known.state !== job.state) {
    find("news").textContent = `Job ${job.id} is ${job.state}`;
    if (job.kind === "capture" && job.state !== "running") attempt(fill);
  }
  known.state = job.state;
  const state = row.querySelector(".state");
  state.dataset.state = job.state;
  state.textContent = `${SIGNS[job.state]} ${job.state}`;
  progress(row, job);
  row.querySelector(".trouble").textContent = job.trouble ? [job.trouble.what, job.trouble.hint].filter(Boolean).join("\n") : "";
  const focused = document.activeElement;
  for (const button of row.querySelectorAll("[data-action]")) button.hidden = !job.actions.includes(button.dataset.action);
  const pace = row.querySelector(".pace form");
  pace.hidden = !job.actions.includes("pace");
  if (row.contains(focused) && focused.closest("[hidden]")) row.querySelector("th").focus();
  const input = pace.querySelector("input");
  if (job.order.pace !== known.pace) input.value = job.order.pace ?? "";
  known.pace = job.order.pace;
}

function progress(row, job) {
  const done = job.progress;
  const bar = row.querySelector("progress");
  const rate = done.rate_per_s ? ` · ${number(Math.round(done.rate_per_s))}/s` : "";
  let text = `${number(done.stored)} stored`;
  if (job.kind === "capture") {
    if (done.doubled) text += ` · ${number(done.doubled)} came again`;
    if (job.state === "running") bar.removeAttribute("value");
    else bar.hidden = true;
  } else {
    const settled = (done.acknowledged ?? 0) + (done.rejected ?? 0) + (done.removed ?? 0);
    bar.max = Math.max(done.selected ?? 0, settled, 1);
    bar.value = settled;
    text = `${number(done.acknowledged)} of ${done.selected == null ? "…" : number(done.selected)} acknowledged`;
    if (done.rejected) text += ` · ${number(done.rejected)} rejected`;
    if (done.removed) text += ` · ${number(done.removed)} removed by retention`;
    if (done.maybe_doubled) text += ` · at most ${number(done.maybe_doubled)} doubled`;
  }
  bar.hidden = job.kind === "capture" && job.state !== "running";
  row.querySelector(".counts").textContent = text + rate;
}

function newRow(job) {
  const row = find("job-row").content.firstElementChild.cloneNode(true);
  row.querySelector(".id").textContent = job.id;
  const from = job.order.from;
  row.querySelector(".what").textContent = job.kind === "capture"
    ? `capture of ${from.queue ?? from.topics.join(", ")} on ${from.target} into ${job.order.archive}`
    : `replay of ${from.archive ?? from.topics.join(", ")} to ${job.order.to.target}`;
  row.querySelector("progress").setAttribute("aria-label", `Progress of job ${job.id}`);
  for (const button of row.querySelectorAll("[data-action]")) {
    button.setAttribute("aria-label", `${button.textContent} job ${job.id}`);
    button.addEventListener("click", () => attempt(() => act(job.id, button.dataset.action)));
  }
  const form = row.querySelector(".pace form");
  form.querySelector("input").setAttribute("aria-label", `Pace of job ${job.id}`);
  form.querySelector("button").setAttribute("aria-label", `Set the pace of job ${job.id}`);
  form.addEventListener("submit", (event) => {
    event.preventDefault();
    attempt(async () => show(await ask("PATCH", `jobs/${job.id}`, { pace: form.querySelector("input").value })));
  });
  const known = { row };
  rows.set(job.id, known);
  find("jobs").tBodies[0].prepend(row); // jobs come in the order of their changes; the latest stands first
  find("jobs").hidden = false;
  find("no-jobs").hidden = true;
  return known;
}

async function act(id, action) {
  if (action !== "forget") return show(await ask("POST", `jobs/${id}/${action}`));
  await ask("DELETE", `jobs/${id}`);
  rows.get(id).row.remove();
  rows.delete(id);
  find("news").textContent = `Job ${id} is forgotten`;
  find("jobs").hidden = rows.size === 0;
  find("no-jobs").hidden = rows.size > 0;
  find("jobs-title").focus();
}

// --- events: server-sent, read by fetch because EventSource cannot send the token ---------------------------------------

async function read() {
  let seen = 0;
  const mine = (reading = new AbortController());
  while (!mine.signal.aborted) {
    try {
      const headers = { Authorization: `Bearer ${token}`, "Last-Event-ID": String(seen) };
      const answer = await fetch(`${API}/events`, { headers, signal: mine.signal });
      if (answer.status === 401) return signOut("The token is not the right one any more.");
      if (!answer.ok) throw new Error(`HTTP ${answer.status}`);
      find("connection").textContent = "connected";
      seen = await events(answer.body.pipeThrough(new TextDecoderStream()).getReader(), seen);
    } catch (error) {
      if (mine.signal.aborted) return;
    }
    find("connection").textContent = "connection lost, trying again";
    await new Promise((resolve) => setTimeout(resolve, 2000));
  }
}

async function events(reader, seen) {
  let rest = "";
  for (;;) {
    let part;
    try {
      part = await reader.read();
    } catch {
      return seen; // the connection broke; what was seen is asked for no more
    }
    if (part.done) return seen;
    const blocks = (rest + part.value).split("\n\n");
    rest = blocks.pop();
    for (const block of blocks) {
      const fields = Object.fromEntries(block.split("\n").map((line) => line.split(/: (.*)/s).slice(0, 2)));
      if (fields.event !== "job") continue;
      show(JSON.parse(fields.data));
      seen = Math.max(seen, Number(fields.id));
    }
  }
}

// --- forms ------------------------------------------------------------------------------------------------------------

function replayOrder() {
  const given = (id) => find(id).value.trim();
  const moment = (id) => (given(id) ? new Date(given(id)).toISOString() : null);
  const select = { from: moment("from"), until: moment("until"), topic: given("topic") || null, key: given("key") || null,
    limit: given("limit") ? Number(given("limit")) : null };
  const remap = given("remap-topic") ? [{ topic: given("remap-topic"), to: given("remap-to") }] : [];
  return { kind: "replay", from: { archive: given("archive") }, to: { target: given("to") }, select, remap, pace: given("pace") };
}

function onSubmit(id, work) {
  find(id).addEventListener("submit", (event) => {
    event.preventDefault();
    attempt(work);
  });
}

find("login-form").addEventListener("submit", (event) => {
  event.preventDefault();
  find("login-error").textContent = "";
  signIn(find("token").value.trim());
});
find("sign-out").addEventListener("click", () => signOut(""));
find("dry-run").addEventListener("click", () => attempt(async () => {
  if (!find("replay-form").reportValidity()) return;
  find("plan").textContent = "looking …";
  try {
    const plan = await ask("POST", "dry-runs", replayOrder());
    const topics = Object.entries(plan.topics).map(([topic, count]) => `${topic}: ${number(count)}`).slice(0, 20).join("; ");
    find("plan").textContent = plan.count
      ? `${number(plan.count)} messages, ${number(plan.bytes)} bytes, from ${time(plan.first)} to ${time(plan.last)}. ${topics}`
      : "No message is selected.";
  } catch (error) {
    find("plan").textContent = "";
    throw error;
  }
}));
onSubmit("replay-form", async () => {
  const job = await ask("POST", "jobs", replayOrder());
  show(job);
  find("news").textContent = `Job ${job.id} is started`;
});
onSubmit("capture-form", async () => {
  const target = find("source").value;
  const place = find("place").value.trim();
  const where = find("source").systems[target] === "kafka" ? { topics: place.split(",").map((one) => one.trim()) } : { queue: place };
  const job = await ask("POST", "jobs", { kind: "capture", archive: find("into").value.trim(), from: { target, ...where } });
  show(job);
  find("news").textContent = `Job ${job.id} is started`;
});

const kept = sessionStorage.getItem("token");
if (kept) signIn(kept);
else find("token").focus();
