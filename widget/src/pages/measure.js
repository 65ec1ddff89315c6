import { ChunkReader, readCompletion } from "../answer/chunks.js";
import { Deadline } from "../answer/deadline.js";
import { toRefusal } from "../answer/failure.js";
import { SseDecoder } from "../answer/sse.js";

/** @typedef {import("./stats.js").Run} Run */
/** @typedef {{ key: string, model: string, question: string }} Target */

const LIMIT_MS = 120_000;

/**
 * The key to send with questions: a publishable one is changed for a visitor's token.
 * @param {string} key
 * @returns {Promise<string>}
 */
export async function toBearer(key) {
  if (!key.startsWith("pk-")) {
    return key;
  }
  const response = await fetch("/api/visitors", {
    method: "POST",
    headers: toHeaders(key),
    body: "{}",
  });
  if (!response.ok) {
    throw await toRefusal(response);
  }
  return (await response.json()).token;
}

/**
 * The names of the models this secret key may ask.
 * @param {string} key
 * @returns {Promise<string[]>}
 */
export async function loadModels(key) {
  const response = await fetch("/v1/models", { headers: toHeaders(key) });
  if (!response.ok) {
    throw await toRefusal(response);
  }
  const { data } = await response.json();
  return data.map((/** @type {{ id: string }} */ model) => model.id);
}

/**
 * Asks once and takes the times. The text is told while it comes.
 * @param {Target} target
 * @param {"stream" | "whole"} mode
 * @param {(text: string) => void} onText
 * @returns {Promise<Run>}
 */
export async function measure(target, mode, onText) {
  const bearer = await toBearer(target.key);
  const startedAt = performance.now();
  const deadline = new Deadline(new AbortController().signal);
  deadline.restart(LIMIT_MS, "stalled");
  try {
    const response = await fetch("/v1/chat/completions", {
      method: "POST",
      signal: deadline.signal,
      headers: toHeaders(bearer),
      body: JSON.stringify(toBody(target, mode)),
    });
    if (!response.ok) {
      throw await toRefusal(response);
    }
    const run = await read(response, mode, { startedAt, onText });
    run.totalMs = performance.now() - startedAt;
    return run;
  } catch (error) {
    throw deadline.explain(error, "network");
  } finally {
    deadline.clear();
  }
}

/**
 * @param {Response} response
 * @param {"stream" | "whole"} mode
 * @param {{ startedAt: number, onText: (text: string) => void }} options
 */
async function read(response, mode, { startedAt, onText }) {
  /** @type {Run} */
  const run = {
    mode,
    firstByteMs: 0,
    firstDeltaMs: 0,
    totalMs: 0,
    deltaTimesMs: [],
    reads: 0,
    chars: 0,
  };
  /** @param {import("../types.js").AnswerEvent} event */
  const take = (event) => {
    if (event.type === "delta") {
      run.deltaTimesMs.push(performance.now() - startedAt);
      run.firstDeltaMs ||= performance.now() - startedAt;
      run.chars += event.text.length;
      onText(event.text);
    }
  };
  const reader = response.body?.getReader();
  const bytes = [];
  const decoder = new SseDecoder();
  const chunks = new ChunkReader(take);
  for (let step = await reader?.read(); step?.value; step = await reader?.read()) {
    run.firstByteMs ||= performance.now() - startedAt;
    if (mode === "whole") {
      bytes.push(step.value);
      continue;
    }
    const before = run.deltaTimesMs.length;
    for (const event of decoder.push(step.value)) {
      chunks.take(event.data);
    }
    run.reads += run.deltaTimesMs.length > before ? 1 : 0;
  }
  if (mode === "whole") {
    readCompletion(JSON.parse(await new Blob(bytes).text()), take);
  } else {
    chunks.end();
  }
  return run;
}

/**
 * @param {Target} target
 * @param {"stream" | "whole"} mode
 */
function toBody({ key, model, question }, mode) {
  const body = { messages: [{ role: "user", content: question }], stream: mode === "stream" };
  // The model of a publishable key is the site's to choose.
  return key.startsWith("pk-") || model === "" ? body : { ...body, model };
}

/** @param {string} bearer */
function toHeaders(bearer) {
  return { Authorization: `Bearer ${bearer}`, "Content-Type": "application/json" };
}
