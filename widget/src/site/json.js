import { toList } from "../lists.js";

/**
 * JSON without `toJSON`: libraries that add one to Array.prototype (Prototype.js)
 * turn every list into a string.
 * @param {unknown} value
 * @returns {string}
 */
export function toJson(value) {
  if (Array.isArray(value)) {
    return `[${toList(value, toJson).join(",")}]`;
  }
  if (typeof value === "object" && value !== null) {
    const members = [];
    for (const [name, member] of Object.entries(value)) {
      if (member !== undefined) {
        members.push(`${JSON.stringify(name)}:${toJson(member)}`);
      }
    }
    return `{${members.join(",")}}`;
  }
  return JSON.stringify(value);
}
