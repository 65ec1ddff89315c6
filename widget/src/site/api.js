import { Deadline } from "../answer/deadline.js";
import { AnswerFailure, toRefusal } from "../answer/failure.js";
import { toJson } from "./json.js";

/** @typedef {import("../types.js").Site} Site */
/** @typedef {import("../types.js").Conversation} Conversation */
/** @typedef {import("./session.js").Session} Session */
/** @typedef {(input: string, init: RequestInit) => Promise<Response>} Fetch */

const CALL_MS = 15_000;

/** The backend's HTTP surface as one visitor of one site sees it. */
export class SiteApi {
  #base;
  #siteKey;
  #session;
  #fetch;
  /** @type {Promise<Site> | null} */
  #minting = null;

  /**
   * @param {{ base: string, siteKey: string, session: Session, fetch?: Fetch }} options
   */
  constructor({ base, siteKey, session, fetch = (input, init) => window.fetch(input, init) }) {
    this.#base = base;
    this.#siteKey = siteKey;
    this.#session = session;
    this.#fetch = fetch;
  }

  /**
   * Mints or renews the visitor's token and tells about the site. Calls at the
   * same time share one request.
   */
  openVisitor() {
    this.#minting ??= this.#mint().finally(() => {
      this.#minting = null;
    });
    return this.#minting;
  }

  /**
   * The stored conversation, or null when there is none any more.
   * @returns {Promise<Conversation | null>}
   */
  async loadConversation() {
    const id = this.#session.conversationId;
    if (id === "") {
      return null;
    }
    const path = `/api/conversations/${encodeURIComponent(id)}`;
    const response = await withTimeLimit((signal) => this.#asVisitor(path, { signal }));
    if (response.status === 404) {
      this.#session.conversationId = "";
      return null;
    }
    if (!response.ok) {
      throw await toRefusal(response);
    }
    return await response.json();
  }

  /**
   * @param {string} question
   * @param {boolean} stream
   * @param {AbortSignal} signal
   * @returns {Promise<Response>}
   */
  async postQuestion(question, stream, signal) {
    const conversationId = this.#session.conversationId;
    const response = await this.#asVisitor("/v1/chat/completions", {
      method: "POST",
      signal,
      headers: { "Content-Type": "application/json" },
      body: toJson({
        messages: [{ role: "user", content: question }],
        stream,
        conversation_id: conversationId || undefined,
      }),
    });
    if (response.status === 404 && conversationId !== "") {
      this.#session.conversationId = "";
      return this.postQuestion(question, stream, signal);
    }
    return response;
  }

  async #mint() {
    const oldToken = this.#session.token;
    let response = await this.#postVisitor(oldToken ? { token: oldToken } : {});
    if (oldToken && [400, 401, 422].includes(response.status)) {
      response = await this.#postVisitor({});
    }
    if (!response.ok) {
      throw await toRefusal(response);
    }
    const visitor = await response.json();
    this.#session.token = String(visitor.token);
    return /** @type {Site} */ (visitor.site);
  }

  /** @param {{ token?: string }} body */
  async #postVisitor(body) {
    const init = {
      ...CLEAN_REQUEST,
      method: "POST",
      headers: { Authorization: `Bearer ${this.#siteKey}`, "Content-Type": "application/json" },
      body: toJson(body),
    };
    try {
      return await withTimeLimit((signal) =>
        this.#fetch(`${this.#base}/api/visitors`, { ...init, signal }),
      );
    } catch (error) {
      if (error instanceof AnswerFailure && error.kind === "network" && (await this.#isAlive())) {
        const message = `the origin ${window.location.origin} is not among the allowed origins`;
        throw new AnswerFailure("refused", message, { status: 403, cause: error });
      }
      throw error;
    }
  }

  /**
   * Whether the backend answers at all: of an origin that it refuses, browsers
   * tell no more than of a lost connection, but this address is open to all.
   */
  async #isAlive() {
    try {
      const response = await withTimeLimit((signal) =>
        this.#fetch(`${this.#base}/health/live`, { ...CLEAN_REQUEST, signal }),
      );
      return response.ok;
    } catch {
      return false;
    }
  }

  /**
   * @param {string} path
   * @param {RequestInit} init
   */
  async #asVisitor(path, init) {
    if (this.#session.token === "") {
      await this.openVisitor();
    }
    const send = () =>
      this.#fetch(this.#base + path, {
        ...CLEAN_REQUEST,
        ...init,
        headers: { ...init.headers, Authorization: `Bearer ${this.#session.token}` },
      });
    const response = await send();
    if (response.status !== 401) {
      return response;
    }
    await this.openVisitor();
    return send();
  }
}

/** @type {RequestInit} */
const CLEAN_REQUEST = { credentials: "omit", cache: "no-store", referrerPolicy: "origin" };

/**
 * @param {(signal: AbortSignal) => Promise<Response>} call
 */
async function withTimeLimit(call) {
  const deadline = new Deadline(new AbortController().signal);
  deadline.restart(CALL_MS, "silent");
  try {
    return await call(deadline.signal);
  } catch (error) {
    throw deadline.explain(error, "network");
  } finally {
    deadline.clear();
  }
}
