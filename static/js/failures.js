// What the person at the page asked for has failed: a notice says why, and the page stays as it is. A poll that
// fails is no such request: polls.js tells of silence.

/** Shows the sentence of a failed answer to what `button` sent. What did not come from Runboard, as a proxy's page, has none. */
function showFailure(answer, button = "") {
  const sentence = new DOMParser().parseFromString(answer, "text/html").getElementById("failure-sentence")?.textContent.trim();
  if (!sentence) {
    showUnreachable(button);
    return;
  }
  byId("failure-sentence").textContent = sentence;
  byId("failure").hidden = false;
  say(sentence);
}

function clearFailure() {
  byId("failure").hidden = true;
}

byId("close-failure").addEventListener("click", () => {
  clearFailure();
  (livePart() ?? byId("content")).focus({ preventScroll: true });
});
