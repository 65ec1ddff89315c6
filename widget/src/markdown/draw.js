import { toList } from "../lists.js";
import { make, makeLink } from "../ui/dom.js";
import { decodeEntities } from "./entities.js";
import { toSafeUrl } from "./links.js";

/** @typedef {import("marked").Token} Token */
/** @typedef {import("marked").Tokens.List} List */
/** @typedef {import("marked").Tokens.ListItem} ListItem */
/** @typedef {import("marked").Tokens.Table} Table */
/** @typedef {import("marked").Tokens.TableCell} TableCell */

// Deeper nesting says nothing to a reader and costs layout time.
const MAX_DEPTH = 24;

/** @type {Record<string, "p" | "blockquote" | "strong" | "em" | "del">} */
const PLAIN_ELEMENTS = {
  paragraph: "p",
  blockquote: "blockquote",
  strong: "strong",
  em: "em",
  del: "del",
};

/**
 * The DOM nodes of these tokens. Token types that are not known here are shown
 * as the text they were written as.
 * @param {Token[]} tokens
 * @param {number} [depth]
 * @returns {Node[]}
 */
export function draw(tokens, depth = 0) {
  const nodes = [];
  for (const token of tokens) {
    const node = depth > MAX_DEPTH ? toText(token.raw) : drawOne(token, depth + 1);
    if (node) {
      nodes.push(node);
    }
  }
  return nodes;
}

/**
 * @param {any} token
 * @param {number} depth
 * @returns {Node | null}
 */
function drawOne(token, depth) {
  const plain = Object.hasOwn(PLAIN_ELEMENTS, token.type) ? PLAIN_ELEMENTS[token.type] : undefined;
  if (plain) {
    return make(plain, {}, draw(token.tokens, depth));
  }
  switch (token.type) {
    case "space":
      return null;
    case "text":
      return token.tokens ? drawTight(token.tokens, depth) : toText(decodeEntities(token.text));
    case "escape":
      return toText(token.text);
    case "heading":
      return drawHeading(token, depth);
    case "code":
      return drawCode(token.text, token.lang);
    case "codespan":
      return make("code", {}, [token.text]);
    case "list":
      return drawList(token, depth);
    case "checkbox":
      return make("input", { type: "checkbox", disabled: true, checked: token.checked });
    case "table":
      return drawTable(token, depth);
    case "hr":
    case "br":
      return make(token.type);
    case "link":
      return drawLink(token, draw(token.tokens, depth));
    case "image":
      return drawLink(token, [toText(decodeEntities(token.text) || token.href)]);
    case "citation":
      return make("span", { "data-citation": String(token.index) }, [token.raw]);
    default:
      return toText(token.raw);
  }
}

/** @param {string} text */
function toText(text) {
  return document.createTextNode(text);
}

/**
 * @param {Token[]} tokens
 * @param {number} depth
 */
function drawTight(tokens, depth) {
  const fragment = document.createDocumentFragment();
  fragment.append(...draw(tokens, depth));
  return fragment;
}

/**
 * The panel's own heading is an h2, so an answer's begin below it.
 * @param {import("marked").Tokens.Heading} token
 * @param {number} depth
 */
function drawHeading(token, depth) {
  const level = /** @type {"h3" | "h4" | "h5" | "h6"} */ (`h${Math.min(token.depth + 2, 6)}`);
  return make(level, {}, draw(token.tokens, depth));
}

/**
 * @param {string} text
 * @param {string | undefined} lang
 */
function drawCode(text, lang) {
  const name = /^[\w+#.-]{1,20}/.exec(lang ?? "")?.[0];
  return make("pre", { tabindex: "0", "data-lang": name }, [make("code", {}, [text])]);
}

/**
 * @param {List} list
 * @param {number} depth
 */
function drawList(list, depth) {
  const start = list.ordered && list.start !== 1 ? String(list.start) : undefined;
  const items = toList(list.items, (item) => drawListItem(item, depth));
  return make(list.ordered ? "ol" : "ul", { start }, items);
}

/**
 * @param {ListItem} item
 * @param {number} depth
 */
function drawListItem(item, depth) {
  return make("li", { "data-task": item.task }, draw(item.tokens, depth));
}

/**
 * @param {Table} table
 * @param {number} depth
 */
function drawTable(table, depth) {
  /** @param {TableCell} cell */
  const toCell = (cell) =>
    make(cell.header ? "th" : "td", { align: cell.align ?? undefined }, draw(cell.tokens, depth));
  /** @param {TableCell[]} row */
  const toRow = (row) => make("tr", {}, toList(row, toCell));
  const head = make("thead", {}, [toRow(table.header)]);
  const body = make("tbody", {}, toList(table.rows, toRow));
  const element = make("table", {}, [head, body]);
  return make("div", { part: "table", tabindex: "0" }, [element]);
}

/**
 * @param {{ href: string }} token
 * @param {Node[]} children
 */
function drawLink(token, children) {
  const href = toSafeUrl(decodeEntities(token.href));
  if (href) {
    return makeLink(href, children);
  }
  const fragment = document.createDocumentFragment();
  fragment.append(...children);
  return fragment;
}
