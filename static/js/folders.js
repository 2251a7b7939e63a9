// Finds the CSV files in a dropped or chosen folder.

/** The names of CSV files in a folder, also packed ones. A file that is dropped by itself is accepted with any name. */
const csvName = /^[^.].*\.(csv|tsv)(\.(gz|zst|bz2|xz|zip))?$/i;
/** In a folder usually a readme, not a table: left out, and mentioned. */
const textName = /^[^.].*\.txt$/i;
/** The most files and folders that are examined. */
const mostEntries = 10_000;

const byName = (a, b) => a.localeCompare(b, undefined, { numeric: true });
const readFile = (entry) => new Promise((resolve, reject) => { entry.file(resolve, reject); });
const readSome = (reader) => new Promise((resolve, reject) => { reader.readEntries(resolve, reject); });

async function readFolder(folder) {
  const reader = folder.createReader();
  const entries = [];
  // A browser returns a folder's entries in parts, and an empty part at the end.
  for (let some = await readSome(reader); some.length; some = await readSome(reader)) {
    entries.push(...some);
    if (entries.length > mostEntries) break;
  }
  return entries.sort((a, b) => byName(a.name, b.name));
}

/** Adds the files that were found among `looked` entries of `name`, or says why there are none. `texts` is the number of .txt files that were left out. */
function addFound(files, texts, looked, name) {
  const [words, them] = texts === 1 ? ["1 .txt file", "it"] : [`${count(texts)} .txt files`, "them"];
  const leftOut = `${words} in ${name} left out. To import ${them}, choose ${them} directly.`;
  if (looked > mostEntries || files.length > mostFiles) {
    refuse(`There is too much in ${name}`, `Nothing was sent. Import up to ${mostFiles} CSV files at a time.`);
  } else if (!files.length) {
    refuse(`There is no CSV in ${name}`, `Nothing was sent. ${texts ? leftOut : "A CSV is a file that ends in .csv or .tsv."}`);
  } else {
    addFiles(files);
    if (texts) showNote(leftOut);
  }
}

/** Says that nothing was added. During an upload there is no place to show it. */
function refuse(error, advice) {
  if (isUploading()) say(`${error}. ${advice}`);
  else showRefusal(error, advice);
}

/** Adds the files among the dropped `entries`, and the CSV files in their folders. */
async function addEntries(entries) {
  const files = [];
  let texts = 0;
  let looked = 0;
  const visit = async (entry, isInFolder) => {
    looked += 1;
    if (looked > mostEntries || files.length > mostFiles) return;
    if (entry.isDirectory) for (const inside of await readFolder(entry)) await visit(inside, true);
    else if (!isInFolder || csvName.test(entry.name)) files.push(await readFile(entry));
    else if (textName.test(entry.name)) texts += 1;
  };
  try {
    for (const entry of entries) await visit(entry, false);
  } catch {
    refuse("The folder cannot be read", "Nothing was sent. Choose its files instead.");
    return;
  }
  const folders = entries.filter((entry) => entry.isDirectory);
  addFound(files, texts, looked, folders.length === 1 ? folders[0].name : "what was dropped");
}

/** Adds a chosen folder. The browser passes all its files at once, each with its path in the folder. */
function addChosenFolder(all) {
  const path = (file) => file.webkitRelativePath;
  const files = all.filter((file) => csvName.test(file.name)).sort((a, b) => byName(path(a), path(b)));
  const texts = all.filter((file) => textName.test(file.name)).length;
  addFound(files, texts, all.length, all.length ? path(all[0]).split("/")[0] : "that folder");
}

function startFolders() {
  const input = byId("folder");
  if (!input || !("webkitdirectory" in input)) return;
  byId("choose-folder").hidden = false;
  input.addEventListener("change", () => addChosenFolder(takeFiles(input)));
}
