"""The official Anthropic client for Python against a base URL. Prints a line for each thing that held; fails at the first that did not."""

import sys

import anthropic
import httpx2 as httpx

calls = 0


def count(_request):
    global calls
    calls += 1


client = anthropic.Anthropic(
    api_key="sk-ant-test",
    base_url=sys.argv[1],
    max_retries=2,
    http_client=httpx.Client(event_hooks={"request": [count]}),
)
ASK = [{"role": "user", "content": "What does the fox do?"}]
TOOL = {"name": "look_up", "input_schema": {"type": "object", "properties": {"q": {"type": "string"}}}}


def message(model, **more):
    global calls
    calls = 0
    return client.messages.create(model=model, max_tokens=100, messages=ASK, **more)


def refused(kind, model):
    try:
        message(model)
    except kind as error:
        return error
    raise AssertionError(f"{model}: no {kind.__name__}")


def held(name):
    print("held:", name, flush=True)


answer = message("m")
text = answer.content[0].text
assert text.startswith("The quick brown fox"), text
assert answer.stop_reason == "end_turn" and answer.usage.output_tokens == 16, answer
held("chat")

with client.messages.stream(model="m", max_tokens=100, messages=ASK) as stream:
    assert "".join(stream.text_stream) == text
    final = stream.get_final_message()
assert final.usage.output_tokens == 16 and final.stop_reason == "end_turn", final
held("stream")

answer = message("m@tool", tools=[TOOL])
assert [b.name for b in answer.content if b.type == "tool_use"] == ["look_up"], answer
with client.messages.stream(model="m@tool", max_tokens=100, messages=ASK, tools=[TOOL]) as stream:
    final = stream.get_final_message()
assert [b.name for b in final.content if b.type == "tool_use"] == ["look_up"], final
held("tools")

answer = message("ant@429;retry-after-ms=200;times=1")
assert answer.content[0].text == text and calls == 1, calls
held("a wait is taken for the caller")

error = refused(anthropic.BadRequestError, "m@context_length")
assert calls == 1, (error, calls)
error = refused(anthropic.InternalServerError, "m@overloaded")
assert calls == 1, (error, calls)
held("no retries of its own once the decision is final")

seen = []
try:
    with client.messages.stream(model="m@end:3t", max_tokens=100, messages=ASK) as stream:
        for part in stream.text_stream:
            seen.append(part)
except anthropic.APIError:
    assert text.startswith("".join(seen)) and "".join(seen), seen
else:
    raise AssertionError("a stream without its end looked whole")
held("a cut stream is an error")
