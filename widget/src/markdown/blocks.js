import { toBlocks } from "./lex.js";

/** @typedef {import("marked").Token} Token */

/**
 * Cuts a growing Markdown text into blocks that no later text can change and the
 * rest, so that each piece is lexed as long as it is unfinished and never again.
 */
export class BlockCutter {
  #rest = "";
  #endsWithCr = false;
  #hasNewLine = false;

  /** @param {string} text */
  append(text) {
    const joined = this.#endsWithCr && text.startsWith("\n") ? text.slice(1) : text;
    this.#endsWithCr = text.endsWith("\r");
    const normal = joined.replace(/\r\n?/g, "\n");
    this.#rest += normal;
    this.#hasNewLine ||= normal.includes("\n");
  }

  /**
   * The blocks that have become final since the last call.
   *
   * A block is final when another one follows that begins with a whole line: an
   * unfinished line may still become a list item ("2" → "2. b") or the rule of a
   * table, and so belong to the block before.
   * @returns {Token[]}
   */
  takeFinal() {
    if (!this.#hasNewLine) {
      return [];
    }
    this.#hasNewLine = false;
    const blocks = toBlocks(this.#rest.slice(0, this.#rest.lastIndexOf("\n") + 1));
    let last = blocks.length - 1;
    while (last > 0 && blocks[last]?.type === "space") {
      last -= 1;
    }
    const final = blocks.slice(0, Math.max(last, 0));
    let chars = 0;
    for (const block of final) {
      chars += block.raw.length;
    }
    this.#rest = this.#rest.slice(chars);
    return final;
  }

  /**
   * The blocks of the rest, as far as they can be told by now.
   * @returns {Token[]}
   */
  unfinished() {
    return toBlocks(this.#rest);
  }
}
