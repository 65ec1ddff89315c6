import { expect, test } from "vitest";
import { AnswerFailure } from "../../widget/src/answer/failure.js";
import { draw } from "../../widget/src/markdown/draw.js";
import { toBlocks } from "../../widget/src/markdown/lex.js";
import { toSafeUrl } from "../../widget/src/markdown/links.js";
import { describeBuffering, toGaps, toPercentile } from "../../widget/src/pages/stats.js";
import { linkMarkers, makeSources } from "../../widget/src/ui/citations.js";
import { fill, toTexts } from "../../widget/src/ui/i18n.js";
import { AnswerView } from "../../widget/src/ui/message.js";
import { toNote } from "../../widget/src/ui/notes.js";

const texts = toTexts("en");
const base = "https://chat.example/";

/**
 * @param {number} index
 * @param {string | null} url
 */
function makeCitation(index, url) {
  const words = {
    id: "c",
    document: "d",
    title: `Title ${index}`,
    heading: "Head",
    quote: "Said.",
  };
  return { index, url, score: 1, ...words };
}

test("only safe absolute addresses become links", () => {
  for (const good of ["https://a.example/x", "http://a.example", "mailto:me@a.example"]) {
    expect(toSafeUrl(good), good).not.toBeNull();
  }
  const bad = [
    "javascript:alert(1)",
    " https://a.example",
    "java\tscript:x",
    "data:text/html,x",
    "/x",
  ];
  for (const address of [
    ...bad,
    "//a.example",
    "https://u:p@a.example",
    "https://a.example/\u202e",
    "",
    null,
  ]) {
    expect(toSafeUrl(address), String(address)).toBeNull();
  }
  expect(toSafeUrl("/sources/d", base)).toBe("https://chat.example/sources/d");
  expect(toSafeUrl("javascript:alert(1)", base)).toBeNull();
});

test("markers lead to their sources, and markers without a source stay text", () => {
  const answer = document.createElement("div");
  answer.append(...draw(toBlocks("A [1], b [2], c [3], `[1]`.")));
  /** @type {number[]} */
  const shown = [];
  const citations = [makeCitation(1, "/sources/d"), makeCitation(2, "javascript:alert(1)")];
  linkMarkers(answer, citations, { base, texts, onShow: (index) => shown.push(index) });
  const controls = Array.from(answer.querySelectorAll("[part=citation]"));
  expect(controls.map((control) => control.localName)).toEqual(["a", "button"]);
  expect(controls[0]?.getAttribute("href")).toBe("https://chat.example/sources/d");
  controls[1]?.dispatchEvent(new window.Event("click"));
  expect(shown).toEqual([2]);
  expect(answer.textContent).toBe("A 1, b 2, c [3], [1].");
});

test("sources show title, heading and quote as text", () => {
  const hostile = { ...makeCitation(1, null), title: "<img src=x>", quote: "<script>x</script>" };
  const sources = makeSources([hostile, makeCitation(2, "https://a.example/")], { base, texts });
  expect(sources.querySelectorAll("img, script")).toHaveLength(0);
  expect(sources.querySelectorAll("[part=source]")).toHaveLength(2);
  expect(sources.querySelector("[part=source-title]")?.textContent).toBe("<img src=x>");
  expect(sources.querySelectorAll("a")).toHaveLength(1);
});

test("a broken answer keeps its text and offers a retry", () => {
  const view = new AnswerView({ texts, base });
  let retries = 0;
  view.append("Half an answ");
  view.finish("interrupted", { note: texts.brokenOff, onRetry: () => (retries += 1) });
  expect(view.element.getAttribute("data-status")).toBe("interrupted");
  expect(view.element.querySelector("[part=text]")?.textContent).toBe("Half an answ");
  /** @type {HTMLButtonElement | null} */
  const retry = view.element.querySelector("[part=retry]");
  retry?.click();
  expect(retries).toBe(1);
});

test("visitors read words that are meant for them", () => {
  const busy = new AnswerFailure("refused", "Full house.", { status: 429, retryAfterMs: 41_200 });
  expect(toNote(busy, texts, false)).toBe("Full house. Please try again in 42 s.");
  const quick = "You are asking very quickly. Please try again in 42 s.";
  const refused = new AnswerFailure("refused", quick, { status: 429, retryAfterMs: 41_200 });
  expect(toNote(refused, texts, false)).toBe(quick);
  const fault = new AnswerFailure("refused", "KeyError at line 3", { status: 500 });
  expect(toNote(fault, texts, false)).toBe(texts.failed);
  expect(toNote(new AnswerFailure("refused", "x", { status: 403 }), texts, false)).toBe(
    texts.notAllowed,
  );
  expect(toNote(new AnswerFailure("broken", ""), texts, true)).toBe(texts.brokenOff);
});

test("what only the site's owner can mend is not offered again", () => {
  const statuses = [401, 403, 429, 503];
  const refused = statuses.map((status) => new AnswerFailure("refused", "x", { status }));
  expect(refused.map((failure) => failure.isFinal)).toEqual([true, true, false, false]);
  expect(new AnswerFailure("network", "").isFinal).toBe(false);
});

test("languages are found by their tag, and unknown ones get English", () => {
  expect(toTexts("it-CH").send).toBe("Invia");
  expect(toTexts("IT_it").send).toBe("Invia");
  expect(toTexts("xx").send).toBe("Send");
  expect(toTexts(null).send).toBe("Send");
  expect(Object.keys(toTexts("it"))).toEqual(Object.keys(texts));
});

test("unknown places in a text are left alone", () => {
  expect(fill("{a} of {b}", { a: 1 })).toBe("1 of {b}");
});

test("percentiles and pauses are those of the values", () => {
  expect(toPercentile([4, 1, 3, 2], 0.5)).toBe(2.5);
  expect(toPercentile([7], 0.95)).toBe(7);
  expect(toPercentile([], 0.5)).toBeNaN();
  expect(toGaps([10, 15, 35])).toEqual([5, 20]);
});

test("buffering on the way is told, and its absence is not", () => {
  const times = Array.from({ length: 40 }, (_, index) => 100 + index * 20);
  const run = /** @type {const} */ ({
    mode: "stream",
    firstByteMs: 5,
    firstDeltaMs: 100,
    chars: 200,
  });
  const steady = { ...run, totalMs: 900, deltaTimesMs: times, reads: 40 };
  expect(describeBuffering(steady)).toBe("");
  expect(describeBuffering({ ...steady, reads: 5 })).toContain("5 reads");
  const late = times.map((_, index) => 890 + index / 10);
  expect(describeBuffering({ ...steady, deltaTimesMs: late })).toContain(
    "buffers the whole answer",
  );
});
