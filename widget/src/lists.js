/**
 * What `list.map(to)` gives. Pages with old libraries replace the methods of
 * Array.prototype by ones that do something else.
 * @template T, R
 * @param {ArrayLike<T>} list
 * @param {(entry: T) => R} to
 * @returns {R[]}
 */
export function toList(list, to) {
  const results = [];
  for (let index = 0; index < list.length; index += 1) {
    results[index] = to(/** @type {T} */ (list[index]));
  }
  return results;
}
