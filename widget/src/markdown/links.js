const SAFE_PROTOCOLS = ["http:", "https:", "mailto:"];

/**
 * The address when it is safe to offer as a link, else null. Only absolute web
 * and mail addresses pass, unless a base is given for relative ones.
 * @param {string | null | undefined} address
 * @param {string} [base]
 * @returns {string | null}
 */
export function toSafeUrl(address, base) {
  if (!address || hasDeceptiveChar(address)) {
    return null;
  }
  let url;
  try {
    url = new URL(address, base);
  } catch {
    return null;
  }
  // "https://bank.example@other.example" shows one host and opens another.
  const hidesHost = url.username !== "" || url.password !== "";
  return SAFE_PROTOCOLS.includes(url.protocol) && !hidesHost ? url.href : null;
}

/**
 * Controls, spaces and marks that turn the writing direction: parsers drop some
 * of them silently, so that "java\tscript:" works as an address.
 * @param {string} text
 */
function hasDeceptiveChar(text) {
  for (let index = 0; index < text.length; index += 1) {
    const code = text.charCodeAt(index);
    const isControl = code <= 0x20 || (code >= 0x7f && code <= 0xa0);
    const isInvisible =
      (code >= 0x200b && code <= 0x200f) ||
      (code >= 0x2028 && code <= 0x202e) ||
      (code >= 0x2066 && code <= 0x2069) ||
      code === 0xfeff;
    if (isControl || isInvisible) {
      return true;
    }
  }
  return false;
}
