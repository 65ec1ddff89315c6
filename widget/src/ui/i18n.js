/**
 * @typedef {object} Texts
 * @property {string} title the panel's name for screen readers, before the site is known
 * @property {string} input
 * @property {string} send
 * @property {string} stop
 * @property {string} close
 * @property {string} restart
 * @property {string} retry
 * @property {string} sources
 * @property {string} source with `{index}`
 * @property {string} quote
 * @property {string} you
 * @property {string} assistant
 * @property {string} typing
 * @property {string} waiting
 * @property {string} stopped
 * @property {string} brokenOff
 * @property {string} lengthLimit
 * @property {string} offline
 * @property {string} busy
 * @property {string} waitSeconds with `{seconds}`
 * @property {string} notAllowed
 * @property {string} failed
 */

/** @type {Texts} */
const ENGLISH = {
  title: "Chat",
  input: "Ask a question",
  send: "Send",
  stop: "Stop the answer",
  close: "Close",
  restart: "New conversation",
  retry: "Try again",
  sources: "Sources",
  source: "Source {index}",
  quote: "Show the passage",
  you: "You asked",
  assistant: "Answer",
  typing: "The answer is being written",
  waiting: "No connection yet, trying again …",
  stopped: "You stopped this answer.",
  brokenOff: "The answer broke off here.",
  lengthLimit: "The answer reached its greatest length.",
  offline: "The server cannot be reached. Check your connection and try again.",
  busy: "Too many questions at the moment.",
  waitSeconds: "Please try again in {seconds} s.",
  notAllowed: "This chat is not available on this page.",
  failed: "Something went wrong. Please try again.",
};

/** @type {Texts} */
const ITALIAN = {
  title: "Chat",
  input: "Fai una domanda",
  send: "Invia",
  stop: "Ferma la risposta",
  close: "Chiudi",
  restart: "Nuova conversazione",
  retry: "Riprova",
  sources: "Fonti",
  source: "Fonte {index}",
  quote: "Mostra il passaggio",
  you: "Hai chiesto",
  assistant: "Risposta",
  typing: "La risposta è in arrivo",
  waiting: "Ancora nessuna connessione, nuovo tentativo …",
  stopped: "Hai fermato questa risposta.",
  brokenOff: "La risposta si è interrotta qui.",
  lengthLimit: "La risposta ha raggiunto la lunghezza massima.",
  offline: "Il server non è raggiungibile. Controlla la connessione e riprova.",
  busy: "Troppe domande in questo momento.",
  waitSeconds: "Riprova tra {seconds} s.",
  notAllowed: "Questa chat non è disponibile in questa pagina.",
  failed: "Qualcosa è andato storto. Riprova.",
};

const TABLES = new Map([
  ["en", ENGLISH],
  ["it", ITALIAN],
]);

/**
 * The texts of the UI in this language, or in English.
 * @param {string | null | undefined} language a BCP 47 tag such as `it-CH`
 */
export function toTexts(language) {
  return TABLES.get((language ?? "").toLowerCase().split(/[-_]/)[0] ?? "") ?? ENGLISH;
}

/**
 * @param {string} text
 * @param {Record<string, string | number>} values
 */
export function fill(text, values) {
  return text.replace(/\{(\w+)\}/g, (whole, name) => String(values[name] ?? whole));
}
