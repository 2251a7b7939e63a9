// htmx polls at the pace that the server sets. This slows the polls while nothing changes, and pauses them
// while the page is hidden, unless it is to notify of an end.

/** The factor by which each pause grows while nothing changes, and the largest multiple of the first pause. */
const slower = 1.25;
const slowest = 2;
/** The shortest pause of a hidden page that notifies of an end. */
const hiddenMillis = 3000;
/** A single lost answer is not reported; silence for longer than this is. */
const silenceMillis = 3000;

let slowness = 1;
/** The time from which the pause before the next poll is measured. */
let lastPollAt = -Infinity;
let answeredAt = performance.now();

/** Nobody sees the page, and nobody waits for a notice of it. */
const isUnwatched = () => document.hidden && !wantsNotices();

const isPoll = (ctx) => ctx.sourceElement === livePart();

function startPause(isNews) {
  slowness = isNews ? 1 : Math.min(slowness * slower, slowest);
  lastPollAt = performance.now();
}

/** Uses the page's current pace, because the last answer may have changed it. */
function isTooSoon() {
  const [, millis] = /every (\d+)ms/.exec(livePart().getAttribute("hx-trigger") ?? "") ?? [];
  // A little less, so that the timer's next tick counts.
  const pause = Math.max(Number(millis ?? 0) * slowness, document.hidden ? hiddenMillis : 0);
  return performance.now() < lastPollAt + pause - 20;
}

/** Polls now, regardless of the pace, and even if nothing more is expected. */
function catchUp() {
  const part = livePart();
  if (!part?.dataset.live || isUnwatched()) return;
  lastPollAt = -Infinity;
  htmx.ajax("GET", part.dataset.live, { source: part, target: part, swap: "outerMorph" });
}

/** Imports that this page has sent, to be shown by its next poll. */
const toShow = new Set();

/** Makes the dashboard show an import as its first card, without changing anything else. */
function showImport(id) {
  tabs?.postMessage("import");
  if (!byId("live")) return;
  toShow.add(id);
  catchUp();
}

/** The address of a poll that also requests these imports. */
function withImports(address, ids) {
  const url = new URL(address, location.origin);
  const kept = (url.searchParams.get("keep") ?? "").split(",").filter(Boolean);
  url.searchParams.set("keep", [...new Set([...ids, ...kept])].join(","));
  url.searchParams.delete("version");
  return url.pathname + url.search;
}

document.addEventListener("htmx:before:request", (event) => {
  const { ctx } = event.detail;
  if (!isPoll(ctx)) {
    clearFailure();
    return;
  }
  const { live } = livePart().dataset;
  // Without an address, the page has stopped polling since the request was made.
  if (!live || isUnwatched() || isTooSoon()) {
    event.preventDefault();
    return;
  }
  // A request that was queued behind another must use the state that the page shows now.
  ctx.asksFor = [...toShow].reverse();
  ctx.request.action = toShow.size ? withImports(live, ctx.asksFor) : live;
});

document.addEventListener("htmx:after:request", (event) => {
  const { ctx } = event.detail;
  if (!isPoll(ctx) || ctx.response.status !== 204) return;
  startPause(false);
  answered();
  showAsOf(livePart(), ctx.response.headers.get("x-runboard-as-of") ?? "");
});

// An answer that is not the requested fragment, such as a proxy's page, must not replace the polling element,
// because that would end the polling.

let focused = null;
let states = new Map();
let statesBefore = new Map();

function readStates() {
  const read = new Map();
  for (const run of document.querySelectorAll("[data-import-id] .run")) {
    const name = run.closest("article")?.querySelector("h3")?.textContent ?? byId("file-name")?.textContent;
    const text = (selector) => run.querySelector(selector).textContent.trim();
    read.set(run, { badge: text(".badge"), words: `${name}: ${text(".badge")}. ${text(".sentence")}` });
  }
  return read;
}

