// Adds what HTML alone cannot do: times in the viewer's zone, uploads with progress, the pace of polls, and
// announcements to screen readers when a state changes. Every page works without it.

const byId = (id) => document.getElementById(id);

/** Announces `text` to screen readers, politely. */
function say(text) {
  byId("announcer").textContent = text;
}

/** The part of the page that polls until nothing more is expected, if there is one. */
const livePart = () => byId("import-panel") ?? byId("live");

/** The text of the tab in place of the live part's state: an upload in progress. */
let tabOverride = null;

/** Shows the state in the tab: its title and its icon. */
function showTab() {
  const part = livePart();
  if (!part) return;
  document.title = tabOverride ?? part.dataset.tabTitle;
  const icon = byId("tab-icon");
  if (icon.getAttribute("href") !== part.dataset.tabIcon) icon.setAttribute("href", part.dataset.tabIcon);
}
