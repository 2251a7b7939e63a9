// Shows a notice when a request of the user failed. The page stays unchanged. Failed polls are handled in
// polls.js.

/** Shows the sentence of a failed answer to the request that `button` sent. An answer that is not Runboard's, such as a proxy's page, has no sentence. */
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
