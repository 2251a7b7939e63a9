// A click answers at once, and only once: the button says what it is doing.

document.addEventListener("submit", (event) => {
  const form = event.target;
  if (!form.dataset.once) return;
  const button = event.submitter ?? form.querySelector("button[type=submit]");
  if (button.getAttribute("aria-disabled")) {
    event.preventDefault();
    return;
  }
  const label = button.querySelector(".label");
  button.setAttribute("aria-disabled", "true");
  // In its own width, so that nothing beside it moves.
  button.style.minWidth = `${button.offsetWidth}px`;
  button.dataset.label = label.textContent;
  label.textContent = form.dataset.once;
  // No poll may turn it back before the next page is there.
  form.setAttribute("hx-morph-skip", "");
});

/** Buttons that were pressed can be pressed again, on a page that the browser has kept. */
function enableButtons() {
  for (const button of document.querySelectorAll("button[data-label]")) {
    button.closest("form").removeAttribute("hx-morph-skip");
    button.removeAttribute("aria-disabled");
    button.querySelector(".label").textContent = button.dataset.label;
    delete button.dataset.label;
  }
}
