import { fill } from "./i18n.js";

/** @typedef {import("../answer/failure.js").AnswerFailure} AnswerFailure */
/** @typedef {import("./i18n.js").Texts} Texts */

// Only these carry a text that is written for the visitor.
const STATUSES_FOR_VISITORS = [400, 413, 429, 503];

/**
 * What to tell the visitor about a failure.
 * @param {AnswerFailure} failure
 * @param {Texts} texts
 * @param {boolean} hasText whether a part of the answer is on the screen
 */
export function toNote(failure, texts, hasText) {
  if (failure.kind === "stopped") {
    return texts.stopped;
  }
  if (hasText) {
    return texts.brokenOff;
  }
  if (failure.kind === "network" || failure.kind === "silent") {
    return texts.offline;
  }
  return failure.kind === "refused" ? toRefusalNote(failure, texts) : texts.failed;
}

/**
 * @param {AnswerFailure} failure
 * @param {Texts} texts
 */
function toRefusalNote(failure, texts) {
  if (failure.isFinal) {
    return texts.notAllowed;
  }
  const own = STATUSES_FOR_VISITORS.includes(failure.status) ? failure.message : "";
  const text = own || (failure.status === 429 ? texts.busy : texts.failed);
  if (failure.retryAfterMs === null) {
    return text;
  }
  const seconds = Math.ceil(failure.retryAfterMs / 1000);
  // The server's own text may name the wait already.
  const isTold = new RegExp(`\\b${seconds} s\\b`).test(own);
  return isTold ? text : `${text} ${fill(texts.waitSeconds, { seconds })}`;
}
