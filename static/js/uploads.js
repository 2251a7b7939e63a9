// The uploads of this page: a row for each file. They are sent in order, a few at once.

/** More at once share the same connection and finish no earlier. */
const atOnce = 2;
/** The most files that are accepted together. */
const mostFiles = 100;
/** The most refusals that are shown individually. */
const mostTold = 5;

/** In order: waiting uploads, uploads in progress, and those refused since the page was idle. */
let uploads = [];
/** Whether more than one file was added since the page was idle. Then the page stays and shows the result of each. */
let areSeveral = false;

const isUploading = () => uploads.some((upload) => !upload.error);

function showReady() {
  uploads = [];
  areSeveral = false;
  tabOverride = null;
  showTab();
  byId("uploads").replaceChildren();
  byId("drop-zone").classList.remove("is-receiving", "held");
}

/** Says in the place of the drop zone's title that nothing, or not everything, was imported. For several files it also shows the reason of each. */
function showRefusal(error, advice = "", each = []) {
  byId("drop-zone").classList.add("refused");
  tellRefusal(error, advice, each);
  byId("file")?.setAttribute("aria-invalid", "true");
  (byId("file") ?? byId("close-refusal")).focus({ preventScroll: true });
}

/** Shows a result that is not an error, in the place of the hint. */
function showNote(text) {
  byId("upload-note").textContent = text;
  byId("drop-zone").classList.toggle("noted", Boolean(text));
}

/** Goes to a page that shows the note again. */
function leaveFor(page) {
  sessionStorage.setItem("note", byId("upload-note").textContent);
  location.assign(page);
}

function clearRefusal() {
  byId("drop-zone").classList.remove("held", "refused");
  showNote("");
  tellRefusal("", "", []);
  byId("file")?.removeAttribute("aria-invalid");
}

function tellRefusal(error, advice, each) {
  byId("upload-error").textContent = error;
  byId("upload-advice").textContent = advice;
  byId("upload-refusals").replaceChildren(...each.map((refusal) => {
    const item = document.createElement("li");
    item.textContent = refusal;
    return item;
  }));
}

function makeRow(upload) {
  const row = byId("upload-row").content.cloneNode(true).firstElementChild;
  row.querySelector(".upload-name").textContent = upload.file.name;
  row.querySelector(".of").textContent = ` of ${upload.file.name}`;
  row.querySelector(".bar").setAttribute("aria-label", `Received of ${upload.file.name}`);
  row.querySelector("button").addEventListener("click", () => {
    if (upload.request) upload.request.abort();
    else end(upload, { isStopped: true });
  });
  return row;
}

function showUpload(upload) {
  const { row, meter, file, request, error } = upload;
  const fraction = file.size && meter.loaded / file.size;
  row.classList.toggle("is-refused", Boolean(error));
  row.querySelector(".badge").className = `badge ${error ? "bad" : request ? "live" : "still"}`;
  row.querySelector(".word").textContent = error ? "Not imported" : request ? "Receiving" : "Waiting";
  row.querySelector(".sentence").textContent = error ?? (request ? receivingSentence(meter, file.size) : `${bytes(file.size)}. It is sent after those before it.`);
  row.querySelector(".received").setAttribute("width", `${fraction * 100}%`);
  row.querySelector(".bar").setAttribute("aria-valuenow", Math.floor(fraction * 100));
}

function showUploads() {
  const onTheirWay = uploads.filter((upload) => upload.request && !upload.error);
  onTheirWay.forEach(showUpload);
  if (!isUploading()) return;
  const sum = (amount) => uploads.reduce((total, upload) => total + amount(upload), 0);
  const received = percent(sum(({ meter }) => meter.loaded) / (sum(({ file }) => file.size) || 1));
  tabOverride = areSeveral ? `${received} of ${uploads.length} files received · Runboard` : `${received} received · ${uploads[0].file.name} · Runboard`;
  showTab();
}

