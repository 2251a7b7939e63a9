// Sends one file to the server.

/** An upload without progress for this long is called stalled. */
const stalledAfterMillis = 2000;
/** The time over which speed is measured. Short, so that it is the current speed. */
const speedOverMillis = 3000;

/** Measures how fast bytes are sent. */
class Meter {
  #samples = [{ at: performance.now(), loaded: 0 }];

  add(loaded) {
    this.#samples.push({ at: performance.now(), loaded });
    // Keeps one sample from before the window, which begins inside that sample's interval.
    while (this.#samples.length > 2 && performance.now() - this.#samples[1].at > speedOverMillis) this.#samples.shift();
  }

  get loaded() { return this.#samples.at(-1).loaded; }

  get stalledMillis() {
    const still = performance.now() - this.#samples.at(-1).at;
    return still >= stalledAfterMillis ? still : 0;
  }

  /** Bytes per second; 0 while too little is known. */
  get speed() {
    const [{ at, loaded }] = this.#samples;
    const millis = performance.now() - at;
    return millis < 500 ? 0 : (this.loaded - loaded) / millis * 1000;
  }
}

/** The sentence about an upload of `total` bytes in progress. */
function receivingSentence(meter, total) {
  const { loaded, speed, stalledMillis } = meter;
  if (loaded >= total) return `${bytes(total)} received. Saving it ...`;
  const received = `${percent(loaded / total)} of ${bytes(total)} received`;
  if (stalledMillis) return `${received}, stalled for ${duration(stalledMillis / 1000)}.`;
  if (!speed) return `${received}.`;
  return `${received}, ${bytes(speed)}/s, ${duration(Math.ceil((total - loaded) / speed))} left.`;
}

/** Whether an answer is Runboard's: all of its answers have its content security policy; a proxy's answers do not. */
const isOurs = (request) => request.getResponseHeader("content-security-policy")?.startsWith("default-src 'none'") ?? false;

/** The meaning of an answer from a proxy in front of Runboard. */
function refusalInFront(status) {
  if (status === 413) return "Something in front of Runboard refuses files of this size (413). Ask the operator to raise its limit.";
  if (status === 504) return "Something in front of Runboard stopped waiting for it (504). Look for the file in your imports before you upload it again.";
  if (status === 502 || status === 503) return `Something in front of Runboard cannot reach it (${status}). Try again in a moment.`;
  if (status >= 400) return `Something in front of Runboard refused the upload (${status}). Nothing was imported.`;
  return "Something in front of Runboard answered instead of it. Reload this page, then choose the file again.";
}

/** The error in the returned page. */
function refusalIn(page) {
  return new DOMParser().parseFromString(page, "text/html").getElementById("upload-error")?.textContent.trim();
}

/** The result in the answer to an upload: the new import, or why it was refused. */
function readAnswer(request) {
  if (!isOurs(request)) return { error: refusalInFront(request.status) };
  if (request.status >= 400) return { error: refusalIn(request.responseText) || "The upload was refused. Nothing was imported." };
  const { pathname } = new URL(request.responseURL);
  if (pathname.startsWith("/imports/")) return { page: pathname };
  return { error: "You are no longer signed in. Sign in and choose the file again.", isSignedOut: true };
}

/** Sends a file. `onEnd` gets the result of `readAnswer`, or `{ isStopped }`. */
function transfer(file, meter, onProgress, onEnd) {
  const body = new FormData();
  if (byId("look")?.checked) body.append("look", "1");
  body.append("file", file);
  const request = new XMLHttpRequest();
  request.upload.onprogress = ({ loaded, total }) => {
    // The form is a little larger than the file in it.
    meter.add(Math.min(file.size, Math.max(0, loaded - (total - file.size))));
    onProgress();
  };
  request.onload = () => onEnd(readAnswer(request));
  request.onerror = () => onEnd({
    error: navigator.onLine ? `The connection dropped. ${file.name} was not imported.` : `You are offline. ${file.name} was not imported.`,
    advice: "Choose the file again to retry.",
  });
  request.onabort = () => onEnd({ isStopped: true });
  request.open("POST", "/imports");
  request.send(body);
  return request;
}
