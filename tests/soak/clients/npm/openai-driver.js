import { OpenAI } from "openai";
import { asked, refusal } from "./asked.js";

// The `openai` npm package.
const client = new OpenAI({ maxRetries: 0 });
const { model, tool, schema } = asked;
const messages = [{ role: "user", content: asked.question }];
const ask = (body, one = client) => one.chat.completions.create({ model, messages, ...body });
const counts = (usage) => [usage.prompt_tokens, usage.completion_tokens, usage.total_tokens];

async function plain() {
  const { choices, usage } = await ask({});
  const [choice] = choices;
  return { text: choice.message.content, finish: choice.finish_reason, usage: counts(usage) };
}

async function stream() {
  const got = { text: "", pieces: 0, finish: null, usage: null };
  for await (const chunk of await ask({ stream: true, stream_options: { include_usage: true } })) {
    const [choice] = chunk.choices;
    if (choice?.delta.content) {
      got.text += choice.delta.content;
      got.pieces += 1;
    }
    got.finish = choice?.finish_reason ?? got.finish;
    got.usage = chunk.usage ? counts(chunk.usage) : got.usage;
  }
  return got;
}

async function tools() {
  const question = { role: "user", content: asked.toolQuestion };
  const { message } = (await ask({ messages: [question], tools: [tool] })).choices[0];
  const [call] = message.tool_calls;
  const result = { role: "tool", tool_call_id: call.id, content: asked.toolResult };
  const answer = await ask({ messages: [question, message, result], tools: [tool] });
  return {
    name: call.function.name,
    arguments: JSON.parse(call.function.arguments),
    answer: answer.choices[0].message.content,
  };
}

async function jsonSchema() {
  const response_format = {
    type: "json_schema",
    json_schema: { name: "forecast", strict: true, schema },
  };
  return JSON.parse((await ask({ response_format })).choices[0].message.content);
}

const stranger = new OpenAI({ apiKey: asked.wrongKey, maxRetries: 0 });
console.log(
  JSON.stringify({
    plain: await plain(),
    stream: await stream(),
    tools: await tools(),
    json_schema: await jsonSchema(),
    errors: {
      wrong_key: await refusal(() => ask({}, stranger)),
      bad_value: await refusal(() => ask({ temperature: asked.badTemperature })),
      upstream: await refusal(() => ask({ model: asked.failingModel, stream: true })),
    },
  }),
);
