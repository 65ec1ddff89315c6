/**
 * What one run showed; times count from the moment of asking.
 * @typedef {object} Run
 * @property {"stream" | "whole"} mode
 * @property {number} firstByteMs
 * @property {number} firstDeltaMs when text could first be seen
 * @property {number} totalMs
 * @property {number[]} deltaTimesMs
 * @property {number} reads how many reads from the network brought deltas
 * @property {number} chars
 */

/** @typedef {{ p50: number, p95: number }} Percentiles */

const FEWEST_DELTAS = 8;

/**
 * The value below which this share of the values lies, interpolated.
 * @param {number[]} values
 * @param {number} share from 0 to 1
 */
export function toPercentile(values, share) {
  const sorted = values.slice().sort((a, b) => a - b);
  const place = (sorted.length - 1) * share;
  const below = sorted[Math.floor(place)] ?? Number.NaN;
  const above = sorted[Math.ceil(place)] ?? below;
  return below + (above - below) * (place - Math.floor(place));
}

/**
 * @param {number[]} values
 * @returns {Percentiles}
 */
export function toPercentiles(values) {
  return { p50: toPercentile(values, 0.5), p95: toPercentile(values, 0.95) };
}

/**
 * The pauses between deltas.
 * @param {number[]} timesMs
 */
export function toGaps(timesMs) {
  return timesMs.slice(1).map((time, index) => time - (timesMs[index] ?? time));
}

/**
 * A sentence when something on the way holds deltas back, else an empty string.
 * @param {Run} run
 */
export function describeBuffering(run) {
  const deltas = run.deltaTimesMs.length;
  if (run.mode !== "stream" || deltas < FEWEST_DELTAS) {
    return "";
  }
  const spanMs = (run.deltaTimesMs[deltas - 1] ?? 0) - (run.deltaTimesMs[0] ?? 0);
  if (run.totalMs > 300 && spanMs < run.totalMs * 0.05) {
    return `All ${deltas} deltas arrived within ${Math.round(spanMs)} ms at the end of ${Math.round(run.totalMs)} ms: something on the way buffers the whole answer.`;
  }
  if (run.reads * 4 <= deltas) {
    return `${deltas} deltas arrived in only ${run.reads} reads: something on the way collects them before it passes them on.`;
  }
  return "";
}
