/** @typedef {{ event: string, data: string, id: string }} SseEvent */

// A citation list is the largest line the server sends, far below this.
const MAX_LINE_CHARS = 1 << 22;

/**
 * Turns the bytes of a `text/event-stream` body into its events, wherever the
 * network has cut them.
 */
export class SseDecoder {
  #text = new TextDecoder("utf-8");
  #line = "";
  #afterCr = false;
  /** @type {string[]} */
  #data = [];
  #event = "";
  #id = "";

  /**
   * Events that end within these bytes. What an end of file cuts off is never
   * returned, as the specification asks.
   * @param {Uint8Array} bytes
   * @returns {SseEvent[]}
   */
  push(bytes) {
    /** @type {SseEvent[]} */
    const events = [];
    for (const line of this.#lines(this.#text.decode(bytes, { stream: true }))) {
      if (line !== "") {
        this.#field(line);
      } else if (this.#data.length > 0) {
        events.push({ event: this.#event || "message", data: this.#data.join("\n"), id: this.#id });
        this.#data = [];
        this.#event = "";
      } else {
        this.#event = "";
      }
    }
    return events;
  }

  /**
   * @param {string} text
   * @returns {string[]}
   */
  #lines(text) {
    if (text === "") {
      return [];
    }
    // The LF of a CRLF may come with the next bytes: the line has ended already.
    const rest = this.#afterCr && text.startsWith("\n") ? text.slice(1) : text;
    this.#afterCr = text.endsWith("\r");
    const lines = rest.split(/\r\n|\n|\r/);
    const unfinished = lines.pop() ?? "";
    if (lines.length > 0) {
      lines[0] = this.#line + lines[0];
      this.#line = unfinished;
    } else {
      this.#line += unfinished;
    }
    if (this.#line.length > MAX_LINE_CHARS) {
      throw new RangeError("a line of the event stream is too long");
    }
    return lines;
  }

  /** @param {string} line */
  #field(line) {
    const colon = line.indexOf(":");
    if (colon === 0) {
      return;
    }
    const name = colon < 0 ? line : line.slice(0, colon);
    const start = line[colon + 1] === " " ? colon + 2 : colon + 1;
    const value = colon < 0 ? "" : line.slice(start);
    if (name === "data") {
      this.#data.push(value);
    } else if (name === "event") {
      this.#event = value;
    } else if (name === "id" && !value.includes("\0")) {
      this.#id = value;
    }
  }
}
