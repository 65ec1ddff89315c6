/** @type {ReadonlyMap<string, string>} */
const NAMED = new Map([
  ["amp", "&"],
  ["lt", "<"],
  ["gt", ">"],
  ["quot", '"'],
  ["apos", "'"],
  ["nbsp", "\u00a0"],
  ["copy", "©"],
  ["reg", "®"],
  ["deg", "°"],
  ["euro", "€"],
  ["hellip", "…"],
  ["mdash", "—"],
  ["ndash", "–"],
  ["laquo", "«"],
  ["raquo", "»"],
  ["times", "×"],
  ["rarr", "→"],
  ["larr", "←"],
]);

/**
 * Text with the character references that models write resolved; the lexer
 * leaves them to an HTML parser, which is never used here.
 * @param {string} text
 */
export function decodeEntities(text) {
  if (!text.includes("&")) {
    return text;
  }
  return text.replace(
    /&(?:#(\d{1,7})|#[xX]([\da-fA-F]{1,6})|(\w{1,8}));/g,
    (whole, dec, hex, name) => {
      if (name) {
        return NAMED.get(name) ?? whole;
      }
      const code = dec ? Number(dec) : Number.parseInt(hex, 16);
      const isChar = code > 0 && code <= 0x10ffff && (code < 0xd800 || code > 0xdfff);
      return isChar ? String.fromCodePoint(code) : "\ufffd";
    },
  );
}
