import { ChunkReader, readCompletion } from "./chunks.js";
import { Deadline } from "./deadline.js";
import { AnswerFailure, toRefusal } from "./failure.js";
import { SseDecoder } from "./sse.js";

/** @typedef {import("../types.js").AnswerEvent} AnswerEvent */
/** @typedef {(stream: boolean, signal: AbortSignal) => Promise<Response>} Post */

/** The server sends its first byte (a delta or a keep-alive) within about 5 s. */
export const FIRST_BYTE_MS = 15_000;
/** Keep-alive comments come every 10 s: six of them lost is a dead connection. */
export const IDLE_MS = 60_000;
/** Without streaming there is no sign of life before the whole answer. */
export const WHOLE_ANSWER_MS = 120_000;

/**
 * One request for an answer. Returns the finish reason; every other end throws
 * an `AnswerFailure`.
 * @param {Post} post
 * @param {{ stream: boolean, signal: AbortSignal, onEvent: (event: AnswerEvent) => void }} options
 * @returns {Promise<string>}
 */
export async function attempt(post, { stream, signal, onEvent }) {
  const deadline = new Deadline(signal);
  deadline.restart(stream ? FIRST_BYTE_MS : WHOLE_ANSWER_MS, "silent");
  /** @type {"network" | "broken"} */
  let stage = "network";
  try {
    const response = await post(stream, deadline.signal);
    stage = "broken";
    if (!response.ok) {
      throw await toRefusal(response);
    }
    const kind = response.headers.get("content-type") ?? "";
    if (kind.includes("application/json")) {
      return readCompletion(await response.json(), onEvent);
    }
    if (!kind.includes("text/event-stream") || !response.body) {
      throw new AnswerFailure("unreadable", `the answer came as '${kind}'`);
    }
    return await readStream(response.body, deadline, onEvent);
  } catch (error) {
    throw deadline.explain(error, stage);
  } finally {
    deadline.clear();
  }
}

/**
 * @param {ReadableStream<Uint8Array>} body
 * @param {Deadline} deadline
 * @param {(event: AnswerEvent) => void} onEvent
 */
async function readStream(body, deadline, onEvent) {
  const reader = body.getReader();
  const decoder = new SseDecoder();
  const chunks = new ChunkReader(onEvent);
  try {
    while (!chunks.isDone) {
      const { done, value } = await reader.read();
      if (done) {
        break;
      }
      deadline.restart(IDLE_MS, "stalled");
      for (const event of decoder.push(value)) {
        chunks.take(event.data);
      }
    }
    return chunks.end();
  } finally {
    // Without it the browser keeps the connection open until the server closes.
    reader.cancel().catch(() => undefined);
    reader.releaseLock();
  }
}
