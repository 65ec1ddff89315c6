import { readdir, readFile } from "node:fs/promises";
import { fileURLToPath } from "node:url";

const MAX_LINES = 400;
const sources = fileURLToPath(new URL("../src/", import.meta.url));
const statics = fileURLToPath(new URL("../../backend/sitebrook/static/", import.meta.url));
const OWN_BUNDLES = ["widget.js", "widget-panel.js", "test-streaming.js"];

// Text of models, documents and visitors must have no way to become markup or
// code, and a strict Content-Security-Policy must not break the widget.
const FORBIDDEN =
  /\b(?:innerHTML|outerHTML|insertAdjacentHTML|createContextualFragment|setHTMLUnsafe|srcdoc)\b|\bdocument\.write|\beval\(|\bnew Function\b|setAttribute\("style"/;

const names = (await readdir(sources, { recursive: true })).filter((name) => name.endsWith(".js"));
const paths = names.map((name) => sources + name).concat(OWN_BUNDLES.map((name) => statics + name));
const faults = [];
for (const path of paths) {
  const text = await readFile(path, "utf8");
  const forbidden = FORBIDDEN.exec(text);
  if (forbidden) {
    faults.push(`${path}: ${forbidden[0]} is not allowed`);
  }
  const lines = text.split("\n").length;
  if (path.startsWith(sources) && lines > MAX_LINES) {
    faults.push(`${path}: ${lines} lines, at most ${MAX_LINES}`);
  }
}
if (faults.length > 0) {
  console.error(faults.join("\n"));
  process.exitCode = 1;
}
