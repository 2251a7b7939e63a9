// Shows the server's numbers (1,234,567 and 84.6 MB) in the viewer's format. Scripts read the `data-*`
// attributes, which stay unchanged.

const wholes = new Intl.NumberFormat(undefined, { maximumFractionDigits: 0 });
const tenths = new Intl.NumberFormat(undefined, { minimumFractionDigits: 1, maximumFractionDigits: 1 });
const writesAsServer = wholes.format(1234567) === "1,234,567" && tenths.format(1.5) === "1.5";

/** The elements whose numbers come from the server and are not part of a file or a name. */
const numbers = ".figures dd, .count, .sentence, .history .number, .amount, .how-read, .file-notes, .card-name .hint, .place, .plot text, .timeline .detail, #drop-hint";
/** A grouped number, or one with a decimal, that is not part of an address or a version. */
const written = /(?<![\d.,])(?:\d{1,3}(?:,\d{3})+|\d+\.\d)(?![.,]?\d)/g;

const inViewersForm = (text) => text.includes(",") ? wholes.format(BigInt(text.replaceAll(",", ""))) : tenths.format(Number(text));

function localiseNumbers(root) {
  if (writesAsServer) return;
  for (const element of root.querySelectorAll(numbers)) {
    const texts = document.createTreeWalker(element, NodeFilter.SHOW_TEXT);
    while (texts.nextNode()) texts.currentNode.data = texts.currentNode.data.replace(written, inViewersForm);
  }
}

const count = (number) => wholes.format(number);
const percent = (fraction) => `${Math.floor(fraction * 100)}%`;

function bytes(number) {
  const units = [["TB", 1e12, tenths], ["GB", 1e9, tenths], ["MB", 1e6, tenths], ["KB", 1e3, wholes]];
  const [name, unit, format] = units.find(([, unit]) => number >= unit) ?? ["bytes", 1, wholes];
  return `${format.format(number / unit)} ${name}`;
}
