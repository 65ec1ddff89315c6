import { Lexer, Tokenizer } from "marked";

/** @typedef {import("marked").Token} Token */
/** @typedef {{ type: "citation", raw: string, index: number }} CitationToken */

// `[1](address)` is a link, `[1]` names a passage.
const MARKER = /^\[(\d{1,3})\](?!\()/;

/**
 * HTML stays text, and there are no link definitions: they would turn citation
 * markers into links, and a late one would change blocks that are drawn already.
 */
class AnswerTokenizer extends Tokenizer {
  /** @override */
  html() {
    return undefined;
  }

  /** @override */
  tag() {
    return undefined;
  }

  /** @override */
  def() {
    return undefined;
  }

  /** @override */
  reflink() {
    return undefined;
  }
}

/**
 * @param {string} text
 * @returns {CitationToken | undefined}
 */
function toCitation(text) {
  const marker = MARKER.exec(text);
  return marker ? { type: "citation", raw: marker[0], index: Number(marker[1]) } : undefined;
}

/**
 * The blocks of a Markdown text. Their `raw` strings joined give the text again.
 * @param {string} text with LF line ends
 * @returns {Token[]}
 */
export function toBlocks(text) {
  const lexer = new Lexer({
    gfm: true,
    tokenizer: new AnswerTokenizer(),
    extensions: { renderers: {}, childTokens: {}, inline: [toCitation] },
  });
  try {
    return lexer.lex(text);
  } catch {
    // Thousands of nested quotes or lists exhaust the stack of the lexer.
    return [{ type: "paragraph", raw: text, text, tokens: [{ type: "text", raw: text, text }] }];
  }
}
