import { attempt } from "./attempt.js";
import { toWaitMs } from "./backoff.js";
import { AnswerFailure } from "./failure.js";

/** @typedef {import("../types.js").AnswerEvent} AnswerEvent */

/**
 * @typedef {object} AskOptions
 * @property {boolean} stream
 * @property {AbortSignal} signal
 * @property {(event: AnswerEvent) => void} onEvent
 * @property {() => number} [random]
 * @property {(waitMs: number, signal: AbortSignal) => Promise<void>} [sleep]
 */

/**
 * Asks until an answer begins: short faults are retried, a stream that does not
 * come is asked for in one piece. After the first delta nothing is repeated.
 * Returns the finish reason.
 * @param {import("./attempt.js").Post} post
 * @param {AskOptions} options
 */
export async function ask(post, options) {
  const { signal, onEvent, random = Math.random, sleep = sleepUnless } = options;
  const progress = { stream: options.stream, retry: 0, hasDelta: false };
  /** @param {AnswerEvent} event */
  const note = (event) => {
    progress.hasDelta ||= event.type === "delta";
    onEvent(event);
  };
  for (;;) {
    try {
      return await attempt(post, { stream: progress.stream, signal, onEvent: note });
    } catch (error) {
      const waitMs = toNextWaitMs(/** @type {AnswerFailure} */ (error), progress, random);
      if (waitMs === null) {
        throw error;
      }
      if (waitMs > 0) {
        onEvent({ type: "waiting" });
        await sleep(waitMs, signal);
      }
    }
  }
}

/**
 * The wait before the next attempt, or null when there is to be none.
 * @param {AnswerFailure} failure
 * @param {{ stream: boolean, retry: number, hasDelta: boolean }} progress
 * @param {() => number} random
 * @returns {number | null}
 */
function toNextWaitMs(failure, progress, random) {
  if (progress.hasDelta) {
    return null;
  }
  if (progress.stream && isStreamingAtFault(failure)) {
    progress.stream = false;
    return 0;
  }
  const waitMs = toWaitMs(failure, progress.retry, random);
  progress.retry += 1;
  return waitMs;
}

/** @param {AnswerFailure} failure */
function isStreamingAtFault(failure) {
  return ["silent", "unreadable", "broken", "stalled"].includes(failure.kind);
}

/**
 * @param {number} waitMs
 * @param {AbortSignal} signal
 * @returns {Promise<void>}
 */
function sleepUnless(waitMs, signal) {
  return new Promise((resolve, reject) => {
    const stop = () => {
      clearTimeout(timer);
      reject(new AnswerFailure("stopped", "stopped by the visitor"));
    };
    const timer = setTimeout(() => {
      signal.removeEventListener("abort", stop);
      resolve();
    }, waitMs);
    signal.addEventListener("abort", stop, { once: true });
    if (signal.aborted) {
      stop();
    }
  });
}
