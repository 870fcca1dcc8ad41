// The official OpenAI client for Node against a base URL. Prints a line for each thing that held; fails at the first that did not.
import assert from "node:assert/strict";
import OpenAI from "openai";

let calls = 0;
const client = new OpenAI({
  apiKey: "sk-test",
  baseURL: process.argv[2] + "/v1",
  maxRetries: 2,
  fetch: (...args) => {
    calls += 1;
    return fetch(...args);
  },
});
const messages = [{ role: "user", content: "What does the fox do?" }];
const tools = [
  { type: "function", function: { name: "look_up", parameters: { type: "object", properties: { q: { type: "string" } } } } },
];
const held = (name) => console.log("held:", name);
const chat = (model, more = {}) => {
  calls = 0;
  return client.chat.completions.create({ model, messages, ...more });
};

const answer = await chat("m");
const text = answer.choices[0].message.content;
assert.ok(text.startsWith("The quick brown fox"), text);
assert.equal(answer.usage.completion_tokens, 16);
held("chat");

let streamed = "";
for await (const chunk of await chat("m", { stream: true })) streamed += chunk.choices[0]?.delta?.content ?? "";
assert.equal(streamed, text);
held("stream");

const called = await chat("m@tool", { tools });
assert.equal(called.choices[0].message.tool_calls[0].function.name, "look_up");
held("tools");

const waited = await chat("node@429;retry-after-ms=200;times=1");
assert.equal(waited.choices[0].message.content, text);
assert.equal(calls, 1);
held("a wait is taken for the caller");

await assert.rejects(chat("m@insufficient_quota"), (e) => e instanceof OpenAI.RateLimitError && e.code === "insufficient_quota");
assert.equal(calls, 1);
await assert.rejects(chat("m@context_length"), OpenAI.BadRequestError);
assert.equal(calls, 1);
await assert.rejects(chat("m@503"), OpenAI.InternalServerError);
assert.equal(calls, 1);
held("no retries of its own once the decision is final");

let seen = "";
await assert.rejects(async () => {
  for await (const chunk of await chat("m@end:3t", { stream: true })) seen += chunk.choices[0]?.delta?.content ?? "";
});
assert.ok(seen && text.startsWith(seen) && seen !== text, seen);
held("a cut stream is an error");
