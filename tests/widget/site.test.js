import { expect, test } from "vitest";
import { SiteApi } from "../../widget/src/site/api.js";
import { toJson } from "../../widget/src/site/json.js";
import { openStore, Session } from "../../widget/src/site/session.js";

const SITE = { base: "https://chat.example", siteKey: "pk-1" };

function makeStore() {
  return openStore(() => {
    throw new Error("storage is blocked");
  });
}

/**
 * An API whose requests are answered by `answer`.
 * @param {(path: string, bearer: string, body: any) => [number, object]} answer
 */
function makeApi(answer) {
  /** @type {string[]} */
  const calls = [];
  const session = new Session(makeStore(), SITE);
  const fetch = async (/** @type {string} */ url, /** @type {RequestInit} */ init) => {
    const path = url.replace(SITE.base, "");
    const bearer = String(Reflect.get(init.headers ?? {}, "Authorization")).replace("Bearer ", "");
    const body = init.body ? JSON.parse(String(init.body)) : null;
    calls.push(`${path} ${bearer} ${body?.token ?? body?.conversation_id ?? ""}`.trim());
    const [status, json] = answer(path, bearer, body);
    return Response.json(json, { status });
  };
  return { api: new SiteApi({ ...SITE, session, fetch }), session, calls };
}

const toVisitor = (/** @type {string} */ token) => ({ token, site: { name: "s", language: "en" } });

test("the session outlives the page", () => {
  const store = makeStore();
  const session = new Session(store, SITE);
  session.token = "vt-1";
  session.conversationId = "conv_1";
  const next = new Session(store, SITE);
  expect([next.token, next.conversationId]).toEqual(["vt-1", "conv_1"]);
});

test("a refused origin is told from a server that is away", async () => {
  for (const isAlive of [true, false]) {
    const session = new Session(makeStore(), SITE);
    const fetch = async (/** @type {string} */ url) => {
      if (isAlive && url === `${SITE.base}/health/live`) {
        return Response.json({ status: "ok" });
      }
      throw new TypeError("Failed to fetch");
    };
    const failure = { kind: isAlive ? "refused" : "network", status: isAlive ? 403 : 0 };
    await expect(new SiteApi({ ...SITE, session, fetch }).openVisitor()).rejects.toMatchObject(
      failure,
    );
  }
});

test("sites and backends do not share a session", () => {
  const store = makeStore();
  new Session(store, SITE).token = "vt-1";
  expect(new Session(store, { ...SITE, siteKey: "pk-2" }).token).toBe("");
  expect(new Session(store, { ...SITE, base: "https://other.example" }).token).toBe("");
});

test("a broken or full store is survived", () => {
  const broken = {
    getItem: () => "{nonsense",
    setItem: () => undefined,
    removeItem: () => undefined,
  };
  expect(new Session(broken, SITE).token).toBe("");
  const full = {
    ...broken,
    setItem: () => {
      throw new Error("full");
    },
  };
  const session = new Session(full, SITE);
  session.token = "vt-1";
  expect(session.token).toBe("vt-1");
});

test("a refused token is renewed once and the call repeated", async () => {
  const { api, session, calls } = makeApi((path, bearer) => {
    if (path === "/api/visitors") {
      return [201, toVisitor("vt-new")];
    }
    return bearer === "vt-new" ? [200, {}] : [401, {}];
  });
  session.token = "vt-old";
  const response = await api.postQuestion("q", true, new AbortController().signal);
  expect(response.status).toBe(200);
  expect(calls).toEqual([
    "/v1/chat/completions vt-old",
    "/api/visitors pk-1 vt-old",
    "/v1/chat/completions vt-new",
  ]);
});

test("a token that cannot be renewed is replaced by a new visitor's", async () => {
  const { api, session } = makeApi((_path, _bearer, body) =>
    body.token ? [401, {}] : [201, toVisitor("vt-fresh")],
  );
  session.token = "vt-foreign";
  await api.openVisitor();
  expect(session.token).toBe("vt-fresh");
});

test("an unknown conversation is given up and the question asked without it", async () => {
  const { api, session, calls } = makeApi((_path, _bearer, body) =>
    body.conversation_id ? [404, {}] : [200, {}],
  );
  session.token = "vt-1";
  session.conversationId = "conv_gone";
  const response = await api.postQuestion("q", true, new AbortController().signal);
  expect(response.status).toBe(200);
  expect(calls).toEqual(["/v1/chat/completions vt-1 conv_gone", "/v1/chat/completions vt-1"]);
});

test("a conversation that is gone is no failure", async () => {
  const { api, session } = makeApi(() => [404, {}]);
  session.token = "vt-1";
  session.conversationId = "conv_gone";
  expect(await api.loadConversation()).toBeNull();
  expect(session.conversationId).toBe("");
});

test("JSON is right where the page has added toJSON to lists", () => {
  Object.defineProperty(Array.prototype, "toJSON", { value: () => "x", configurable: true });
  try {
    const value = { messages: [{ role: "user", content: 'a "b"' }], stream: true, gone: undefined };
    expect(toJson(value)).toBe(
      '{"messages":[{"role":"user","content":"a \\"b\\""}],"stream":true}',
    );
  } finally {
    Reflect.deleteProperty(Array.prototype, "toJSON");
  }
});
