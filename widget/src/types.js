/**
 * @typedef {object} Site
 * @property {string} name
 * @property {string} language
 * @property {string} greeting
 * @property {string[]} starters
 */

/**
 * A passage that the answer names by its marker `[index]`.
 * @typedef {object} Citation
 * @property {number} index
 * @property {string} id
 * @property {string} document
 * @property {string} title
 * @property {string | null} url
 * @property {string | null} heading
 * @property {string | null} quote
 * @property {number | null} score
 */

/**
 * @typedef {object} Message
 * @property {string} id
 * @property {"user" | "assistant"} role
 * @property {string} content
 * @property {Citation[]} [citations]
 * @property {"complete" | "interrupted"} status
 * @property {string} created_at
 */

/** @typedef {{ id: string, messages: Message[] }} Conversation */

/**
 * @typedef {{ type: "conversation", id: string }
 *   | { type: "delta", text: string }
 *   | { type: "citations", citations: Citation[] }
 *   | { type: "waiting" }} AnswerEvent
 */

/**
 * What the launcher hands to the panel.
 * @typedef {object} PanelOptions
 * @property {ShadowRoot} root
 * @property {HTMLButtonElement} launcher
 * @property {string} base address of the backend, without a slash at the end
 * @property {string} siteKey
 * @property {boolean} stream
 * @property {"left" | "right"} position
 */

/** @typedef {{ open: () => void, close: () => void, isOpen: () => boolean }} Panel */

export {};
