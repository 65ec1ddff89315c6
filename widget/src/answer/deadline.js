import { AnswerFailure } from "./failure.js";

/** Aborts a request when the visitor stops it or when nothing moves for too long. */
export class Deadline {
  #controller = new AbortController();
  #timer = 0;
  #outer;
  #stop = () => this.#controller.abort(new AnswerFailure("stopped", "stopped by the visitor"));

  /** @param {AbortSignal} outer */
  constructor(outer) {
    this.#outer = outer;
    if (outer.aborted) {
      this.#stop();
    } else {
      outer.addEventListener("abort", this.#stop, { once: true });
    }
  }

  get signal() {
    return this.#controller.signal;
  }

  /**
   * @param {number} waitMs
   * @param {"silent" | "stalled"} kind
   */
  restart(waitMs, kind) {
    clearTimeout(this.#timer);
    const failure = new AnswerFailure(kind, `no byte for ${waitMs} ms`);
    this.#timer = Number(setTimeout(() => this.#controller.abort(failure), waitMs));
  }

  clear() {
    clearTimeout(this.#timer);
    this.#outer.removeEventListener("abort", this.#stop);
  }

  /**
   * What went wrong. Browsers report an abort in different ways, so the own
   * reason wins over the exception.
   * @param {unknown} error
   * @param {"network" | "broken"} otherwise
   */
  explain(error, otherwise) {
    if (this.signal.aborted && this.signal.reason instanceof AnswerFailure) {
      return this.signal.reason;
    }
    if (error instanceof AnswerFailure) {
      return error;
    }
    return new AnswerFailure(otherwise, String(error), { cause: error });
  }
}
