import { createRequire } from "node:module";

// The unmodified `openai` package against a server; tells what it got as JSON.
// OPENAI_BASE_URL and OPENAI_API_KEY say where, the argument is the question.
const require = createRequire(new URL("../../widget/package.json", import.meta.url));
const { OpenAI } = require("openai");
const client = new OpenAI({ maxRetries: 0 });
/** @type {import("openai").OpenAI.ChatCompletionMessageParam[]} */
const messages = [{ role: "user", content: process.argv[2] ?? "" }];

async function stream() {
  const chunks = [];
  for await (const chunk of await client.chat.completions.create({
    model: "auto",
    messages,
    stream: true,
    stream_options: { include_usage: true },
  })) {
    chunks.push(chunk);
  }
  return chunks;
}

/** The same through the package's helper, which puts the chunks together. */
async function collect() {
  const runner = client.chat.completions.stream({ model: "auto", messages });
  return await runner.finalChatCompletion();
}

/**
 * @param {any} asking
 * @param {any} body
 */
async function refuse(asking, body) {
  try {
    await asking.chat.completions.create(body);
  } catch (/** @type {any} */ error) {
    const { status, type, code, param, requestID, message } = error;
    return { name: error.constructor.name, status, type, code, param, requestID, message };
  }
  return null;
}

const stranger = new OpenAI({ maxRetries: 0, apiKey: "sk-wrong" });
const models = [];
for await (const model of client.models.list()) {
  models.push(model.id);
}
const got = {
  models,
  plain: await client.chat.completions.create({ model: "auto", messages }),
  chunks: await stream(),
  collected: await collect(),
  wrongKey: await refuse(stranger, { model: "auto", messages }),
  unknownModel: await refuse(client, { model: "no-such-model", messages }),
  emptyMessages: await refuse(client, { model: "auto", messages: [] }),
  emptyMessagesStreamed: await refuse(client, { model: "auto", messages: [], stream: true }),
};
console.log(JSON.stringify(got));
