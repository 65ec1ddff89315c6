import { expect, test } from "vitest";
import { BlockCutter } from "../../widget/src/markdown/blocks.js";
import { draw } from "../../widget/src/markdown/draw.js";
import { toBlocks } from "../../widget/src/markdown/lex.js";
import { HOSTILE, random, SAMPLES } from "./samples.js";

/** @param {Node[]} nodes */
function toHtml(nodes) {
  const element = document.createElement("div");
  element.append(...nodes);
  return element.innerHTML;
}

/** @param {string} text */
function drawWhole(text) {
  return toHtml(draw(toBlocks(text.replace(/\r\n?/g, "\n"))));
}

/** @param {string[]} pieces */
function drawInPieces(pieces) {
  const cutter = new BlockCutter();
  /** @type {Node[]} */
  const nodes = [];
  for (const piece of pieces) {
    cutter.append(piece);
    nodes.push(...draw(cutter.takeFinal()));
  }
  return toHtml(nodes.concat(draw(cutter.unfinished())));
}

/** @param {string} text */
function dom(text) {
  const element = document.createElement("div");
  element.append(...draw(toBlocks(text)));
  return element;
}

test("a text drawn character by character equals the text drawn at once", () => {
  for (const text of SAMPLES) {
    expect(drawInPieces([...text]), text).toBe(drawWhole(text));
  }
});

test("every state on the way equals the same text drawn at once", () => {
  const text = SAMPLES.join("\n\n");
  const cutter = new BlockCutter();
  /** @type {Node[]} */
  const final = [];
  for (let end = 1; end <= text.length; end += 1) {
    cutter.append(text.slice(end - 1, end));
    final.push(...draw(cutter.takeFinal()));
    const shown = final.concat(draw(cutter.unfinished())).map((node) => node.cloneNode(true));
    expect(toHtml(shown)).toBe(drawWhole(text.slice(0, end)));
  }
});

test("random mixtures of blocks and inline marks are drawn alike in pieces and at once", () => {
  const next = random(7);
  const parts = SAMPLES.join("\n").split(/(?<=\n)|(?=[*_`[\]|>#-])/);
  for (let round = 0; round < 300; round += 1) {
    const count = 3 + Math.floor(next() * 20);
    const pieces = Array.from(
      { length: count },
      () => parts[Math.floor(next() * parts.length)] ?? "",
    );
    const text = pieces.join("");
    expect(drawInPieces([...text]), JSON.stringify(text)).toBe(drawWhole(text));
  }
});

test("a final block is lexed no more", () => {
  const cutter = new BlockCutter();
  cutter.append("# One\n\ntwo\n\nthree\n");
  expect(cutter.takeFinal().map((block) => block.type)).toEqual([
    "heading",
    "space",
    "paragraph",
    "space",
  ]);
  expect(cutter.takeFinal()).toEqual([]);
  expect(cutter.unfinished().map((block) => block.raw.trim())).toEqual(["three"]);
});

test("all allowed constructs become elements", () => {
  const element = dom(SAMPLES.join("\n\n"));
  const names = new Set(Array.from(element.querySelectorAll("*"), (node) => node.localName));
  for (const name of "p h3 h4 ul ol li input em strong del code pre blockquote table th td hr br a".split(
    " ",
  )) {
    expect(names, name).toContain(name);
  }
  expect(element.querySelector("ol[start='3']")).not.toBeNull();
  expect(element.querySelectorAll("li[data-task] input[checked]")).toHaveLength(1);
});

test("links open apart and carry no way back", () => {
  const link = dom("[docs](https://example.com/a?b=1&amp;c=2)").querySelector("a");
  expect(link?.getAttribute("href")).toBe("https://example.com/a?b=1&c=2");
  expect(link?.getAttribute("rel")).toBe("noopener noreferrer nofollow");
  expect(link?.getAttribute("target")).toBe("_blank");
});

test("hostile text gives no element, attribute or address beyond the allowlist", () => {
  const elements =
    /^(p|h[3-6]|ul|ol|li|input|em|strong|del|code|pre|blockquote|div|table|thead|tbody|tr|th|td|hr|br|a|span)$/;
  const attributes =
    /^(href|rel|target|start|align|tabindex|type|disabled|checked|part|data-(task|lang|citation))$/;
  for (const text of HOSTILE) {
    for (const node of dom(text).querySelectorAll("*")) {
      expect(node.localName, text).toMatch(elements);
      for (const name of node.getAttributeNames()) {
        expect(name, text).toMatch(attributes);
      }
      expect(node.getAttribute("href") ?? "https:", text).toMatch(/^(https?|mailto):/);
    }
  }
});

test("HTML is shown as the text it is", () => {
  const text = '<script>alert(1)</script> and <img src=x onerror="alert(2)">';
  expect(dom(text).textContent).toBe(text);
});

test("an image is a link with its description", () => {
  const element = dom("![a chart](https://example.com/x.png)");
  expect(element.querySelector("img")).toBeNull();
  expect(element.querySelector("a")?.textContent).toBe("a chart");
  expect(dom("![x](javascript:alert)").querySelector("a")).toBeNull();
});

test("a marker is not swallowed by a link definition of the same number", () => {
  const element = dom("See [1].\n\n[1]: https://evil.example/");
  expect(element.querySelectorAll("[data-citation='1']")).toHaveLength(2);
});

test("character references are resolved in text and left alone in code", () => {
  expect(dom("a &amp; b &lt;c&gt; &#233; &unknown; &#0;").textContent).toBe(
    "a & b <c> é &unknown; \ufffd",
  );
  expect(dom("`&amp;`").textContent).toBe("&amp;");
});

test("additions to Array.prototype by the page change nothing", () => {
  const text = SAMPLES.join("\n\n");
  const before = drawWhole(text);
  Object.defineProperty(Array.prototype, "hostile", {
    value: () => 1,
    enumerable: true,
    configurable: true,
  });
  try {
    expect(drawWhole(text)).toBe(before);
  } finally {
    Reflect.deleteProperty(Array.prototype, "hostile");
  }
});

test("nesting without end is drawn without exhausting the stack", () => {
  for (const text of [
    ">".repeat(20_000),
    "- ".repeat(5_000),
    "*_".repeat(2_000),
    "[".repeat(5_000),
  ]) {
    expect(dom(text).textContent?.length).toBeGreaterThanOrEqual(0);
  }
}, 20_000);
