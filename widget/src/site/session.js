/** @typedef {Pick<Storage, "getItem" | "setItem" | "removeItem">} Store */

/**
 * The browser's storage, or a memory that ends with the page where storage is
 * blocked (private windows, sandboxed frames, third-party rules).
 * @param {() => Store} [open]
 * @returns {Store}
 */
export function openStore(open = () => window.localStorage) {
  try {
    const store = open();
    store.setItem("sitebrook", "1");
    store.removeItem("sitebrook");
    return store;
  } catch {
    return new MemoryStore();
  }
}

class MemoryStore {
  /** @type {Map<string, string>} */
  #values = new Map();

  /** @param {string} name */
  getItem(name) {
    return this.#values.get(name) ?? null;
  }

  /**
   * @param {string} name
   * @param {string} value
   */
  setItem(name, value) {
    this.#values.set(name, value);
  }

  /** @param {string} name */
  removeItem(name) {
    this.#values.delete(name);
  }
}

/** What one site's widget remembers about its visitor: token and conversation. */
export class Session {
  #store;
  #name;
  #token = "";
  #conversationId = "";

  /**
   * @param {Store} store
   * @param {{ base: string, siteKey: string }} site
   */
  constructor(store, { base, siteKey }) {
    this.#store = store;
    this.#name = `sitebrook:${base}:${siteKey}`;
    const saved = parse(store.getItem(this.#name));
    this.#token = typeof saved?.token === "string" ? saved.token : "";
    this.#conversationId = typeof saved?.conversation_id === "string" ? saved.conversation_id : "";
  }

  get token() {
    return this.#token;
  }

  set token(token) {
    this.#token = token;
    this.#save();
  }

  get conversationId() {
    return this.#conversationId;
  }

  set conversationId(conversationId) {
    this.#conversationId = conversationId;
    this.#save();
  }

  #save() {
    const saved = { token: this.#token, conversation_id: this.#conversationId };
    try {
      this.#store.setItem(this.#name, JSON.stringify(saved));
    } catch {
      // A full storage costs the visitor the restored conversation, not the chat.
    }
  }
}

/**
 * @param {string | null} text
 * @returns {any}
 */
function parse(text) {
  try {
    return JSON.parse(text ?? "null");
  } catch {
    return null;
  }
}
