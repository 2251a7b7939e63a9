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

// A page that is restored from history keeps no earlier input: no file, and no address except one that the
// server returned for correction.
window.addEventListener("pageshow", (event) => {
  for (const form of document.querySelectorAll("form.drop-form")) form.reset();
  if (!event.persisted) return;
  enableButtons();
  if (byId("drop-zone")) showReady();
  catchUp();
});
