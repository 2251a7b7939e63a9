// What is dropped or pasted anywhere on the page: files, folders, links.

/** What a folder gives; a file that is dropped by itself is taken whatever its name. */
const csvName = /^[^.].*\.(csv|tsv|txt)$/i;
/** The most files and folders that are looked at in what is dropped. */
const mostEntries = 10_000;

const readFile = (entry) => new Promise((resolve, reject) => { entry.file(resolve, reject); });
const readSome = (reader) => new Promise((resolve, reject) => { reader.readEntries(resolve, reject); });

async function readFolder(folder) {
  const reader = folder.createReader();
  const entries = [];
  // A browser gives a folder in pieces, and an empty one at the end.
  for (let some = await readSome(reader); some.length; some = await readSome(reader)) {
    entries.push(...some);
    if (entries.length > mostEntries) break;
  }
  return entries.sort((a, b) => a.name.localeCompare(b.name, undefined, { numeric: true }));
}

/** The files among dropped `entries` and the CSV files in their folders, or `{ error }`. */
async function filesOf(entries) {
  const files = [];
  let looked = 0;
  const visit = async (entry, isInFolder) => {
    looked += 1;
    if (looked > mostEntries || files.length > mostFiles) return;
    if (entry.isDirectory) for (const inside of await readFolder(entry)) await visit(inside, true);
    else if (!isInFolder || csvName.test(entry.name)) files.push(await readFile(entry));
  };
  try {
    for (const entry of entries) await visit(entry, false);
  } catch {
    return { error: "The folder cannot be read", advice: "Nothing was sent. Choose its files instead." };
  }
  const folders = entries.filter((entry) => entry.isDirectory);
  const name = folders.length === 1 ? folders[0].name : "what was dropped";
  if (looked > mostEntries || files.length > mostFiles) {
    return { error: `There is too much in ${name}`, advice: `Nothing was sent. Drop up to ${mostFiles} CSV files at a time.` };
  }
  if (!files.length) return { error: `There is no CSV in ${name}`, advice: "Nothing was sent. A CSV is a file that ends in .csv, .tsv or .txt." };
  return { files };
}

async function dropFiles(transfer) {
  // What is dropped is gone after the event: entries have to be taken before anything is awaited.
  const entries = [...transfer.items].map((item) => item.webkitGetAsEntry?.()).filter(Boolean);
  const files = [...transfer.files];
  if (!entries.some((entry) => entry.isDirectory)) {
    addFiles(files);
    return;
  }
  const found = await filesOf(entries);
  if (found.files) addFiles(found.files);
  else if (isUploading()) say(`${found.error}. ${found.advice}`);
  else showRefusal(found.error, found.advice);
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
  /** Something of this page itself is being dragged. */
  let isOwn = false;
  const holds = (event, type) => !isOwn && event.dataTransfer.types.includes(type);
  document.addEventListener("dragstart", () => { isOwn = true; });
  document.addEventListener("dragend", () => { isOwn = false; });
  window.addEventListener("dragover", (event) => {
    const holdsFiles = holds(event, "Files");
    // A field takes a link by itself.
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
