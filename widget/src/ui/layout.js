import { make, makeIcon } from "./dom.js";

/** @typedef {import("./i18n.js").Texts} Texts */

const ICONS = {
  restart: "M4 12a8 8 0 1 0 2.6-5.9M4 4v4.5h4.5",
  close: "M6 6l12 12M18 6L6 18",
  send: "M12 19V5M5.5 11.5L12 5l6.5 6.5",
  stop: "M8 8h8v8H8z",
};

/**
 * @param {keyof typeof ICONS} name
 * @param {"button" | "submit"} [type]
 */
function makeButton(name, type = "button") {
  return make("button", { part: name, type }, [makeIcon(ICONS[name])]);
}

/**
 * The fixed elements of the panel.
 * @param {"left" | "right"} position
 */
export function makeLayout(position) {
  const title = make("h2", { part: "title", id: "title" });
  const restart = makeButton("restart");
  const close = makeButton("close");
  const messages = make("div", {
    part: "messages",
    role: "log",
    "aria-live": "polite",
    tabindex: "0",
  });
  const starters = make("div", { part: "starters" });
  const input = make("textarea", { part: "input", rows: "1", maxlength: "8000", dir: "auto" });
  const send = makeButton("send", "submit");
  const stop = makeButton("stop");
  stop.hidden = true;
  const composer = make("form", { part: "composer" }, [input, send, stop]);
  const header = make("header", { part: "header" }, [title, restart, close]);
  const panel = make(
    "section",
    {
      part: "panel",
      role: "dialog",
      "aria-labelledby": "title",
      "data-position": position,
      hidden: true,
    },
    [header, messages, starters, composer],
  );
  return { panel, title, restart, close, messages, starters, input, send, stop, composer };
}

/** @typedef {ReturnType<typeof makeLayout>} Layout */

/**
 * @param {Layout} layout
 * @param {Texts} texts
 * @param {string} name
 */
export function setTexts(layout, texts, name) {
  layout.title.textContent = name || texts.title;
  layout.input.placeholder = texts.input;
  layout.input.setAttribute("aria-label", texts.input);
  for (const key of /** @type {const} */ (["restart", "close", "send", "stop"])) {
    layout[key].title = texts[key];
    layout[key].setAttribute("aria-label", texts[key]);
  }
}
