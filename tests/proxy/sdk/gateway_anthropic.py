"""The official Anthropic client for Python against a gateway. Prints a line for each thing that held; fails at the first that did
not. The keys are those of the callers `web` and `batch`."""

import sys

import anthropic

BASE, WEB, BATCH = sys.argv[1:4]
ASK = {"max_tokens": 100, "messages": [{"role": "user", "content": "What does the fox do?"}]}


def client(key):
    return anthropic.Anthropic(api_key=key, base_url=BASE, max_retries=0)


def held(name):
    print("held:", name, flush=True)


def refused(kind, key, model):
    try:
        client(key).messages.create(model=model, **ASK)
    except kind as error:
        return error
    raise AssertionError(f"{model}: no {kind.__name__}")


web, batch = client(WEB), client(BATCH)
text = web.messages.create(model="fast", **ASK).content[0].text
assert text.startswith("The quick brown fox"), text
with web.messages.stream(model="fast", **ASK) as stream:
    assert "".join(stream.text_stream) == text
held("chat and stream by an alias")

error = refused(anthropic.AuthenticationError, "a guess", "fast")
assert error.status_code == 401 and error.body["error"]["type"] == "authentication_error", error.body
error = refused(anthropic.PermissionDeniedError, WEB, "opus")
assert error.status_code == 403 and error.body["error"]["type"] == "permission_error", error.body
assert batch.messages.create(model="opus", **ASK).content
held("callers' keys and models")

names = {model.id for model in web.models.list()}
assert "fast" in names, names
assert web.models.retrieve("fast").id == "fast"
try:
    client("a guess").models.list()
except anthropic.AuthenticationError:
    pass
else:
    raise AssertionError("anybody may list models")
held("models list")

answer = batch.messages.create(model="sonnet@503", **ASK)
assert answer.content[0].text == text and answer.model == "second", answer
with batch.messages.stream(model="sonnet@503", **ASK) as stream:
    assert "".join(stream.text_stream) == text
    assert stream.get_final_message().model == "second"
held("fallback")
