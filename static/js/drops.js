// Accepts files, folders and links that are dropped or pasted anywhere on the page.

function dropFiles(transfer) {
  // The dropped items are invalid after the event, so the entries are taken before anything is awaited.
  const entries = [...transfer.items].map((item) => item.webkitGetAsEntry?.()).filter(Boolean);
  if (entries.some((entry) => entry.isDirectory)) addEntries(entries);
  else addFiles([...transfer.files]);
}

/** Puts a link into the address field, if the page has one. */
function giveAddress(text) {
  const field = byId("address");
  const link = text.split(/\r?\n/).map((line) => line.trim()).find((line) => line && !line.startsWith("#"));
  if (!field || !/^https?:\/\/\S+$/i.test(link ?? "")) return false;
  field.value = link;
  field.focus();
  return true;
}

function startDrops() {
  const zone = byId("drop-zone");
  /** Whether a part of this page itself is being dragged. */
  let isOwn = false;
  const holds = (event, type) => !isOwn && event.dataTransfer.types.includes(type);
  document.addEventListener("dragstart", () => { isOwn = true; });
  document.addEventListener("dragend", () => { isOwn = false; });
  window.addEventListener("dragover", (event) => {
    const holdsFiles = holds(event, "Files");
    // A text field accepts a dropped link by itself.
    const holdsLink = byId("address") && holds(event, "text/uri-list") && !event.target.matches?.("input");
    if (!holdsFiles && !holdsLink) return;
    event.preventDefault();
    event.dataTransfer.dropEffect = "copy";
    if (holdsFiles) zone.classList.add("held");
  });
  window.addEventListener("dragleave", (event) => { if (!event.relatedTarget) zone.classList.remove("held"); });
  window.addEventListener("drop", (event) => {
    zone.classList.remove("held");
    if (holds(event, "Files")) {
      event.preventDefault();
      dropFiles(event.dataTransfer);
    } else if (!event.target.matches?.("input") && holds(event, "text/uri-list")) {
      event.preventDefault();
      giveAddress(event.dataTransfer.getData("text/uri-list"));
    }
  });
  document.addEventListener("paste", (event) => {
    if (event.target.matches?.("input, textarea")) return;
    const files = [...event.clipboardData.files];
    if (files.length) addFiles(files);
    else if (!giveAddress(event.clipboardData.getData("text/plain"))) return;
    event.preventDefault();
  });
}
