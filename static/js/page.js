// What pages cannot do by themselves: times in the viewer's zone, uploads with progress, a pace for the
// polls, a word to screen readers when a state changes. Without any of it every page still works.

const byId = (id) => document.getElementById(id);

/** Speaks to screen readers, politely. */
function say(text) {
  byId("announcer").textContent = text;
}

/** The part of the page that is live, if it has one: it polls until nothing more is to come. */
const livePart = () => byId("import-panel") ?? byId("live");

/** What the tab shows instead of the live part's state: an upload under way. */
let tabOverride = null;

/** Shows the state in the tab: its title and its icon. */
function showTab() {
  const part = livePart();
  if (!part) return;
  document.title = tabOverride ?? part.dataset.tabTitle;
  const icon = byId("tab-icon");
  if (icon.getAttribute("href") !== part.dataset.tabIcon) icon.setAttribute("href", part.dataset.tabIcon);
}
