import { ask } from "./answer/ask.js";
import { AnswerFailure } from "./answer/failure.js";
import { AnswerView, makeQuestion } from "./ui/message.js";
import { toNote } from "./ui/notes.js";

/** @typedef {import("./types.js").AnswerEvent} AnswerEvent */
/** @typedef {import("./types.js").Message} Message */

/**
 * @typedef {object} ChatOptions
 * @property {import("./site/api.js").SiteApi} api
 * @property {import("./site/session.js").Session} session
 * @property {string} base
 * @property {boolean} stream
 * @property {HTMLElement} list
 * @property {import("./ui/scroll.js").BottomFollower} follower
 * @property {() => import("./ui/i18n.js").Texts} texts
 * @property {(isBusy: boolean) => void} onBusy
 */

/** The conversation on the screen: asks, shows and stops answers. */
export class Chat {
  #options;
  /** @type {AbortController | null} */
  #running = null;

  /** @param {ChatOptions} options */
  constructor(options) {
    this.#options = options;
  }

  get isBusy() {
    return this.#running !== null;
  }

  /** @param {Message[]} messages */
  restore(messages) {
    let question = "";
    for (const message of messages) {
      if (message.role === "user") {
        question = message.content;
        this.#options.list.append(makeQuestion(question, this.#options.texts()));
      } else {
        const isLast = message === messages[messages.length - 1];
        this.#restoreAnswer(message, isLast ? question : "");
      }
    }
    this.#options.follower.jump();
  }

  /** @param {string} question */
  ask(question) {
    this.#options.list.append(makeQuestion(question, this.#options.texts()));
    return this.#answer(question);
  }

  stop() {
    this.#running?.abort();
  }

  /** Ends what is running and empties the screen. */
  clear() {
    this.stop();
    this.#options.session.conversationId = "";
    this.#options.list.replaceChildren();
  }

  /** @param {string} question */
  async #answer(question) {
    const { api, stream, list, follower, onBusy, texts } = this.#options;
    const view = this.#makeView();
    list.append(view.element);
    follower.jump();
    const running = new AbortController();
    this.#running = running;
    onBusy(true);
    try {
      const finishReason = await ask(
        (isStream, signal) => api.postQuestion(question, isStream, signal),
        { stream, signal: running.signal, onEvent: (event) => this.#show(event, view) },
      );
      view.finish("complete", { note: finishReason === "length" ? texts().lengthLimit : "" });
    } catch (error) {
      this.#fail(view, error, question);
    } finally {
      if (this.#running === running) {
        this.#running = null;
        onBusy(false);
      }
      follower.follow();
    }
  }

  /**
   * @param {AnswerEvent} event
   * @param {AnswerView} view
   */
  #show(event, view) {
    if (!view.element.isConnected) {
      return;
    }
    if (event.type === "delta") {
      view.append(event.text);
    } else if (event.type === "citations") {
      view.cite(event.citations);
    } else if (event.type === "conversation") {
      this.#options.session.conversationId = event.id;
    } else {
      view.wait(this.#options.texts().waiting);
    }
  }

  /**
   * @param {AnswerView} view
   * @param {unknown} error
   * @param {string} question
   */
  #fail(view, error, question) {
    const failure =
      error instanceof AnswerFailure ? error : new AnswerFailure("broken", String(error));
    const texts = this.#options.texts();
    const note = toNote(failure, texts, view.hasText);
    if (failure.kind === "stopped") {
      view.finish("stopped", { note });
      return;
    }
    console.warn(`sitebrook: ${failure.kind} ${failure.status || ""} ${failure.message}`);
    const status = view.hasText ? "interrupted" : "failed";
    const onRetry = failure.isFinal ? undefined : () => this.#retry(view, question);
    view.finish(status, { note, onRetry });
  }

  /**
   * @param {AnswerView} view
   * @param {string} question
   */
  #retry(view, question) {
    if (!this.isBusy) {
      view.element.remove();
      this.#answer(question);
    }
  }

  /**
   * @param {Message} message
   * @param {string} question the one to ask again, if any
   */
  #restoreAnswer(message, question) {
    const view = this.#makeView();
    this.#options.list.append(view.element);
    view.append(message.content);
    view.cite(message.citations ?? []);
    if (message.status === "complete") {
      view.finish("complete");
      return;
    }
    const onRetry = question === "" ? undefined : () => this.#retry(view, question);
    view.finish("interrupted", { note: this.#options.texts().brokenOff, onRetry });
  }

  #makeView() {
    const { base, follower, texts } = this.#options;
    return new AnswerView({ texts: texts(), base, onDraw: () => follower.follow() });
  }
}
