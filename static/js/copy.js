// A button that copies a text which is shown once. Without a script the text can be selected.

/** Copies where the browser offers no clipboard: over plain http. */
function copySelected(element) {
  getSelection().selectAllChildren(element);
  return document.execCommand("copy");
}

async function copyText(button) {
  const element = byId(button.dataset.copy);
  const copied = await navigator.clipboard?.writeText(element.textContent).then(() => true, () => false);
  const words = copied || copySelected(element) ? "Copied" : "Select it and copy";
  button.querySelector(".label").textContent = words;
  say(words);
}

// A link without our address, which the server may not know.
const incomplete = byId("incomplete");
if (incomplete) {
  byId("secret").textContent = new URL(byId("secret").textContent, location.href).href;
  incomplete.hidden = true;
}

for (const button of document.querySelectorAll("button[data-copy]")) {
  button.hidden = false;
  button.addEventListener("click", () => copyText(button));
}
