// What the npm SDK gets at a base URL, as its objects and as bytes, on standard output as JSON.
// Usage: node cases.mjs URL KEY MODEL; "errors" in the place of a model asks for the errors instead.
import OpenAI from "openai";

const [url, key, model] = process.argv.slice(2);
const bodies = [];

async function tapped(...asked) {
  const response = await fetch(...asked);
  const [kept, passed] = response.body.tee();
  bodies.push(new Response(kept).text().catch(() => "broken"));
  return new Response(passed, response);
}

function client(apiKey) {
  return new OpenAI({ baseURL: url, apiKey, maxRetries: 0, fetch: tapped });
}

async function all(stream) {
  const events = [];
  for await (const event of stream) events.push(event);
  return events;
}

const messages = [{ role: "user", content: "Hello, Ürümqi 🌍" }];
const parameters = { type: "object", properties: { city: { type: "string" } }, required: ["city"] };
const tools = [{ type: "function", function: { name: "weather", parameters } }];
const image = { type: "image_url", image_url: { url: "data:image/png;base64,iVBORw0KGgo=" } };
const schema = { ...parameters, additionalProperties: false };
const format = { type: "json_schema", json_schema: { name: "city", schema, strict: true } };
const chat = (c, more = {}) => c.chat.completions.create({ model, messages, ...more });

const cases = {
  plain: (c) => chat(c),
  tool: (c) => chat(c, { tools }),
  image: (c) => chat(c, { messages: [{ role: "user", content: [{ type: "text", text: "?" }, image] }] }),
  schema: (c) => chat(c, { response_format: format }),
  unknown: (c) => chat(c, { field_nobody_knows: { model: "x" } }),
  stream: async (c) => all(await chat(c, { stream: true, stream_options: { include_usage: true } })),
  toolStream: async (c) => all(await chat(c, { stream: true, tools })),
  helper: (c) => c.chat.completions.stream({ model, messages }).finalChatCompletion(),
  completion: (c) => c.completions.create({ model, prompt: "Once" }),
  embedding: (c) => c.embeddings.create({ model, input: "Once" }),
  response: (c) => c.responses.create({ model, input: "Hello" }),
  responseStream: async (c) => all(await c.responses.create({ model, input: "Hello", stream: true })),
};

async function errors() {
  const asked = (name) => ({ model: name, messages, stream: true });
  const calls = {
    key: () => client("not-the-key").chat.completions.create(asked("auto")),
    model: () => client(key).chat.completions.create(asked("gpt-99")),
    limited: () => client(key).chat.completions.create(asked("limited")),
    picky: () => client(key).chat.completions.create(asked("picky")),
    failing: () => client(key).chat.completions.create(asked("failing")),
    cut: async () => all(await client(key).chat.completions.create(asked("cut"))),
  };
  const told = {};
  for (const [name, call] of Object.entries(calls)) {
    told[name] = await call().then(
      () => ["no error", null],
      (error) => [error.constructor.name, error.status ?? null],
    );
  }
  return told;
}

async function answers() {
  const told = {};
  for (const [name, run] of Object.entries(cases)) told[name] = await run(client(key));
  return { ...told, bodies: await Promise.all(bodies) };
}

console.log(JSON.stringify(await (model === "errors" ? errors() : answers())));
