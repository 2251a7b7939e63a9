// What pages cannot do by themselves: times in the viewer's zone, uploads with progress, a word to
// screen readers when a state changes. Everything else works without this file.
(() => {
  "use strict";

  const byId = (id) => document.getElementById(id);
  const say = (text) => { byId("announcer").textContent = text; };

  // Times come in UTC and are shown in the viewer's zone.

  const day = (date) => new Date(date.getFullYear(), date.getMonth(), date.getDate()).getTime();
  const clock = new Intl.DateTimeFormat("en-GB", { hour: "2-digit", minute: "2-digit", second: "2-digit" });
  const minute = new Intl.DateTimeFormat("en-GB", { hour: "2-digit", minute: "2-digit" });
  const dayAndMonth = new Intl.DateTimeFormat("en-GB", { day: "numeric", month: "short" });

  function localTime(date, inTable) {
    const now = new Date();
    const yesterday = new Date(now.getFullYear(), now.getMonth(), now.getDate() - 1);
    if (day(date) === day(now)) return clock.format(date);
    if (inTable && day(date) === day(yesterday)) return `Yesterday ${minute.format(date)}`;
    const year = date.getFullYear() === now.getFullYear() ? "" : ` ${date.getFullYear()}`;
    return `${dayAndMonth.format(date)}${year} ${minute.format(date)}`;
  }

  function localiseTimes(root) {
    for (const time of root.querySelectorAll("time")) {
      time.textContent = localTime(new Date(time.dateTime), time.closest("table"));
    }
  }

  localiseTimes(document);

  // Polling. An answer that is not the fragment asked for (a proxy's page, say) must not replace the
  // element that polls, for that would end the polling.

  let focused = null;
  let states = new Map();

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
        return;
      }
      localiseTimes(fragment);
    }
    focused = ctx.sourceElement.contains(document.activeElement) ? document.activeElement : null;
    states = readStates();
  });

  document.addEventListener("htmx:after:swap", (event) => {
    const { ctx } = event.detail;
    if (ctx.swap === "none") return;
    answeredAt = performance.now();
    byId("offline").textContent = "";
    // What had the focus may be gone, as a Cancel is when its import ends.
    if (focused && !focused.isConnected) ctx.sourceElement.focus({ preventScroll: true });
    for (const [run, { badge, words }] of readStates()) {
      if (states.get(run)?.badge !== badge) say(words);
    }
  });

  // One lost answer is no news; silence for longer than this is.
  const silenceMillis = 3000;
  let answeredAt = performance.now();

  function unanswered() {
    if (performance.now() - answeredAt < silenceMillis) return;
    byId("offline").textContent = "Runboard does not answer right now. These are the last numbers we know.";
  }
  document.addEventListener("htmx:error", unanswered);
  document.addEventListener("htmx:response:error", (event) => {
    // Signed out elsewhere: the page itself says so.
    if (event.detail.ctx.response.status === 401 && !upload) location.reload();
    else unanswered();
  });

  // A click answers at once, and only once.

  document.addEventListener("submit", (event) => {
    const form = event.target;
    if (!form.dataset.once) return;
    const button = form.querySelector("button[type=submit]");
    if (button.getAttribute("aria-disabled")) {
      event.preventDefault();
      return;
    }
    button.setAttribute("aria-disabled", "true");
    // In its own width, so that nothing beside it moves.
    button.style.minWidth = `${button.offsetWidth}px`;
    button.dataset.label = button.querySelector(".label").textContent;
    button.querySelector(".label").textContent = form.dataset.once;
    // No poll may turn it back before the next page is there.
    form.setAttribute("hx-morph-skip", "");
  });

  window.addEventListener("pageshow", (event) => {
    if (!event.persisted) return;
    for (const form of document.querySelectorAll("[hx-morph-skip]")) {
      const button = form.querySelector("button");
      form.removeAttribute("hx-morph-skip");
      button.removeAttribute("aria-disabled");
      button.querySelector(".label").textContent = button.dataset.label;
    }
    if (zone) showReady();
  });

  // Uploads: a file that is chosen or dropped is sent at once.

  const zone = byId("drop-zone");
  let upload = null;
  if (!zone) return;

  const input = byId("file");
  const sentence = byId("receiving-sentence");

  function bytes(count) {
    const units = [["TB", 1e12, 1], ["GB", 1e9, 1], ["MB", 1e6, 1], ["KB", 1e3, 0]];
    const [name, unit, decimals] = units.find(([, unit]) => count >= unit) ?? ["bytes", 1, 0];
    return `${(count / unit).toFixed(decimals)} ${name}`;
  }

  function duration(seconds) {
    if (seconds < 60) return `${Math.ceil(seconds)} s`;
    if (seconds < 3600) return `${Math.floor(seconds / 60)} min ${Math.round(seconds % 60)} s`;
    return `${Math.floor(seconds / 3600)} h ${Math.round(seconds % 3600 / 60)} min`;
  }

  function showReady() {
    upload = null;
    input.value = "";
    zone.classList.remove("is-receiving", "held");
  }

  function showRefusal(error, advice = "") {
    showReady();
    zone.classList.add("refused");
    byId("upload-error").textContent = error;
    byId("upload-advice").textContent = advice;
    input.focus({ preventScroll: true });
  }

  function showProgress(loaded, total, seconds) {
    const percent = total ? Math.floor(loaded / total * 100) : 0;
    const speed = loaded / seconds;
    byId("receiving-done").setAttribute("width", `${percent}%`);
    byId("receiving-bar").setAttribute("aria-valuenow", percent);
    if (loaded >= total) sentence.textContent = `${bytes(total)} received. Saving it ...`;
    else if (seconds < .5) sentence.textContent = `${percent} % of ${bytes(total)} received.`;
    else sentence.textContent = `${percent} % of ${bytes(total)} received, ${bytes(speed)}/s, ${duration((total - loaded) / speed)} left.`;
  }

  function refusalIn(page) {
    return new DOMParser().parseFromString(page, "text/html").getElementById("upload-error")?.textContent.trim();
  }

  function send(file) {
    if (file.size > Number(zone.dataset.maxBytes)) {
      showRefusal(
        `${file.name} is ${bytes(file.size)}, and this Runboard takes up to ${zone.dataset.limit}`,
        "Nothing was sent. A file in smaller parts will do, or ask whoever runs this Runboard to raise the limit.",
      );
      return;
    }
    const body = new FormData();
    body.append("file", file);
    const request = new XMLHttpRequest();
    const started = performance.now();
    upload = request;
    zone.classList.remove("held", "refused");
    zone.classList.add("is-receiving");
    byId("upload-error").textContent = "";
    byId("upload-advice").textContent = "";
    byId("receiving-name").textContent = file.name;
    showProgress(0, file.size, 0);
    byId("stop-upload").focus({ preventScroll: true });
    say(`Receiving ${file.name}`);
    request.upload.onprogress = ({ loaded, total }) => showProgress(loaded, total, (performance.now() - started) / 1000);
    request.onload = () => {
      upload = null;
      const isImport = new URL(request.responseURL).pathname.startsWith("/imports/");
      if (request.status < 400 && isImport) location.assign(request.responseURL);
      else if (request.status < 400) showRefusal("You are no longer signed in. Sign in again, then choose the file once more.");
      else showRefusal(refusalIn(request.responseText) || "The upload was not taken. Nothing was imported.");
    };
    request.onerror = () => showRefusal("The connection broke off. Nothing was imported.", "Choose the file again to send it once more.");
    request.onabort = () => {
      showReady();
      input.focus({ preventScroll: true });
      say("The upload was stopped. Nothing was imported.");
    };
    request.open("POST", "/imports");
    request.send(body);
  }

  input.addEventListener("change", () => { if (input.files.length) send(input.files[0]); });
  byId("stop-upload").addEventListener("click", () => upload?.abort());
  window.addEventListener("beforeunload", (event) => { if (upload) event.preventDefault(); });

  // A file may be let go anywhere on the page.

  const holdsFile = (event) => event.dataTransfer.types.includes("Files");
  window.addEventListener("dragover", (event) => {
    if (!holdsFile(event)) return;
    event.preventDefault();
    event.dataTransfer.dropEffect = upload ? "none" : "copy";
    if (!upload) zone.classList.add("held");
  });
  window.addEventListener("dragleave", (event) => { if (!event.relatedTarget) zone.classList.remove("held"); });
  window.addEventListener("drop", (event) => {
    if (!holdsFile(event)) return;
    event.preventDefault();
    zone.classList.remove("held");
    if (!upload && event.dataTransfer.files.length) send(event.dataTransfer.files[0]);
  });
})();
