// Uploads: a file that is chosen, or let go anywhere on the page, is sent at once.

/** The request that sends a file, while one does. */
let upload = null;

function bytes(count) {
  const units = [["TB", 1e12, 1], ["GB", 1e9, 1], ["MB", 1e6, 1], ["KB", 1e3, 0]];
  const [name, unit, decimals] = units.find(([, unit]) => count >= unit) ?? ["bytes", 1, 0];
  return `${(count / unit).toFixed(decimals)} ${name}`;
}

function showReady() {
  upload = null;
  tabOverride = null;
  showTab();
  byId("file").value = "";
  byId("drop-zone").classList.remove("is-receiving", "held");
}

function showRefusal(error, advice = "") {
  showReady();
  byId("drop-zone").classList.add("refused");
  byId("upload-error").textContent = error;
  byId("upload-advice").textContent = advice;
  byId("file").focus({ preventScroll: true });
}

function showProgress(name, loaded, total, seconds) {
  const percent = total ? Math.floor(loaded / total * 100) : 0;
  const speed = loaded / seconds;
  byId("receiving-done").setAttribute("width", `${percent}%`);
  byId("receiving-bar").setAttribute("aria-valuenow", percent);
  const sentence = byId("receiving-sentence");
  if (loaded >= total) sentence.textContent = `${bytes(total)} received. Saving it ...`;
  else if (seconds < .5) sentence.textContent = `${percent}% of ${bytes(total)} received.`;
  else sentence.textContent = `${percent}% of ${bytes(total)} received, ${bytes(speed)}/s, ${duration(Math.ceil((total - loaded) / speed))} left.`;
  tabOverride = `${percent}% received · ${name} · Runboard`;
  showTab();
}

/** What the page that came back says is wrong with the file. */
function refusalIn(page) {
  return new DOMParser().parseFromString(page, "text/html").getElementById("upload-error")?.textContent.trim();
}

function send(files) {
  const zone = byId("drop-zone");
  if (files.length > 1) {
    showRefusal("One file at a time", "Nothing was sent. Each file is an import of its own.");
    return;
  }
  const [file] = files;
  if (file.size > Number(zone.dataset.maxBytes)) {
    showRefusal(
      `${file.name} is ${bytes(file.size)}, and the limit here is ${zone.dataset.limit}`,
      "Nothing was sent. Split the file, or ask the operator to raise the limit.",
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
  showProgress(file.name, 0, file.size, 0);
  byId("stop-upload").focus({ preventScroll: true });
  say(`Receiving ${file.name}`);
  request.upload.onprogress = ({ loaded, total }) => {
    showProgress(file.name, loaded, total, (performance.now() - started) / 1000);
  };
  request.onload = () => {
    upload = null;
    const isImport = new URL(request.responseURL).pathname.startsWith("/imports/");
    if (request.status < 400 && isImport) location.assign(request.responseURL);
    else if (request.status < 400) showRefusal("You are no longer signed in. Sign in and choose the file again.");
    else showRefusal(refusalIn(request.responseText) || "The upload was refused. Nothing was imported.");
  };
  request.onerror = () => showRefusal("The connection dropped. Nothing was imported.", "Choose the file again to retry.");
  request.onabort = () => {
    showReady();
    byId("file").focus({ preventScroll: true });
    say("The upload was stopped. Nothing was imported.");
  };
  request.open("POST", "/imports");
  request.send(body);
}

function startUploads() {
  const zone = byId("drop-zone");
  const input = byId("file");
  const holdsFile = (event) => event.dataTransfer.types.includes("Files");
  input.addEventListener("change", () => { if (input.files.length) send(input.files); });
  byId("stop-upload").addEventListener("click", () => upload?.abort());
  window.addEventListener("beforeunload", (event) => { if (upload) event.preventDefault(); });
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
    if (!upload && event.dataTransfer.files.length) send(event.dataTransfer.files);
  });
}
