// The form that changes how a file is read: a refused choice is said beside its field.

/** Says beside a field of the form why its value was refused; an empty sentence takes that back. */
function tellField(field, sentence) {
  byId(`error-${field}`).textContent = sentence;
  const list = byId(`change-${field}`);
  const other = byId(`other-${field}`);
  // What is typed counts, even if a value of the list is chosen.
  const refused = sentence && (other?.value ? other : list);
  for (const input of [list, other]) {
    if (input && input === refused) input.setAttribute("aria-invalid", "true");
    else input?.removeAttribute("aria-invalid");
  }
}

/** Shows the refusal in an answer with the first rows. Returns false if it is about no field. */
function showRefusedChoice(answer) {
  const preview = new DOMParser().parseFromString(answer, "text/html").getElementById("preview");
  const field = preview?.dataset.field;
  if (!field) return false;
  tellField(field, preview.textContent.trim());
  // The rows below stay, and do not follow the refused choice.
  if (byId("preview-rows")) byId("preview").querySelector(".preview-line").textContent = "These rows are from before the last change.";
  return true;
}

document.addEventListener("htmx:before:request", (event) => {
  if (event.detail.ctx.sourceElement.id !== "change-form") return;
  for (const error of document.querySelectorAll("#change-form .field-error:not(:empty)")) tellField(error.id.slice("error-".length), "");
});

/** Says beside "Detect" what that finds. Nothing has read the file of a held import, so no value stands beside its fields. */
function showDetected() {
  for (const select of document.querySelectorAll("#change-form[data-held] select")) {
    const found = byId("preview").getAttribute(`data-detected-${select.name}`);
    select.options[0].textContent = found ? `Detect (${found})` : "Detect";
  }
}

/** Says above the form that the held file cannot be read as chosen. Then Import is not the next step. */
function showUnreadable() {
  const told = byId("unreadable");
  if (!told) return;
  const preview = byId("preview");
  const isUnreadable = "unreadable" in preview.dataset;
  told.textContent = isUnreadable ? preview.textContent.trim() : "";
  told.hidden = !isUnreadable;
  document.querySelector("#change-form [type=submit]:not(.show-rows)").classList.toggle("primary", !isUnreadable);
}

document.addEventListener("htmx:after:swap", (event) => {
  if (event.detail.ctx.sourceElement.id !== "change-form") return;
  showDetected();
  showUnreadable();
});
