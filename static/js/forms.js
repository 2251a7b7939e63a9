// A click takes effect at once and only once: the button says what it is doing.

function disableButton(button, label) {
  const shown = button.querySelector(".label");
  button.setAttribute("aria-disabled", "true");
  // Keeps its width, so that nothing beside it moves.
  button.style.minWidth = `${button.offsetWidth}px`;
  button.dataset.label = shown.textContent;
  shown.textContent = label;
  // A poll must not reset the button before the next page is there.
  button.form.setAttribute("hx-morph-skip", "");
}

function enableButton(button) {
  button.form.removeAttribute("hx-morph-skip");
  button.removeAttribute("aria-disabled");
  button.querySelector(".label").textContent = button.dataset.label;
  delete button.dataset.label;
}

const nameOf = (button) => `“${button.querySelector(".label").textContent.trim()}”`;

/** Enables the pressed buttons again on a page that was restored from the browser's cache. */
function enableButtons() {
  document.querySelectorAll("button[data-label]").forEach(enableButton);
}

/** Sends a form and keeps the page, which shows the result. */
async function sendAndStay(form, button) {
  const request = {
    method: "POST",
    body: new URLSearchParams(new FormData(form)),
    headers: { "HX-Request": "true" },
    signal: AbortSignal.timeout(10_000),
  };
  clearFailure();
  const answer = await fetch(form.action, request).catch(() => null);
  if (answer?.ok) {
    form.removeAttribute("hx-morph-skip");
    // A page that does not poll, such as that of a lost import, has no address for a poll.
    if (livePart()?.dataset.live) catchUp();
    else location.reload();
  } else if (answer?.status === 401 || answer?.status === 404) {
    location.reload();
  } else {
    enableButton(button);
    showFailure(await answer?.text().catch(() => "") ?? "", nameOf(button));
  }
}

document.addEventListener("submit", (event) => {
  const form = event.target;
  if (!form.dataset.once) return;
  const button = event.submitter ?? form.querySelector("button[type=submit]");
  if (button.getAttribute("aria-disabled")) {
    event.preventDefault();
  } else if (!navigator.onLine) {
    // Otherwise the browser would replace this page by its own error page.
    event.preventDefault();
    showUnreachable(nameOf(button));
  } else {
    disableButton(button, form.dataset.once);
    if (!("stay" in form.dataset)) return;
    event.preventDefault();
    sendAndStay(form, button);
  }
});
