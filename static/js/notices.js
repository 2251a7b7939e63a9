// A notice of the browser when an import ends while its tab is hidden. It is asked for by a click, never by itself.

/** The choice, which this browser remembers. */
const noticesKey = "runboard-notices";
/** The states in which an import has ended. */
const endStates = new Set(["Completed", "Failed", "Cancelled", "Skipped", "Lost", "GivenUp"]);

const canNotify = "Notification" in window && isSecureContext;

/** Storage may be forbidden; then nothing is remembered. */
function hasChosenNotices() {
  try {
    return localStorage.getItem(noticesKey) === "on";
  } catch {
    return false;
  }
}

function chooseNotices(isOn) {
  try {
    if (isOn) localStorage.setItem(noticesKey, "on");
    else localStorage.removeItem(noticesKey);
  } catch {
    // The button stays as it was.
  }
}

const wantsNotices = () => canNotify && Notification.permission === "granted" && hasChosenNotices();

/** Shows the button, or that the browser blocks notices which were asked for. */
function offerNotices(root) {
  if (!canNotify) return;
  const isBlocked = Notification.permission === "denied";
  for (const offer of root.querySelectorAll("[data-notify]")) {
    const button = offer.querySelector("button");
    offer.hidden = isBlocked && !hasChosenNotices();
    button.hidden = isBlocked;
    button.setAttribute("aria-pressed", wantsNotices());
    offer.querySelector("span").hidden = !isBlocked;
  }
}

document.addEventListener("click", async (event) => {
  const offer = event.target.closest("[data-notify] button")?.parentElement;
  if (!offer) return;
  const isOn = !wantsNotices();
  if (isOn && Notification.permission === "default") await Notification.requestPermission();
  // A question that was closed without an answer is no choice.
  chooseNotices(isOn && Notification.permission !== "default");
  offerNotices(document);
  if (isOn && Notification.permission === "denied") say(offer.querySelector("span").textContent);
});

// Another tab has chosen.
window.addEventListener("storage", () => offerNotices(document));

/** The imports on the page with their states. Rows of the history are left out, because they do not change. */
function importStates() {
  const imports = document.querySelectorAll("[data-import-id][data-state]:not(tr)");
  return new Map([...imports].map((one) => [one.dataset.importId, stateOf(one)]));
}

/** The state of an import that a panel or card shows. A day after no function took its event, nothing polls for it. */
function stateOf(part) {
  const { state } = part.dataset;
  return state === "NoFunction" && !part.closest("[hx-trigger]") ? "GivenUp" : state;
}

/** Tells the imports that have ended since they had the states `before`. */
function notifyOfEnds(before) {
  if (!document.hidden || !wantsNotices()) return;
  for (const [id, state] of importStates()) {
    if (!endStates.has(state) || endStates.has(before.get(id) ?? state)) continue;
    const part = document.querySelector(`[data-import-id="${id}"]`);
    const name = (part.querySelector("h3") ?? byId("file-name")).textContent;
    const words = [...part.querySelectorAll(".sentence")].map((sentence) => sentence.textContent.trim());
    try {
      // Of two tabs with one import, the second replaces the notice of the first.
      const notice = new Notification(name, { body: words.join(" "), tag: `import-${id}` });
      notice.onclick = () => {
        window.focus();
        notice.close();
      };
    } catch {
      // Browsers on phones offer it to service workers only.
    }
  }
}

offerNotices(document);
