import { expect, test } from "vitest";
import { ask } from "../../widget/src/answer/ask.js";
import { toWaitMs } from "../../widget/src/answer/backoff.js";
import { ChunkReader } from "../../widget/src/answer/chunks.js";
import { AnswerFailure, toRetryAfterMs } from "../../widget/src/answer/failure.js";

/** @typedef {import("../../widget/src/types.js").AnswerEvent} AnswerEvent */

const EVENT_STREAM = { headers: { "Content-Type": "text/event-stream" } };

/**
 * @param {object} delta
 * @param {string | null} [finish]
 */
const toFrame = (delta, finish = null) =>
  `data: ${JSON.stringify({ conversation_id: "conv_1", choices: [{ index: 0, delta, finish_reason: finish }] })}\n\n`;
const WHOLE = [toFrame({ content: "Hi" }), toFrame({}, "stop"), "data: [DONE]\n\n"].join("");
const PLAIN = {
  conversation_id: "conv_1",
  choices: [{ message: { content: "Hi" }, finish_reason: "stop" }],
};
const ERROR = { error: { message: "busy", type: "x", param: null, code: null } };

/** @param {string} text */
const toStream = (text) => new Response(text, EVENT_STREAM);

/**
 * Plays one response per request and keeps what happened.
 * @param {(Response | Error)[]} responses
 * @param {boolean} [stream]
 */
async function play(responses, stream = true) {
  /** @type {AnswerEvent[]} */
  const events = [];
  /** @type {boolean[]} */
  const asked = [];
  /** @type {number[]} */
  const waitsMs = [];
  const post = async (/** @type {boolean} */ isStream) => {
    asked.push(isStream);
    const response = responses[asked.length - 1];
    if (!response || response instanceof Error) {
      throw response ?? new Error("asked too often");
    }
    return response;
  };
  const end = await ask(post, {
    stream,
    signal: new AbortController().signal,
    onEvent: (event) => events.push(event),
    random: () => 0.5,
    sleep: async (waitMs) => void waitsMs.push(waitMs),
  }).catch((/** @type {AnswerFailure} */ failure) => failure);
  const text = events.map((event) => (event.type === "delta" ? event.text : "")).join("");
  return { end, text, events, asked, waitsMs };
}

test("a whole stream gives its text, its conversation and its finish reason", async () => {
  const { end, text, events } = await play([toStream(WHOLE)]);
  expect(end).toBe("stop");
  expect(text).toBe("Hi");
  expect(events[0]).toEqual({ type: "conversation", id: "conv_1" });
});

test("a stream that ends early is never a whole answer", async () => {
  const { end, text, asked } = await play([toStream(toFrame({ content: "Hi" }))]);
  expect(end).toMatchObject({ kind: "broken" });
  expect(text).toBe("Hi");
  expect(asked).toEqual([true]);
});

test("an error inside the stream ends the answer and keeps its text", async () => {
  const broken = `${toFrame({ content: "Hi" })}data: ${JSON.stringify(ERROR)}\n\n`;
  const { end, text, asked } = await play([toStream(broken)]);
  expect(end).toMatchObject({ kind: "upstream", message: "busy" });
  expect(text).toBe("Hi");
  expect(asked).toHaveLength(1);
});

test("an empty stream and a foreign content type are asked for in one piece", async () => {
  for (const first of [toStream(""), new Response("<html>")]) {
    const { end, text, asked } = await play([first, Response.json(PLAIN)]);
    expect(end).toBe("stop");
    expect(text).toBe("Hi");
    expect(asked).toEqual([true, false]);
  }
});

test("passing faults are tried three times more, with growing waits", async () => {
  const lost = new TypeError("network");
  const gone = new Response("", { status: 503 });
  const { end, waitsMs } = await play([lost, gone, lost, toStream(WHOLE)]);
  expect(end).toBe("stop");
  expect(waitsMs).toEqual([375, 750, 1500]);
  const failed = await play([lost, lost, lost, lost, toStream(WHOLE)]);
  expect(failed.end).toMatchObject({ kind: "network" });
});

test("a refusal is told at once with the server's words", async () => {
  const { end, asked } = await play([Response.json(ERROR, { status: 400 })]);
  expect(end).toMatchObject({ kind: "refused", status: 400, message: "busy" });
  expect(asked).toHaveLength(1);
});

test("a stopped answer is not asked again", async () => {
  const stopper = new AbortController();
  const post = (/** @type {boolean} */ _stream, /** @type {AbortSignal} */ signal) =>
    new Promise((_, reject) => {
      signal.addEventListener("abort", () => reject(signal.reason));
      stopper.abort();
    });
  const end = ask(/** @type {any} */ (post), {
    stream: true,
    signal: stopper.signal,
    onEvent: () => undefined,
  });
  await expect(end).rejects.toMatchObject({ kind: "stopped" });
});

test("citations of a stream and of a JSON answer are told alike", async () => {
  const citations = [{ index: 1, title: "Keys" }];
  const last = JSON.stringify({ choices: [{ delta: {}, finish_reason: "stop" }], citations });
  const streamed = await play([toStream(`${toFrame({ content: "a" })}data: ${last}\n\n`)]);
  const plain = await play([Response.json({ ...PLAIN, citations })], false);
  for (const { events } of [streamed, plain]) {
    expect(events).toContainEqual({ type: "citations", citations });
  }
});

test("broken JSON inside a stream is a broken answer", () => {
  const reader = new ChunkReader(() => undefined);
  expect(() => reader.take('{"choices":[{"del')).toThrow(AnswerFailure);
});

test("the wait honours Retry-After, unless it is too long to sit through", () => {
  const toBusy = (/** @type {number} */ retryAfterMs) =>
    new AnswerFailure("refused", "", { status: 429, retryAfterMs });
  expect(toWaitMs(toBusy(4000), 0, () => 0)).toBe(4000);
  expect(toWaitMs(toBusy(60_000), 0, () => 0)).toBeNull();
  expect(toWaitMs(new AnswerFailure("refused", "", { status: 400 }), 0, () => 0)).toBeNull();
  expect(toWaitMs(new AnswerFailure("network", ""), 3, () => 0)).toBeNull();
});

test("Retry-After is read as seconds or as a date", () => {
  const nowMs = Date.parse("2026-01-01T00:00:00Z");
  expect(toRetryAfterMs("1.5", nowMs)).toBe(1500);
  expect(toRetryAfterMs("Thu, 01 Jan 2026 00:00:10 GMT", nowMs)).toBe(10_000);
  expect(toRetryAfterMs("soon", nowMs)).toBeNull();
  expect(toRetryAfterMs(null, nowMs)).toBeNull();
});
