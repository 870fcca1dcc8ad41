"""The official OpenAI client for Python against the gateway of the examples. Prints a line for each thing that held; fails at the
first that did not. The keys are those of the callers `web` and `batch`."""

import sys

import openai

BASE, WEB, BATCH = sys.argv[1:4]
ASK = [{"role": "user", "content": "What does the fox do?"}]


def client(key):
    return openai.OpenAI(api_key=key, base_url=BASE + "/v1", max_retries=0)


def held(name):
    print("held:", name, flush=True)


def refused(kind, key, model):
    try:
        client(key).chat.completions.create(model=model, messages=ASK)
    except kind as error:
        return error
    raise AssertionError(f"{model}: no {kind.__name__}")


web, batch = client(WEB), client(BATCH)
answer = web.chat.completions.create(model="fast", messages=ASK)
text = answer.choices[0].message.content
assert text.startswith("The quick brown fox"), text
chunks = web.chat.completions.create(model="fast", messages=ASK, stream=True)
assert "".join(c.choices[0].delta.content or "" for c in chunks if c.choices) == text
held("chat and stream by an alias")

error = refused(openai.AuthenticationError, "a guess", "fast")
assert error.status_code == 401, error
error = refused(openai.PermissionDeniedError, WEB, "o3")
assert error.status_code == 403, error
assert batch.chat.completions.create(model="o3", messages=ASK).choices
held("callers' keys and models")

names = {model.id for model in web.models.list()}
assert "fast" in names, names
try:
    client("a guess").models.list()
except openai.AuthenticationError:
    pass
else:
    raise AssertionError("anybody may list models")
held("models list")

answer = batch.chat.completions.create(model="gpt-4o@503", messages=ASK)
assert answer.choices[0].message.content == text and answer.model.startswith("llama"), answer
chunks = list(batch.chat.completions.create(model="gpt-4o@503", messages=ASK, stream=True))
assert "".join(c.choices[0].delta.content or "" for c in chunks if c.choices) == text
held("fallback")
