import styles from "./launcher.css";

/** @typedef {import("./types.js").Panel} Panel */
/** @typedef {{ mount: (options: import("./types.js").PanelOptions) => Panel }} PanelModule */

const script = /** @type {HTMLScriptElement | null} */ (document.currentScript);
const base = script?.src.replace(/\/(?:static\/)?widget\.js(?:[?#].*)?$/, "") ?? "";
const settings = script?.dataset ?? {};
const siteKey = settings.siteKey ?? "";
const position = settings.position === "left" ? "left" : "right";
const isItalian = /^it\b/i.test(document.documentElement.lang);

/** @type {HTMLButtonElement} */
let button;
/** @type {ShadowRoot} */
let root;
/** @type {Promise<Panel> | undefined} */
let loading;
let failures = 0;

function load() {
  // Browsers remember a module that failed to load: ask under another name.
  const again = failures > 0 ? `&r=${failures}` : "";
  const url = `${base}/static/widget-panel.js?v=${PANEL_VERSION}${again}`;
  loading ??= import(url)
    .then((/** @type {PanelModule} */ panel) =>
      panel.mount({
        root,
        launcher: button,
        base,
        siteKey,
        stream: settings.stream !== "false",
        position,
      }),
    )
    .catch((error) => {
      failures += 1;
      loading = undefined;
      console.error("sitebrook: the panel did not load", error);
      throw error;
    });
  return loading;
}

const prefetch = () => void load().catch(() => undefined);

const toggle = () =>
  void load().then(
    (panel) => (panel.isOpen() ? panel.close() : panel.open()),
    () => undefined,
  );

function makeIcon() {
  const svg = document.createElementNS("http://www.w3.org/2000/svg", "svg");
  svg.setAttribute("viewBox", "0 0 24 24");
  svg.setAttribute("aria-hidden", "true");
  const path = document.createElementNS("http://www.w3.org/2000/svg", "path");
  path.setAttribute(
    "d",
    "M4 6.5A2.5 2.5 0 0 1 6.5 4h11A2.5 2.5 0 0 1 20 6.5v7a2.5 2.5 0 0 1-2.5 2.5H11l-5 4v-4.1a2.5 2.5 0 0 1-2-2.4zM8 8.5h8M8 12h5",
  );
  svg.append(path);
  return svg;
}

function start() {
  const host = document.createElement("sitebrook-widget");
  root = host.attachShadow({ mode: "open" });
  const sheet = new CSSStyleSheet();
  sheet.replaceSync(styles);
  root.adoptedStyleSheets = [sheet];
  button = document.createElement("button");
  button.type = "button";
  button.setAttribute("part", "launcher");
  button.setAttribute("data-position", position);
  button.setAttribute("aria-expanded", "false");
  button.setAttribute(
    "aria-label",
    settings.label || (isItalian ? "Apri la chat" : "Open the chat"),
  );
  button.append(makeIcon());
  if (settings.label) {
    button.append(settings.label);
  }
  button.addEventListener("pointerenter", prefetch);
  button.addEventListener("focus", prefetch);
  button.addEventListener("click", toggle);
  root.append(button);
  // Rules that hide the children of body, and its transforms, do not reach here.
  document.documentElement.append(host);
  if (settings.open === "true") {
    toggle();
  }
}

if (!script || !siteKey) {
  console.error("sitebrook: the script tag needs src and data-site-key");
} else if (!document.querySelector("sitebrook-widget")) {
  start();
}
