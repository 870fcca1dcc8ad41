"""The official OpenAI client for Python against a base URL. Prints a line for each thing that held; fails at the first that did not."""

import sys

import httpx2 as httpx
import openai

calls = 0


def count(_request):
    global calls
    calls += 1


client = openai.OpenAI(
    api_key="sk-test",
    base_url=sys.argv[1] + "/v1",
    max_retries=2,
    http_client=httpx.Client(event_hooks={"request": [count]}),
)
ASK = [{"role": "user", "content": "What does the fox do?"}]
TOOL = {
    "type": "function",
    "function": {"name": "look_up", "parameters": {"type": "object", "properties": {"q": {"type": "string"}}}},
}


def chat(model, **more):
    global calls
    calls = 0
    return client.chat.completions.create(model=model, messages=ASK, **more)


def refused(kind, model, **more):
    try:
        answer = chat(model, **more)
        if more.get("stream"):
            list(answer)
    except kind as error:
        return error
    raise AssertionError(f"{model}: no {kind.__name__}")


def held(name):
    print("held:", name, flush=True)


answer = chat("m")
text = answer.choices[0].message.content
assert text.startswith("The quick brown fox"), text
assert answer.choices[0].finish_reason == "stop" and answer.usage.completion_tokens == 16, answer
held("chat")

chunks = list(chat("m", stream=True, stream_options={"include_usage": True}))
streamed = "".join(c.choices[0].delta.content or "" for c in chunks if c.choices)
assert streamed == text, streamed
assert chunks[-1].usage.completion_tokens == 16, chunks[-1]
held("stream")

answer = chat("m@tool", tools=[TOOL])
assert answer.choices[0].message.tool_calls[0].function.name == "look_up", answer
chunks = list(chat("m@tool", tools=[TOOL], stream=True))
names = [t.function.name for c in chunks if c.choices for t in c.choices[0].delta.tool_calls or [] if t.function.name]
assert names == ["look_up"], chunks
held("tools")

events = list(client.responses.create(model="m", input="What does the fox do?", stream=True))
assert events[-1].type == "response.completed", events[-1]
assert events[-1].response.output_text == text, events[-1]
held("responses")

answer = chat("py@429;retry-after-ms=200;times=1")
assert answer.choices[0].message.content == text and calls == 1, calls
held("a wait is taken for the caller")

error = refused(openai.RateLimitError, "m@insufficient_quota")
assert error.code == "insufficient_quota" and calls == 1, (error, calls)
error = refused(openai.BadRequestError, "m@context_length")
assert error.code == "context_length_exceeded" and calls == 1, (error, calls)
error = refused(openai.InternalServerError, "m@503")
assert calls == 1, (error, calls)
held("no retries of its own once the decision is final")

error = refused(openai.APIError, "m@error:0", stream=True)
assert calls == 1, (error, calls)
seen = []
try:
    for chunk in chat("m@end:3t", stream=True):
        seen.append(chunk.choices[0].delta.content or "")
except openai.APIError as error:
    assert text.startswith("".join(seen)) and "".join(seen), seen
else:
    raise AssertionError("a stream without its end looked whole")
held("a cut stream is an error")
