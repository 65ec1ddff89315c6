const SVG = "http://www.w3.org/2000/svg";
const WIDTH = 640;
const HEIGHT = 96;

/**
 * @param {string} name
 * @param {Record<string, string | number>} attributes
 */
function makeSvg(name, attributes) {
  const element = document.createElementNS(SVG, name);
  for (const [key, value] of Object.entries(attributes)) {
    element.setAttribute(key, String(value));
  }
  return element;
}

/**
 * One bar per pause between two deltas, the longest as high as the chart.
 * @param {number[]} gapsMs
 */
export function drawGaps(gapsMs) {
  const longestMs = Math.max(1, ...gapsMs);
  const label = `Pauses between ${gapsMs.length + 1} deltas, the longest ${longestMs.toFixed(0)} ms`;
  const chart = makeSvg("svg", {
    viewBox: `0 0 ${WIDTH} ${HEIGHT}`,
    preserveAspectRatio: "none",
    role: "img",
    "aria-label": label,
  });
  const step = WIDTH / Math.max(gapsMs.length, 1);
  const bars = gapsMs.map((gap, index) => {
    const height = Math.max(1, (gap / longestMs) * HEIGHT);
    return makeSvg("rect", {
      x: (index * step).toFixed(2),
      y: (HEIGHT - height).toFixed(2),
      width: Math.max(step * 0.8, 0.5).toFixed(2),
      height: height.toFixed(2),
    });
  });
  chart.append(...bars);
  return chart;
}
