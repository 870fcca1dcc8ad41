// The official OpenAI client for Node against the gateway of the examples. Prints a line for each thing that held; fails at the
// first that did not. The keys are those of the callers `web` and `batch`.
import assert from "node:assert/strict";
import OpenAI from "openai";

const [base, webKey, batchKey] = process.argv.slice(2);
const client = (apiKey) => new OpenAI({ apiKey, baseURL: base + "/v1", maxRetries: 0 });
const messages = [{ role: "user", content: "What does the fox do?" }];
const held = (name) => console.log("held:", name);
const chat = (of, model, more = {}) => of.chat.completions.create({ model, messages, ...more });
const streamed = async (of, model) => {
  let text = "";
  for await (const chunk of await chat(of, model, { stream: true })) text += chunk.choices[0]?.delta?.content ?? "";
  return text;
};

const [web, batch, stranger] = [client(webKey), client(batchKey), client("a guess")];
const text = (await chat(web, "fast")).choices[0].message.content;
assert.ok(text.startsWith("The quick brown fox"), text);
assert.equal(await streamed(web, "fast"), text);
held("chat and stream by an alias");

await assert.rejects(chat(stranger, "fast"), (e) => e instanceof OpenAI.AuthenticationError && e.status === 401);
await assert.rejects(chat(web, "o3"), (e) => e instanceof OpenAI.PermissionDeniedError && e.status === 403);
assert.ok((await chat(batch, "o3")).choices.length);
held("callers' keys and models");

const names = [];
for await (const model of web.models.list()) names.push(model.id);
assert.ok(names.includes("fast"), String(names));
await assert.rejects(async () => { for await (const _ of stranger.models.list()); }, OpenAI.AuthenticationError);
held("models list");

const answer = await chat(batch, "gpt-4o@503");
assert.equal(answer.choices[0].message.content, text);
assert.ok(answer.model.startsWith("llama"), answer.model);
assert.equal(await streamed(batch, "gpt-4o@503"), text);
held("fallback");