document.addEventListener("htmx:before:swap", (event) => {
  const { ctx, tasks } = event.detail;
  if (ctx.swap === "none") return;
  for (const { fragment, target } of tasks) {
    if (fragment.firstElementChild?.id !== target.id) {
      event.preventDefault();
      unanswered();
      return;
    }
    localiseTimes(fragment);
    localiseNumbers(fragment);
    offerNotices(fragment);
  }
  focused = livePart().contains(document.activeElement) ? document.activeElement : null;
  states = readStates();
  statesBefore = importStates();
});

document.addEventListener("htmx:after:swap", (event) => {
  if (event.detail.ctx.swap === "none") return;
  answered();
  startPause(true);
  startTicking(livePart());
  for (const id of event.detail.ctx.asksFor ?? []) toShow.delete(id);
  if (toShow.size) catchUp();
  if (byId("live")?.querySelector(".card")) endFirstVisit();
  showTab();
  notifyOfEnds(statesBefore);
  // The focused element may be gone, for example the Cancel button of an import that has ended.
  if (focused && !focused.isConnected) livePart().focus({ preventScroll: true });
  for (const [run, { badge, words }] of readStates()) {
    if (states.get(run)?.badge !== badge) say(words);
  }
});

/** Reloads the dashboard of a first visit, which has no place for imports. */
function endFirstVisit() {
  byId("first-import")?.remove();
  document.querySelector(".welcome")?.remove();
}

function answered() {
  answeredAt = performance.now();
  unsent = "";
  byId("offline").textContent = "";
  document.body.classList.remove("is-unreachable");
}

/** The button that was pressed without success since the last answer. */
let unsent = "";

/** Says that the page is out of date, dims it and stops its counters. If a `button` was pressed, also says that it had no effect. */
function showUnreachable(button = "") {
  const offline = byId("offline");
  unsent = button || unsent;
  const cause = navigator.onLine ? "Can't reach Runboard." : "You are offline.";
  const outcome = unsent && `${unsent} was not ${navigator.onLine ? "confirmed" : "sent"}. `;
  const words = livePart() ? `${cause} ${outcome}Showing the last known numbers.` : `${cause} Nothing was sent.`;
  document.body.classList.add("is-unreachable");
  if (offline.textContent === words) return;
  offline.textContent = words;
  say(words);
}

/** The connection is back: a page that polls waits for an answer, another page has nothing to wait for. */
function reconnect() {
  if (livePart()?.dataset.live) catchUp();
  else answered();
}

function unanswered() {
  startPause(false);
  if (performance.now() - answeredAt >= silenceMillis) showUnreachable();
}

document.addEventListener("htmx:error", (event) => {
  const { ctx } = event.detail;
  if (!ctx) return;
  if (isPoll(ctx)) unanswered();
  else showUnreachable();
});

document.addEventListener("htmx:response:error", (event) => {
  const { ctx } = event.detail;
  const { status } = ctx.response;
  // Signed out elsewhere, or the import was deleted. A reload shows which, after an upload in progress.
  const isGone = status === 401 || status === 404 && byId("import-panel");
  if (!isGone && isPoll(ctx)) unanswered();
  else if (!isGone) {
    if (ctx.sourceElement.id !== "change-form" || !showRefusedChoice(ctx.text)) showFailure(ctx.text);
  }
  else if (isUploading()) startPause(false);
  else location.reload();
});

/** Tabs notify each other of imports that they have started. */
const tabs = "BroadcastChannel" in window ? new BroadcastChannel("runboard") : null;

function startPolls() {
  document.addEventListener("visibilitychange", () => {
    if (document.hidden) return;
    tick();
    // Time in which no poll was due does not count as silence.
    answeredAt = performance.now();
    catchUp();
  });
  if (byId("import-panel")) tabs?.postMessage("import");
  else if (tabs) tabs.onmessage = catchUp;
}
