import { expect, test } from "vitest";
import { SseDecoder } from "../../widget/src/answer/sse.js";

const STREAM = [
  "\ufeff: keep-alive\n\n",
  'data: {"text":"più 🌊 caffè"}\n\n',
  "event: note\r\nid: 1-7\r\ndata: first\r\ndata:second\r\ndata\r\n\r\n",
  "retry: 5\rdata:  two spaces\r\r",
  "event: ping\n\n",
  "data: separators \u2028 and \u0085 stay\n\n",
  ": late comment\n",
  "data: [DONE]\n\n",
].join("");
const EVENTS = [
  { event: "message", data: '{"text":"più 🌊 caffè"}', id: "" },
  { event: "note", data: "first\nsecond\n", id: "1-7" },
  { event: "message", data: " two spaces", id: "1-7" },
  { event: "message", data: "separators \u2028 and \u0085 stay", id: "1-7" },
  { event: "message", data: "[DONE]", id: "1-7" },
];
const BYTES = new TextEncoder().encode(STREAM);

/** @param {number[]} cuts */
function decodeCutAt(cuts) {
  const decoder = new SseDecoder();
  const edges = [0, ...cuts, BYTES.length];
  return edges.slice(1).flatMap((end, index) => decoder.push(BYTES.subarray(edges[index], end)));
}

test("events are the same for every piece size", () => {
  for (let size = 1; size <= BYTES.length; size += 1) {
    const count = Math.ceil(BYTES.length / size) - 1;
    const cuts = Array.from({ length: count }, (_, index) => (index + 1) * size);
    expect(decodeCutAt(cuts), `pieces of ${size} bytes`).toEqual(EVENTS);
  }
});

test("events are the same for every single cut", () => {
  for (let cut = 0; cut <= BYTES.length; cut += 1) {
    expect(decodeCutAt([cut]), `cut at ${cut}`).toEqual(EVENTS);
  }
});

test("an event is told as soon as its blank line has come", () => {
  const decoder = new SseDecoder();
  const encoder = new TextEncoder();
  expect(decoder.push(encoder.encode("data: a\r"))).toEqual([]);
  expect(decoder.push(encoder.encode("\n\r"))).toHaveLength(1);
  expect(decoder.push(encoder.encode("\ndata: b\n"))).toEqual([]);
});

test("an event that the end of the stream cuts off is not told", () => {
  const events = new SseDecoder().push(new TextEncoder().encode("data: a\n\ndata: half"));
  expect(events.map((event) => event.data)).toEqual(["a"]);
});

test("a line that never ends is refused", () => {
  const decoder = new SseDecoder();
  const piece = new Uint8Array(1 << 20).fill(97);
  expect(() => {
    for (let count = 0; count < 8; count += 1) {
      decoder.push(piece);
    }
  }).toThrow(RangeError);
});
