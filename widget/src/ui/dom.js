/**
 * An element with attributes and children. Strings become text nodes, never
 * markup; `style` and event attributes are not accepted by any caller.
 * @template {keyof HTMLElementTagNameMap} Name
 * @param {Name} name
 * @param {Record<string, string | boolean | undefined>} [attributes]
 * @param {(Node | string)[]} [children]
 * @returns {HTMLElementTagNameMap[Name]}
 */
export function make(name, attributes = {}, children = []) {
  const element = document.createElement(name);
  for (const [key, value] of Object.entries(attributes)) {
    if (value !== undefined && value !== false) {
      element.setAttribute(key, value === true ? "" : value);
    }
  }
  element.append(...children);
  return element;
}

/**
 * A line icon of 24 by 24.
 * @param {string} path
 */
export function makeIcon(path) {
  const svg = document.createElementNS("http://www.w3.org/2000/svg", "svg");
  svg.setAttribute("viewBox", "0 0 24 24");
  svg.setAttribute("aria-hidden", "true");
  const line = document.createElementNS("http://www.w3.org/2000/svg", "path");
  line.setAttribute("d", path);
  svg.append(line);
  return svg;
}

/**
 * A link that gives the opened page no hold on this one.
 * @param {string} href
 * @param {(Node | string)[]} children
 * @param {Record<string, string>} [attributes]
 */
export function makeLink(href, children, attributes = {}) {
  const fixed = { href, target: "_blank", rel: "noopener noreferrer nofollow" };
  return make("a", { ...attributes, ...fixed }, children);
}
