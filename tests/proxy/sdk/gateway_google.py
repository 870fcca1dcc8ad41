"""The official Google client for Python against a gateway. Prints a line for each thing that held; fails at the first that did not.
The keys are those of the callers `web` and `batch`."""

import sys

from google import genai
from google.genai import errors, types

BASE, WEB, BATCH = sys.argv[1:4]
ASK = "What does the fox do?"


OPEN = []  # a client closes its connections when nobody holds it


def models_for(key):
    OPEN.append(genai.Client(api_key=key, http_options=types.HttpOptions(base_url=BASE)))
    return OPEN[-1].models


def held(name):
    print("held:", name, flush=True)


def refused(status, key, call):
    try:
        call(models_for(key))
    except errors.ClientError as error:
        assert error.code == status, error
        return error
    raise AssertionError(f"no {status}")


web, batch = models_for(WEB), models_for(BATCH)
text = web.generate_content(model="fast", contents=ASK).text
assert text.startswith("The quick brown fox"), text
assert "".join(part.text or "" for part in web.generate_content_stream(model="fast", contents=ASK)) == text
held("chat and stream by an alias")

refused(401, "a guess", lambda models: models.generate_content(model="fast", contents=ASK))
refused(403, WEB, lambda models: models.generate_content(model="ultra", contents=ASK))
assert batch.generate_content(model="ultra", contents=ASK).text == text
held("callers' keys and models")

names = {model.name for model in web.list()}
assert "models/fast" in names, names
assert web.get(model="fast").name == "models/fast"
refused(401, "a guess", lambda models: list(models.list()))
held("models list")

answer = batch.generate_content(model="pro@503", contents=ASK)
assert answer.text == text and answer.model_version == "second", answer
parts = list(batch.generate_content_stream(model="pro@503", contents=ASK))
assert "".join(part.text or "" for part in parts) == text
held("fallback")
