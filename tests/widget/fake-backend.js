import { readFile } from "node:fs/promises";
import { createServer } from "node:http";
import { setTimeout as sleep } from "node:timers/promises";
import { fileURLToPath } from "node:url";

// node tests/widget/fake-backend.js [port]: a backend with one scripted answer, to
// try the widget and the pages without Python. The question picks the fault:
// "cut", "error", "silent", "busy", "reset".
const port = Number(process.argv[2] ?? 8123);
const backend = fileURLToPath(new URL("../../backend/sitebrook/", import.meta.url));
const CSP = "default-src 'self'";
const TYPES = { html: "text/html", js: "text/javascript", css: "text/css", txt: "text/plain" };
const ANSWER = `Add **one tag** to your page [1]:

\`\`\`html
<script src="https://chat.example.org/widget.js" data-site-key="pk-…" async></script>
\`\`\`

### Options

| option | effect |
|---|---|
| \`data-stream="false"\` | answers come in one piece [2] |
| \`data-position="left"\` | the button moves to the left |

1. Allow your **origin** for the site.
2. Copy the *publishable* key.
   - never the secret one
   - it starts with \`pk-\`

> The key works only from the origins you allow [3].

See <https://example.org/docs> and [the guide](https://example.org/guide). <b onclick="x()">HTML stays text</b>, ![a picture](https://example.org/p.png) is never loaded.
`;
const CITATIONS = [1, 2, 3].map((index) => ({
  index,
  id: `chk_${index}`,
  document: `doc_${index}`,
  title: ["Embedding the widget", "Options of the script tag", "Keys and origins"][index - 1],
  url: index === 3 ? null : `/sources/doc_${index}`,
  heading: ["Quick start", "Options", "Publishable keys"][index - 1],
  quote: "The widget is put on a page with one script tag. Its address tells the backend's.",
  score: 0.9,
}));
/** @type {{ role: string, content: string, citations?: object[], status: string }[]} */
const messages = [];

/**
 * @param {import("node:http").ServerResponse} response
 * @param {number} status
 * @param {object} body
 * @param {Record<string, string>} [headers]
 */
function sendJson(response, status, body, headers = {}) {
  response.writeHead(status, { "Content-Type": "application/json", ...headers });
  response.end(JSON.stringify(body));
}

/** @param {string} message */
const toError = (message) => ({
  error: { message, type: "server_error", param: null, code: null },
});

/**
 * @param {import("node:http").ServerResponse} response
 * @param {string} question
 */
async function sendStream(response, question) {
  response.writeHead(200, { "Content-Type": "text/event-stream", "Cache-Control": "no-cache" });
  const head = { id: "chatcmpl-1", object: "chat.completion.chunk", created: 1, model: "mock" };
  /** @param {object} more */
  const send = (more) => response.write(`data: ${JSON.stringify({ ...head, ...more })}\n\n`);
  const toChoices = (/** @type {object} */ delta, /** @type {string | null} */ finish = null) => ({
    choices: [{ index: 0, delta, finish_reason: finish }],
  });
  response.write(": keep-alive\n\n");
  await sleep(300);
  send({ conversation_id: "conv_1", ...toChoices({ role: "assistant", content: "" }) });
  const deltas = ANSWER.match(/\S+\s*|\s+/g) ?? [];
  for (const [index, text] of deltas.entries()) {
    if (response.destroyed || (index === 40 && question.includes("cut"))) {
      response.end();
      return;
    }
    if (index === 40 && question.includes("error")) {
      response.end(`data: ${JSON.stringify(toError("The provider failed."))}\n\n`);
      return;
    }
    send(toChoices({ content: text }));
    await sleep(15);
  }
  send({ ...toChoices({ annotations: [] }), citations: CITATIONS });
  send(toChoices({}, "stop"));
  response.end("data: [DONE]\n\n");
}

/**
 * @param {import("node:http").ServerResponse} response
 * @param {any} body
 */
async function answer(response, body) {
  const question = body.messages[0].content;
  if (question.includes("busy")) {
    sendJson(response, 429, toError("This site has many visitors now."), { "Retry-After": "42" });
    return;
  }
  if (question.includes("reset")) {
    response.destroy();
    return;
  }
  messages.push({ role: "user", content: question, status: "complete" });
  if (body.stream && question.includes("silent")) {
    return;
  }
  messages.push({ role: "assistant", content: ANSWER, citations: CITATIONS, status: "complete" });
  if (body.stream) {
    await sendStream(response, question);
    return;
  }
  await sleep(1500);
  const message = { role: "assistant", content: ANSWER };
  const choices = [{ index: 0, message, finish_reason: "stop" }];
  sendJson(response, 200, { id: "c", conversation_id: "conv_1", choices, citations: CITATIONS });
}

/** @param {string} path */
async function toFile(path) {
  if (path === "/demo") {
    const html = await readFile(`${backend}api/templates/demo.html`, "utf8");
    const values = { site_name: "sitebrook", publishable_key: "pk-demo", language: "en" };
    return html
      .replace(/\{\{ (\w+) \}\}/g, (_, name) => Reflect.get(values, name))
      .replace(
        /\{% for[\s\S]*endfor %\}/,
        '<li><a href="/test-streaming.html">Streaming test</a></li>',
      );
  }
  const name = ["/widget.js", "/test-streaming.html"].includes(path) ? `/static${path}` : path;
  return name.startsWith("/static/") ? await readFile(backend + name.slice(1)) : null;
}

/**
 * @param {import("node:http").ServerResponse} response
 * @param {string} path
 */
async function sendFile(response, path) {
  const file = await toFile(path).catch(() => null);
  const kind = Reflect.get(TYPES, path.split(".")[1] ?? "html") ?? "text/plain";
  response.writeHead(file ? 200 : 404, { "Content-Type": kind, "Content-Security-Policy": CSP });
  response.end(file ?? "not found");
}

/**
 * @param {import("node:http").ServerResponse} response
 * @param {string} path
 * @param {any} body
 */
async function route(response, path, body) {
  if (path === "/api/visitors") {
    const starters = ["How do I embed the widget?", "Which models can I use?", "Cos'è sitebrook?"];
    const greeting = "Hello! Ask me anything about sitebrook.";
    const site = { name: "sitebrook", language: "en", greeting, starters };
    sendJson(response, 201, { visitor_id: "vis_1", token: "vt-1", expires_at: "2099", site });
  } else if (path === "/v1/models") {
    sendJson(response, 200, { data: [{ id: "auto" }, { id: "mock" }] });
  } else if (path.startsWith("/api/conversations/")) {
    sendJson(response, 200, { id: "conv_1", messages });
  } else if (path === "/v1/chat/completions") {
    await answer(response, body);
  } else {
    await sendFile(response, path);
  }
}

const server = createServer(async (request, response) => {
  const path = new URL(request.url ?? "/", "http://localhost").pathname;
  response.setHeader("Access-Control-Allow-Origin", "*");
  response.setHeader("Access-Control-Allow-Headers", "authorization,content-type");
  if (request.method === "OPTIONS") {
    sendJson(response, 204, {});
    return;
  }
  const body = (await request.setEncoding("utf8").toArray()).join("");
  await route(response, path, JSON.parse(body || "{}"));
});
server.listen(port, "127.0.0.1", () => console.log(`http://127.0.0.1:${port}/demo`));
