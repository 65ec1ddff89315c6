/** @typedef {import("./failure.js").AnswerFailure} AnswerFailure */

export const MAX_RETRIES = 3;
const FIRST_WAIT_MS = 500;
const LONGEST_WAIT_MS = 8_000;
// A visitor who is told to wait longer decides better than a timer does.
const LONGEST_RETRY_AFTER_MS = 10_000;
const RETRIED_STATUSES = [429, 502, 503, 504];

/**
 * How long to wait before this retry, or null when it is not to be tried.
 * `random` gives numbers in [0, 1).
 * @param {AnswerFailure} failure
 * @param {number} retry counted from 0
 * @param {() => number} random
 * @returns {number | null}
 */
export function toWaitMs(failure, retry, random) {
  const isPassing =
    failure.kind === "network" ||
    (failure.kind === "refused" && RETRIED_STATUSES.includes(failure.status));
  if (!isPassing || retry >= MAX_RETRIES) {
    return null;
  }
  const longestMs = Math.min(LONGEST_WAIT_MS, FIRST_WAIT_MS * 2 ** retry);
  const jitteredMs = longestMs / 2 + (random() * longestMs) / 2;
  if (failure.retryAfterMs === null) {
    return jitteredMs;
  }
  return failure.retryAfterMs > LONGEST_RETRY_AFTER_MS
    ? null
    : Math.max(failure.retryAfterMs, jitteredMs);
}
