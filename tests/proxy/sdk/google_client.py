"""The official Google client for Python against a base URL. Prints a line for each thing that held; fails at the first that did not."""

import sys

from google import genai
from google.genai import errors, types

client = genai.Client(api_key="g-test", http_options=types.HttpOptions(base_url=sys.argv[1]))
ASK = "What does the fox do?"
LOOK_UP = types.FunctionDeclaration(
    name="look_up",
    parameters=types.Schema(type="OBJECT", properties={"q": types.Schema(type="STRING")}),
)
TOOLS = types.GenerateContentConfig(
    tools=[types.Tool(function_declarations=[LOOK_UP])],
    automatic_function_calling=types.AutomaticFunctionCallingConfig(disable=True),
)


def held(name):
    print("held:", name, flush=True)


answer = client.models.generate_content(model="m", contents=ASK)
text = answer.text
assert text.startswith("The quick brown fox"), text
assert answer.usage_metadata.candidates_token_count == 16, answer
held("chat")

streamed = "".join(part.text or "" for part in client.models.generate_content_stream(model="m", contents=ASK))
assert streamed == text, streamed
held("stream")

answer = client.models.generate_content(model="m@tool", contents=ASK, config=TOOLS)
assert [call.name for call in answer.function_calls] == ["look_up"], answer
held("tools")

answer = client.models.generate_content(model="goo@429;retry-after-ms=200;times=1", contents=ASK)
assert answer.text == text, answer
held("a wait is taken for the caller")

for model, kind, status in [
    ("m@invalid_request", errors.ClientError, 400),
    ("m@insufficient_quota", errors.ClientError, 429),
    ("m@503", errors.ServerError, 503),
]:
    try:
        client.models.generate_content(model=model, contents=ASK)
    except kind as error:
        assert error.code == status, (model, error)
    else:
        raise AssertionError(f"{model}: no {kind.__name__}")
held("errors")
