localiseTimes(document);
startTicking(document);
setInterval(() => { if (!document.hidden) tick(); }, 1000);
if (livePart()) startPolls();
if (byId("drop-zone")) startUploads();

// A page that the browser has kept while another was shown is as it was left.
window.addEventListener("pageshow", (event) => {
  if (!event.persisted) return;
  enableButtons();
  if (byId("drop-zone")) showReady();
  catchUp();
});
