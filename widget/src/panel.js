import { AnswerFailure } from "./answer/failure.js";
import { Chat } from "./chat.js";
import { toList } from "./lists.js";
import styles from "./panel.css";
import { SiteApi } from "./site/api.js";
import { openStore, Session } from "./site/session.js";
import { make } from "./ui/dom.js";
import { toTexts } from "./ui/i18n.js";
import { makeLayout, setTexts } from "./ui/layout.js";
import { toNote } from "./ui/notes.js";
import { BottomFollower } from "./ui/scroll.js";

/** @typedef {import("./types.js").PanelOptions} PanelOptions */
/** @typedef {import("./types.js").Site} Site */

/**
 * Puts the closed panel beside the launcher.
 * @param {PanelOptions} options
 * @returns {import("./types.js").Panel}
 */
export function mount(options) {
  const sheet = new CSSStyleSheet();
  sheet.replaceSync(styles);
  options.root.adoptedStyleSheets = [...options.root.adoptedStyleSheets, sheet];
  return new PanelView(options);
}

class PanelView {
  #launcher;
  #layout;
  #chat;
  #api;
  #texts = toTexts(document.documentElement.lang);
  /** @type {Site | null} */
  #site = null;
  #isStarting = false;

  /** @param {PanelOptions} options */
  constructor({ root, launcher, base, siteKey, stream, position }) {
    this.#launcher = launcher;
    this.#layout = makeLayout(position);
    const session = new Session(openStore(), { base, siteKey });
    this.#api = new SiteApi({ base, siteKey, session });
    this.#chat = new Chat({
      api: this.#api,
      session,
      base,
      stream,
      list: this.#layout.messages,
      follower: new BottomFollower(this.#layout.messages),
      texts: () => this.#texts,
      onBusy: (isBusy) => this.#setBusy(isBusy),
    });
    setTexts(this.#layout, this.#texts, "");
    this.#listen();
    root.append(this.#layout.panel);
  }

  isOpen() {
    return !this.#layout.panel.hidden;
  }

  open() {
    this.#layout.panel.hidden = false;
    this.#launcher.setAttribute("aria-expanded", "true");
    this.#focusInput();
    if (!this.#site) {
      this.#start();
    }
  }

  #focusInput() {
    // On touch screens the keyboard would cover what there is to read.
    const isTouch = window.matchMedia("(pointer: coarse)").matches;
    const { close, input } = this.#layout;
    (isTouch ? close : input).focus({ preventScroll: true });
  }

  close() {
    this.#layout.panel.hidden = true;
    this.#launcher.setAttribute("aria-expanded", "false");
    this.#launcher.focus();
  }

  async #start() {
    if (this.#isStarting) {
      return;
    }
    this.#isStarting = true;
    this.#layout.messages.replaceChildren();
    try {
      const site = await this.#api.openVisitor();
      this.#texts = toTexts(site.language);
      this.#layout.panel.lang = site.language;
      setTexts(this.#layout, this.#texts, site.name);
      const conversation = await this.#api.loadConversation();
      this.#site = site;
      if (conversation && conversation.messages.length > 0) {
        this.#chat.restore(conversation.messages);
      } else {
        this.#greet();
      }
    } catch (error) {
      this.#showStartFailure(error);
    } finally {
      this.#isStarting = false;
    }
  }

  #greet() {
    const { messages, starters } = this.#layout;
    if (this.#site?.greeting) {
      messages.append(make("p", { part: "greeting", dir: "auto" }, [this.#site.greeting]));
    }
    const buttons = toList(this.#site?.starters ?? [], (starter) => {
      const button = make("button", { part: "starter", type: "button", dir: "auto" }, [starter]);
      button.addEventListener("click", () => this.#ask(starter));
      return button;
    });
    starters.replaceChildren(...buttons);
  }

  /** @param {unknown} error */
  #showStartFailure(error) {
    const failure =
      error instanceof AnswerFailure ? error : new AnswerFailure("broken", String(error));
    console.warn(`sitebrook: ${failure.kind} ${failure.status || ""} ${failure.message}`);
    const text = toNote(failure, this.#texts, false);
    const note = make("p", { part: "note", role: "alert" }, [text]);
    if (!failure.isFinal) {
      const retry = make("button", { part: "retry", type: "button" }, [this.#texts.retry]);
      retry.addEventListener("click", () => this.#start());
      note.append(" ", retry);
    }
    this.#layout.messages.replaceChildren(note);
  }

  /** @param {string} question */
  #ask(question) {
    if (!this.#site || this.#chat.isBusy) {
      return;
    }
    this.#layout.starters.replaceChildren();
    this.#layout.input.value = "";
    this.#fitInput();
    this.#focusInput();
    this.#chat.ask(question);
  }

  /** @param {boolean} isBusy */
  #setBusy(isBusy) {
    const { send, stop, panel } = this.#layout;
    const hadFocus = panel.contains(/** @type {ShadowRoot} */ (panel.getRootNode()).activeElement);
    send.hidden = isBusy;
    stop.hidden = !isBusy;
    if (hadFocus && !isBusy) {
      this.#focusInput();
    }
  }

  #fitInput() {
    const { input } = this.#layout;
    input.rows = Math.min(6, Math.max(1, input.value.split("\n").length));
  }

  #listen() {
    const { panel, close, restart, composer, input, stop } = this.#layout;
    close.addEventListener("click", () => this.close());
    stop.addEventListener("click", () => this.#chat.stop());
    restart.addEventListener("click", () => {
      if (this.#site) {
        this.#chat.clear();
        this.#greet();
        this.#focusInput();
      }
    });
    composer.addEventListener("submit", (event) => {
      event.preventDefault();
      const question = input.value.trim();
      if (question !== "") {
        this.#ask(question);
      }
    });
    input.addEventListener("input", () => this.#fitInput());
    input.addEventListener("keydown", (event) => {
      // An Enter that ends the composition of a Chinese or Japanese word sends nothing.
      if (event.key === "Enter" && !event.shiftKey && !event.isComposing) {
        event.preventDefault();
        composer.requestSubmit();
      }
    });
    // Shortcuts of the page must not fire while somebody types a question.
    for (const type of /** @type {const} */ (["keydown", "keypress", "keyup"])) {
      panel.addEventListener(type, (event) => event.stopPropagation());
    }
    panel.addEventListener("keydown", (event) => {
      if (event.key === "Escape" && !event.isComposing) {
        this.close();
      }
    });
  }
}
