/**
 * Why there is no whole answer:
 * `network` no connection; `refused` an HTTP error; `silent` no byte in time;
 * `stalled` bytes ceased; `unreadable` not an event stream; `broken` cut off or
 * garbled; `upstream` an error inside the stream; `stopped` the visitor's wish.
 * @typedef {"network" | "refused" | "silent" | "stalled" | "unreadable" | "broken" | "upstream" | "stopped"} FailureKind
 */

export class AnswerFailure extends Error {
  /**
   * @param {FailureKind} kind
   * @param {string} message
   * @param {{ status?: number, retryAfterMs?: number | null, cause?: unknown }} [more]
   */
  constructor(kind, message, more = {}) {
    super(message, { cause: more.cause });
    this.name = "AnswerFailure";
    this.kind = kind;
    this.status = more.status ?? 0;
    this.retryAfterMs = more.retryAfterMs ?? null;
  }

  /** Whether only the site's owner can help, by its keys or its allowed origins. */
  get isFinal() {
    return this.kind === "refused" && (this.status === 401 || this.status === 403);
  }
}

/**
 * The wait that a `Retry-After` header asks for, in seconds or as a date.
 * @param {string | null} header
 * @param {number} nowMs
 * @returns {number | null}
 */
export function toRetryAfterMs(header, nowMs) {
  if (header === null || header.trim() === "") {
    return null;
  }
  const seconds = Number(header);
  if (Number.isFinite(seconds)) {
    return Math.max(0, seconds * 1000);
  }
  const at = Date.parse(header);
  return Number.isNaN(at) ? null : Math.max(0, at - nowMs);
}

/**
 * The refusal that this response stands for; a body that is not in the error
 * shape (a proxy's HTML page) is not shown to anybody.
 * @param {Response} response
 */
export async function toRefusal(response) {
  let message = "";
  try {
    const body = await response.json();
    message = String(body?.error?.message ?? "");
  } catch (cause) {
    if (cause instanceof DOMException) {
      throw cause;
    }
  }
  const retryAfterMs = toRetryAfterMs(response.headers.get("retry-after"), Date.now());
  return new AnswerFailure("refused", message, { status: response.status, retryAfterMs });
}
