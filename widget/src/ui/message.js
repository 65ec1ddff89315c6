import { MarkdownView } from "../markdown/view.js";
import { linkMarkers, makeSources, showSource } from "./citations.js";
import { make } from "./dom.js";

/** @typedef {import("../types.js").Citation} Citation */
/** @typedef {import("./i18n.js").Texts} Texts */
/** @typedef {"streaming" | "complete" | "stopped" | "interrupted" | "failed"} AnswerStatus */

/**
 * @param {string} question
 * @param {Texts} texts
 */
export function makeQuestion(question, texts) {
  return make("article", { part: "message", "data-role": "user", "aria-label": texts.you }, [
    make("div", { part: "text", dir: "auto" }, [question]),
  ]);
}

/** One answer in the list: text, note, retry and sources. */
export class AnswerView {
  #texts;
  #base;
  #view;
  #hasText = false;
  #text = make("div", { part: "text", dir: "auto" });
  #note = make("p", { part: "note", hidden: true });
  #typing;
  /** @type {Citation[]} */
  #citations = [];

  /** @param {{ texts: Texts, base: string, onDraw?: () => void }} options */
  constructor({ texts, base, onDraw }) {
    this.#texts = texts;
    this.#base = base;
    this.#view = new MarkdownView(this.#text, onDraw);
    this.#typing = make("div", { part: "typing", role: "img", "aria-label": texts.typing }, [
      make("i"),
      make("i"),
      make("i"),
    ]);
    this.element = make(
      "article",
      { part: "message", "data-role": "assistant", "aria-label": texts.assistant },
      [this.#typing, this.#text, this.#note],
    );
    this.#setStatus("streaming");
  }

  /** @param {string} text */
  append(text) {
    if (text !== "") {
      this.#hasText = true;
      this.#typing.remove();
      this.#note.hidden = true;
      this.#view.append(text);
    }
  }

  /** @param {Citation[]} citations */
  cite(citations) {
    this.#citations = citations;
  }

  /** @param {string} note shown until the text begins */
  wait(note) {
    this.#showNote(note);
  }

  get hasText() {
    return this.#hasText;
  }

  /**
   * @param {AnswerStatus} status
   * @param {{ note?: string, onRetry?: () => void }} [more]
   */
  finish(status, { note = "", onRetry } = {}) {
    this.#typing.remove();
    this.#view.flush();
    this.#setStatus(status);
    this.#showNote(note);
    if (onRetry) {
      const retry = make("button", { part: "retry", type: "button" }, [this.#texts.retry]);
      retry.addEventListener("click", onRetry);
      this.#note.append(" ", retry);
    }
    if (this.#citations.length > 0) {
      this.#addSources();
    }
  }

  #addSources() {
    const options = { base: this.#base, texts: this.#texts };
    const sources = makeSources(this.#citations, options);
    const onShow = (/** @type {number} */ index) => showSource(sources, index);
    linkMarkers(this.#text, this.#citations, { ...options, onShow });
    this.element.append(sources);
  }

  /** @param {AnswerStatus} status */
  #setStatus(status) {
    this.element.setAttribute("data-status", status);
    // Screen readers read the answer once, when it is there.
    this.element.setAttribute("aria-busy", String(status === "streaming"));
  }

  /** @param {string} note */
  #showNote(note) {
    this.#note.replaceChildren(note);
    this.#note.hidden = note === "";
  }
}
