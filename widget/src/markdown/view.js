import { BlockCutter } from "./blocks.js";
import { draw } from "./draw.js";

// Hidden tabs get no animation frames; the text must be there when they return.
const HIDDEN_TAB_MS = 250;
// Some texts are slow to lex (a word of 20,000 characters takes a second): their
// drawings are spread so that the page keeps most of the time.
const CHEAP_MS = 8;
const PAUSE_FACTOR = 5;

/**
 * Draws a growing Markdown text into an element, at most once per frame. Blocks
 * that are final keep their nodes, only the unfinished end is drawn anew.
 */
export class MarkdownView {
  #element;
  #onDraw;
  #cutter = new BlockCutter();
  /** @type {ChildNode[]} */
  #unfinished = [];
  #frame = 0;
  #timer = 0;
  #costMs = 0;

  /**
   * @param {HTMLElement} element
   * @param {() => void} [onDraw]
   */
  constructor(element, onDraw = () => undefined) {
    this.#element = element;
    this.#onDraw = onDraw;
  }

  /** @param {string} text */
  append(text) {
    this.#cutter.append(text);
    if (this.#timer === 0) {
      this.#schedule();
    }
  }

  /** Draws now what has been appended. */
  flush() {
    cancelAnimationFrame(this.#frame);
    clearTimeout(this.#timer);
    this.#timer = 0;
    const startedAt = performance.now();
    for (const node of this.#unfinished) {
      node.remove();
    }
    this.#element.append(...draw(this.#cutter.takeFinal()));
    const finalCount = this.#element.childNodes.length;
    this.#element.append(...draw(this.#cutter.unfinished()));
    this.#unfinished = [...this.#element.childNodes].slice(finalCount);
    this.#onDraw();
    this.#costMs = performance.now() - startedAt;
  }

  #schedule() {
    const flush = () => this.flush();
    if (this.#costMs > CHEAP_MS) {
      this.#timer = Number(setTimeout(flush, this.#costMs * PAUSE_FACTOR));
    } else {
      this.#frame = requestAnimationFrame(flush);
      this.#timer = Number(setTimeout(flush, HIDDEN_TAB_MS));
    }
  }
}
