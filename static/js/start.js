localiseTimes(document);
localiseNumbers(document);
startTicking(document);
setInterval(() => { if (!document.hidden) tick(); }, 1000);
if (livePart()) {
  startPolls();
  window.addEventListener("offline", () => showUnreachable());
}
window.addEventListener("online", reconnect);
if (byId("drop-zone")) startUploads();

// A page that is come back to offers nothing that was given before: no file, and no address but the one
// that the server has sent along to be corrected.
window.addEventListener("pageshow", (event) => {
  for (const form of document.querySelectorAll(".drop-form form")) form.reset();
  if (!event.persisted) return;
  enableButtons();
  if (byId("drop-zone")) showReady();
  catchUp();
});
