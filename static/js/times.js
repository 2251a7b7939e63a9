// Shows times, which are sent in UTC, in the viewer's zone, and counts running durations.

const startOfDay = (date) => new Date(date.getFullYear(), date.getMonth(), date.getDate()).getTime();
const clock = new Intl.DateTimeFormat(undefined, { hour: "2-digit", minute: "2-digit", second: "2-digit" });
const minute = new Intl.DateTimeFormat(undefined, { hour: "2-digit", minute: "2-digit" });
const dayAndMonth = new Intl.DateTimeFormat(undefined, { day: "numeric", month: "short" });
const exactly = new Intl.DateTimeFormat(undefined, { dateStyle: "medium", timeStyle: "long" });

function localTime(date, inTable) {
  const now = new Date();
  const yesterday = new Date(now.getFullYear(), now.getMonth(), now.getDate() - 1);
  if (startOfDay(date) === startOfDay(now)) return clock.format(date);
  if (inTable && startOfDay(date) === startOfDay(yesterday)) return `Yesterday ${minute.format(date)}`;
  const year = date.getFullYear() === now.getFullYear() ? "" : ` ${date.getFullYear()}`;
  return `${dayAndMonth.format(date)}${year} ${minute.format(date)}`;
}

function localise(time) {
  const date = new Date(time.dateTime);
  time.textContent = localTime(date, time.closest("table"));
  time.title = exactly.format(date);
}

function localiseTimes(root) {
  root.querySelectorAll("time").forEach(localise);
}

/** The server has nothing new, as of `at`. */
function showAsOf(root, at) {
  for (const element of root.querySelectorAll("[data-as-of]")) {
    if (at <= element.dataset.asOf) continue;
    element.dataset.asOf = at;
    const time = element.querySelector("time");
    time.dateTime = at;
    localise(time);
  }
}

function duration(seconds) {
  if (seconds < 60) return `${Math.floor(seconds)} s`;
  if (seconds < 3600) return `${Math.floor(seconds / 60)} min ${Math.floor(seconds % 60)} s`;
  return `${Math.floor(seconds / 3600)} h ${Math.floor(seconds % 3600 / 60)} min`;
}

/** When the server last sent each duration. */
let toldAt = new WeakMap();

function startTicking(root) {
  for (const element of root.querySelectorAll("[data-ticks]")) toldAt.set(element, performance.now());
}

function tick() {
  // While the server is unreachable, the real duration is unknown.
  if (document.body.classList.contains("is-unreachable")) return;
  for (const element of document.querySelectorAll("[data-ticks]")) {
    const since = performance.now() - (toldAt.get(element) ?? performance.now());
    const seconds = (Number(element.dataset.ticks) + since) / 1000;
    if (seconds >= 1) element.textContent = duration(seconds);
  }
}
