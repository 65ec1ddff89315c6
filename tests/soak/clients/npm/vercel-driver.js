import { createOpenAI } from "@ai-sdk/openai";
import { createOpenAICompatible } from "@ai-sdk/openai-compatible";
import { generateText, jsonSchema, Output, stepCountIs, streamText, tool } from "ai";
import { asked, key, refusal, url } from "./asked.js";

// The Vercel AI SDK; the argument names its provider. `openai(model)` would ask /v1/responses,
// `openai.chat(model)` asks /v1/chat/completions.
const providers = {
  openai: (apiKey) => createOpenAI({ baseURL: url, apiKey }).chat,
  compatible: (apiKey) =>
    createOpenAICompatible({
      name: "sitebrook",
      baseURL: url,
      apiKey,
      includeUsage: true,
      supportsStructuredOutputs: true,
    }),
};
const provider = providers[process.argv[2]];
const model = provider(key)(asked.model);
const common = { model, prompt: asked.question, maxRetries: 0 };
const counts = (usage) => [usage.inputTokens, usage.outputTokens, usage.totalTokens];

async function plain() {
  const { text, finishReason, usage } = await generateText(common);
  return { text, finish: finishReason, usage: counts(usage) };
}

async function read(over) {
  let failure = null;
  const result = streamText({ ...common, ...over, onError: ({ error }) => (failure = error) });
  let text = "";
  let pieces = 0;
  for await (const piece of result.textStream) {
    text += piece;
    pieces += 1;
  }
  if (failure) throw failure;
  return { text, pieces, finish: await result.finishReason, usage: counts(await result.usage) };
}

async function tools() {
  const { name, description, parameters } = asked.tool.function;
  const calls = [];
  const weather = tool({
    description,
    inputSchema: jsonSchema(parameters),
    execute: async (input) => {
      calls.push(input);
      return asked.toolResult;
    },
  });
  const { text } = await generateText({
    ...common,
    prompt: asked.toolQuestion,
    tools: { [name]: weather },
    stopWhen: stepCountIs(2),
  });
  return { name, arguments: calls[0], answer: text };
}

async function structured() {
  const output = Output.object({ schema: jsonSchema(asked.schema), name: "forecast" });
  return (await generateText({ ...common, output })).output;
}

const stranger = provider(asked.wrongKey)(asked.model);
const failing = provider(key)(asked.failingModel);
console.log(
  JSON.stringify({
    plain: await plain(),
    stream: await read({}),
    tools: await tools(),
    json_schema: await structured(),
    errors: {
      wrong_key: await refusal(() => generateText({ ...common, model: stranger })),
      bad_value: await refusal(() =>
        generateText({ ...common, temperature: asked.badTemperature }),
      ),
      upstream: await refusal(() => read({ model: failing })),
    },
  }),
);