/** Adds files after those in progress. */
function addFiles(files) {
  const zone = byId("drop-zone");
  if (!files.length) return;
  if (uploads.length + files.length > mostFiles) {
    if (isUploading()) say(`Up to ${mostFiles} files at a time. None of these was added.`);
    else showRefusal(`${count(files.length)} files are too many at once`, `Nothing was sent. Choose up to ${mostFiles} at a time.`);
    return;
  }
  clearRefusal();
  areSeveral ||= uploads.length + files.length > 1;
  for (const file of files) {
    const upload = { file, meter: new Meter(), request: null, error: null };
    upload.row = makeRow(upload);
    uploads.push(upload);
    byId("uploads").append(upload.row);
    if (file.size > Number(zone.dataset.maxBytes)) {
      upload.error = `${file.name} is ${bytes(file.size)}, and the limit here is ${zone.dataset.limit}`;
      upload.advice = "Nothing was sent. Split the file, or ask the operator to raise the limit.";
    }
    showUpload(upload);
  }
  zone.classList.add("is-receiving");
  focusFirst();
  if (isUploading()) say(areSeveral ? `Receiving ${uploads.length} files` : `Receiving ${uploads[0].file.name}`);
  sendNext();
}

/** Moves the focus to the first Stop button. A refused file has none. */
function focusFirst() {
  uploads.find(({ error }) => !error)?.row.querySelector("button").focus({ preventScroll: true });
}

/** Sends as many files as may be sent now. Once none is left, the page is ready again. */
function sendNext() {
  const free = () => atOnce - uploads.filter((upload) => upload.request && !upload.error).length;
  for (const upload of uploads) {
    if (upload.request || upload.error || free() <= 0) continue;
    upload.meter = new Meter();
    upload.request = transfer(upload.file, upload.meter, showUploads, (answer) => end(upload, answer));
    showUpload(upload);
  }
  showUploads();
  if (!isUploading()) finish();
}

function end(upload, { page, error, advice, isSignedOut, isStopped }) {
  const hadFocus = upload.row.contains(document.activeElement);
  if (error) {
    Object.assign(upload, { error, advice });
    showUpload(upload);
    // The other files would be refused as well.
    if (isSignedOut) for (const waiting of uploads) if (!waiting.request) Object.assign(waiting, { error });
  } else {
    uploads = uploads.filter((other) => other !== upload);
    if (page && !areSeveral) {
      leaveFor(page);
      return;
    }
    if (page) showImport(page.split("/").pop());
    upload.row.remove();
    const words = isStopped ? `The upload of ${upload.file.name} was stopped. It was not imported.` : `${upload.file.name} was received`;
    if (isStopped) showNote(words);
    say(words);
  }
  if (hadFocus) focusFirst();
  sendNext();
}

/** All uploads have ended: shows the refusals. */
function finish() {
  const refused = uploads.filter(({ error }) => error);
  const isElsewhere = areSeveral && !byId("live");
  const hadFocus = byId("drop-zone").contains(document.activeElement) || document.activeElement === document.body;
  showReady();
  if (refused.length) {
    const told = new Set(refused.slice(0, mostTold).map(({ error }) => error));
    const unnamed = refused.length - mostTold;
    const more = unnamed > 0 ? [`${count(unnamed)} more ${unnamed === 1 ? "file was" : "files were"} not imported.`] : [];
    // A common reason, such as being offline, is shown once.
    if (told.size + more.length === 1) showRefusal(refused[0].error, refused[0].advice);
    else showRefusal(`${count(refused.length)} files were not imported.`, "", [...told, ...more]);
  } else if (isElsewhere) {
    // The dashboard shows the imports of these files.
    leaveFor("/");
  } else if (hadFocus) {
    byId("file")?.focus({ preventScroll: true });
  }
}

/** Takes the chosen files and clears the input, so that the same files can be chosen again. */
function takeFiles(input) {
  const files = [...input.files];
  input.value = "";
  return files;
}

function startUploads() {
  showNote(sessionStorage.getItem("note") ?? "");
  sessionStorage.removeItem("note");
  const input = byId("file");
  input?.addEventListener("change", () => addFiles(takeFiles(input)));
  byId("close-refusal")?.addEventListener("click", () => {
    clearRefusal();
    livePart()?.focus({ preventScroll: true });
  });
  window.addEventListener("beforeunload", (event) => { if (isUploading()) event.preventDefault(); });
  // While no byte moves, the browser sends no event, so the sentence is updated by a timer.
  setInterval(showUploads, 500);
  startFolders();
  startDrops();
}
