import { AnswerFailure } from "./failure.js";

/** @typedef {import("../types.js").AnswerEvent} AnswerEvent */

/** Reads the chunks of one streamed answer and tells whether it came whole. */
export class ChunkReader {
  #onEvent;
  #isDone = false;
  /** @type {string | null} */
  #finishReason = null;
  #conversationId = "";

  /** @param {(event: AnswerEvent) => void} onEvent */
  constructor(onEvent) {
    this.#onEvent = onEvent;
  }

  get isDone() {
    return this.#isDone;
  }

  /** @param {string} data the payload of one SSE event */
  take(data) {
    if (data === "[DONE]") {
      this.#isDone = true;
      return;
    }
    const chunk = parse(data);
    if (chunk?.error) {
      throw new AnswerFailure("upstream", String(chunk.error.message ?? ""));
    }
    if (chunk?.conversation_id && chunk.conversation_id !== this.#conversationId) {
      this.#conversationId = String(chunk.conversation_id);
      this.#onEvent({ type: "conversation", id: this.#conversationId });
    }
    const choice = chunk?.choices?.[0];
    if (typeof choice?.delta?.content === "string" && choice.delta.content !== "") {
      this.#onEvent({ type: "delta", text: choice.delta.content });
    }
    if (chunk?.citations?.length > 0) {
      this.#onEvent({ type: "citations", citations: chunk.citations });
    }
    this.#finishReason = choice?.finish_reason ?? this.#finishReason;
  }

  /**
   * The finish reason of a whole answer; an answer that was cut off throws.
   * @returns {string}
   */
  end() {
    if (this.#finishReason === null && !this.#isDone) {
      throw new AnswerFailure("broken", "the stream ended before the answer was finished");
    }
    return this.#finishReason ?? "stop";
  }
}

/**
 * Tells the same events from an answer that came in one piece.
 * @param {any} completion
 * @param {(event: AnswerEvent) => void} onEvent
 * @returns {string} the finish reason
 */
export function readCompletion(completion, onEvent) {
  const choice = completion?.choices?.[0];
  if (typeof choice?.message?.content !== "string") {
    throw new AnswerFailure("broken", "the response holds no answer");
  }
  if (completion.conversation_id) {
    onEvent({ type: "conversation", id: String(completion.conversation_id) });
  }
  onEvent({ type: "delta", text: choice.message.content });
  if (completion.citations?.length > 0) {
    onEvent({ type: "citations", citations: completion.citations });
  }
  return String(choice.finish_reason ?? "stop");
}

/**
 * @param {string} data
 * @returns {any}
 */
function parse(data) {
  try {
    return JSON.parse(data);
  } catch (cause) {
    throw new AnswerFailure("broken", "the stream holds broken JSON", { cause });
  }
}
