"""Every call that a provider's own client offers, once straight to a service and once through the proxy: the client must not
be able to tell which was which, and the service must see the same request, once.

usage: same_as_direct.py LLMESH openai|anthropic|google

The service is Python's own HTTP server. What it answers is chosen by a header of the request: good answers, answers that hold
what looks like a failure (a failed job, an error object, odd bytes under odd labels), and errors.
"""
import functools, hashlib, importlib, inspect, json, os, socket, subprocess, sys, tempfile, threading, time, warnings
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

LLMESH, SDK = sys.argv[1:3]
warnings.simplefilter("ignore")
KINDS = {"VirtualService alone": "", "LlmPolicy": """---
apiVersion: llmesh.io/v1alpha1
kind: LlmPolicy
metadata: {name: llm, namespace: default}
spec: {hosts: [llm.example], DIALECT, retries: {maxHint: 5s}}
"""}
MESH = """apiVersion: networking.istio.io/v1
kind: ServiceEntry
metadata: {name: llm, namespace: default}
spec:
  hosts: [llm.example]
  addresses: [127.0.0.1]
  resolution: STATIC
  ports: [{number: 80, name: http, protocol: HTTP}]
  endpoints: [{address: 127.0.0.1, ports: {http: PORT}}]
---
apiVersion: networking.istio.io/v1
kind: VirtualService
metadata: {name: llm, namespace: default}
spec:
  hosts: [llm.example]
  http:
  - timeout: 30s
    retries: {attempts: 2, retryOn: "reset,connect-failure,refused-stream"}
    route: [{destination: {host: llm.example}}]
"""

# What the proxy adds to requests and answers, and what belongs to one connection.
ADDED = {"x-request-id", "traceparent", "tracestate", "x-forwarded-proto", "x-b3-traceid", "x-b3-spanid", "x-b3-sampled", "x-b3-parentspanid"}
CONNECTION = {"connection", "keep-alive", "transfer-encoding", "content-length", "host", "date", "server"}
# The provider's own generation calls, by the end of their paths.
GENERATION = ("/chat/completions", "/completions", "/responses", "/messages", "/complete", ":generateContent", ":streamGenerateContent", "/interactions")


def chat(stop):
    return {"id": "c", "object": "chat.completion", "created": 1, "model": "m", "choices": [
        {"index": 0, "message": {"role": "assistant", "content": "hello"}, "finish_reason": stop}],
        "usage": {"prompt_tokens": 1, "completion_tokens": 1, "total_tokens": 2}}


def good(path):
    """A right answer to a generation call, whole and streamed."""
    if path.endswith("/chat/completions"):
        piece = lambda delta, stop: {"id": "c", "object": "chat.completion.chunk", "created": 1, "model": "m",
                                     "choices": [{"index": 0, "delta": delta, "finish_reason": stop}]}
        return chat("stop"), [piece({"role": "assistant"}, None), piece({"content": "hello"}, None), piece({}, "stop"), "[DONE]"]
    if path.endswith("/completions"):
        piece = lambda text, stop: {"id": "c", "object": "text_completion", "created": 1, "model": "m",
                                    "choices": [{"index": 0, "text": text, "finish_reason": stop, "logprobs": None}]}
        return piece("hello", "stop"), [piece("hel", None), piece("lo", "stop"), "[DONE]"]
    if path.endswith("/responses"):
        whole = {"id": "r", "object": "response", "created_at": 1, "model": "m", "status": "completed", "error": None, "output": [
            {"type": "message", "id": "o", "role": "assistant", "status": "completed",
             "content": [{"type": "output_text", "text": "hello", "annotations": []}]}],
            "parallel_tool_calls": True, "tool_choice": "auto", "tools": []}
        return whole, [{"type": "response.created", "sequence_number": 0, "response": dict(whole, status="in_progress", output=[])},
                       {"type": "response.output_text.delta", "sequence_number": 1, "item_id": "o", "output_index": 0, "content_index": 0, "delta": "hello", "logprobs": []},
                       {"type": "response.completed", "sequence_number": 2, "response": whole}]
    if path.endswith("/messages"):
        whole = {"id": "a", "type": "message", "role": "assistant", "model": "m", "content": [{"type": "text", "text": "hello"}],
                 "stop_reason": "end_turn", "stop_sequence": None, "usage": {"input_tokens": 1, "output_tokens": 1}}
        return whole, [{"type": "message_start", "message": dict(whole, content=[], stop_reason=None)},
                       {"type": "content_block_start", "index": 0, "content_block": {"type": "text", "text": ""}},
                       {"type": "content_block_delta", "index": 0, "delta": {"type": "text_delta", "text": "hello"}},
                       {"type": "content_block_stop", "index": 0},
                       {"type": "message_delta", "delta": {"stop_reason": "end_turn", "stop_sequence": None}, "usage": {"output_tokens": 1}},
                       {"type": "message_stop"}]
    if path.endswith("/complete"):
        whole = {"id": "a", "type": "completion", "completion": "hello", "stop_reason": "stop_sequence", "model": "m"}
        return whole, [dict(whole, stop_reason=None), whole]
    if path.endswith("/interactions"):
        whole = {"id": "i", "object": "interaction", "status": "completed", "model": "m", "outputs": [{"type": "text", "text": "hello"}]}
        return whole, [{"event_type": "interaction.start", "interaction": dict(whole, outputs=[])},
                       {"event_type": "content.delta", "index": 0, "delta": {"type": "text", "text": "hello"}},
                       {"event_type": "interaction.complete", "interaction": whole}]
    whole = {"candidates": [{"content": {"role": "model", "parts": [{"text": "hello"}]}, "finishReason": "STOP", "index": 0}],
             "usageMetadata": {"promptTokenCount": 1, "candidatesTokenCount": 1, "totalTokenCount": 2}, "modelVersion": "m"}
    return whole, [whole]


def thing(path):
    """An answer of something that is no generation: it holds what a failed generation holds."""
    name = hashlib.sha1(path.encode()).hexdigest()[:8]
    return {"id": name, "object": "thing", "name": "things/" + name, "created_at": 1, "status": "failed", "data": [{"id": name}],
            "has_more": False, "first_id": None, "last_id": None, "done": True, "type": "error",
            "error": {"type": "server_error", "code": "rate_limit_exceeded", "message": "the job failed: try again in 20s"},
            "last_error": {"code": "server_error", "message": "overloaded"}, "finish_reason": "error"}


ODD = [b"id: 1\nevent: thread.run.failed\ndata: {\"id\": \"run\", \"last_error\": {\"code\": \"server_error\"}}\n\n",
       b": a comment\n\n", b"event: done\ndata: [DONE]\n\n"]
LABELS = ["application/json", "text/plain; charset=utf-8", "application/octet-stream", "text/html", "audio/mpeg", "application/jsonl", ""]


class Service(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True  # heads and bodies are written one after the other: each would wait for the client
    seen = []

    def log_message(self, *_):
        pass

    def answer(self):
        body = b""
        if "chunked" in self.headers.get("transfer-encoding", ""):
            while (size := int(self.rfile.readline().split(b";")[0], 16)) > 0:
                body += self.rfile.read(size)
                self.rfile.readline()
            self.rfile.readline()
        elif length := self.headers.get("content-length"):
            body = self.rfile.read(int(length))
        headers = {k.lower(): v for k, v in self.headers.items()}
        boundary = headers.get("content-type", "").partition("boundary=")[2]
        if boundary:
            body = body.replace(boundary.encode(), b"B")
            headers["content-type"] = headers["content-type"].replace(boundary, "B")
        Service.seen.append((self.command, self.path, body, headers))
        path, _, query = self.path.partition("?")
        mode, streams = headers.get("x-mode", "good"), "alt=sse" in query or b'"stream":true' in body.replace(b" ", b"")
        extra = {"x-request-id": "req-1", "request-id": "req-1", "openai-processing-ms": "7", "x-custom": "kept"}
        if mode.startswith("status-"):
            status = int(mode[7:])
            error = {"type": "error", "error": {"type": "some_error", "code": "some_code", "message": "in the service's own words", "param": None}, "request_id": "req-1"}
            return self.whole(status, json.dumps(error).encode(), "application/json", extra)
        if mode.startswith("odd-"):
            return self.whole(200, bytes(range(256)) * 3, LABELS[int(mode[4:]) % len(LABELS)], extra)
        generation = self.command == "POST" and path.endswith(GENERATION)
        if mode == "events" or streams:
            events = good(path)[1] if generation else ODD
            self.send_response(200)
            for name, value in dict(extra, **{"content-type": "text/event-stream", "transfer-encoding": "chunked"}).items():
                self.send_header(name, value)
            self.end_headers()
            for event in events:
                if not isinstance(event, bytes):
                    named = "event: %s\n" % event["type"] if isinstance(event, dict) and "type" in event else ""
                    event = (named + "data: %s\n\n" % (event if isinstance(event, str) else json.dumps(event))).encode()
                self.wfile.write(b"%x\r\n%s\r\n" % (len(event), event))
            return self.wfile.write(b"0\r\n\r\n")
        self.whole(200, json.dumps(good(path)[0] if generation else thing(path)).encode(), "application/json", extra)

    def whole(self, status, body, kind, extra):
        self.send_response(status)
        for name, value in dict(extra, **{"content-type": kind} if kind else {}).items():
            self.send_header(name, value)
        self.send_header("content-length", str(len(body)))
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body)

    do_GET = do_POST = do_PUT = do_PATCH = do_DELETE = do_HEAD = answer


def free_port():
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        return s.getsockname()[1]


class Proxy:
    def __init__(self, yaml):
        self.folder = tempfile.TemporaryDirectory()
        path = os.path.join(self.folder.name, "mesh.yaml")
        with open(path, "w") as file:
            file.write(yaml)
        port, admin = free_port(), free_port()
        self.log = open(os.path.join(self.folder.name, "log"), "w+")
        self.process = subprocess.Popen([LLMESH, "run", "-f", path, "--outbound", "127.0.0.1:%d" % port, "--admin", "127.0.0.1:%d" % admin],
                                        stdout=self.log, stderr=subprocess.STDOUT)
        self.base = "http://127.0.0.1:%d" % port
        for _ in range(200):
            try:
                socket.create_connection(("127.0.0.1", port), 0.2).close()
                return
            except OSError:
                time.sleep(0.05)
        self.log.seek(0)
        sys.exit("the proxy did not start: " + self.log.read())

    def stop(self):
        self.process.terminate()
        self.process.wait(10)
        self.folder.cleanup()


# --- what the clients offer ---

def value(name, annotation):
    """Something for a parameter that has no default; the clients send it as it is."""
    kind = str(annotation)
    if "FileTypes" in kind or name in ("file", "image", "data", "audio_sample", "recording"):
        return ("a.txt", b"abc")
    if name == "messages":
        return [{"role": "user", "content": "hi"}]
    if "Iterable" in kind or "Sequence" in kind or "List[" in kind:
        return [{"role": "user", "content": "hi"}] if name in ("input", "items") else []
    if "bool" in kind and "str" not in kind:
        return False
    if "int" in kind and "str" not in kind:
        return 16
    if ("Dict" in kind or "Mapping" in kind or "Param" in kind) and not kind.startswith("str"):
        return {}
    return "x"


def stainless(sdk):
    """Calls of clients that Stainless made: name, whether it can stream, and what makes the call on a client."""
    module = importlib.import_module(sdk)
    base = importlib.import_module(sdk + "._resource").SyncAPIResource
    make = functools.cache(lambda url: (module.OpenAI if sdk == "openai" else module.Anthropic)(
        api_key="sk-test-key", base_url=url + ("/v1" if sdk == "openai" else ""), max_retries=0, timeout=20,
        **({"admin_api_key": "sk-admin"} if sdk == "openai" and "admin_api_key" in inspect.signature(module.OpenAI).parameters else {})))
    skip = ("connect", "poll", "stream", "parse", "unwrap", "parse_unverified", "thread", "tool_runner", "wait_for_processing", "for_result", "accumulate")

    def walk(resource, path):
        for name in sorted(n for n in dir(type(resource)) if not n.startswith(("_", "with_"))):
            item = getattr(resource, name)
            if isinstance(item, base):
                yield from walk(item, path + [name])
            elif inspect.ismethod(item) and path and not any(part in skip for part in name.split("_")) and not name.startswith(("upload_file", "prepare_dir")):
                yield path + [name], item

    def call(url, path, mode, stream):
        item = client = make(url)
        for part in path[:-1]:
            item = getattr(item, part)
        method = getattr(item.with_raw_response, path[-1])
        arguments = {}
        for name, parameter in inspect.signature(getattr(item, path[-1])).parameters.items():
            if parameter.default is inspect.Parameter.empty and parameter.kind not in (parameter.VAR_KEYWORD, parameter.VAR_POSITIONAL):
                arguments[name] = value(name, parameter.annotation)
        if stream:
            arguments["stream"] = True
        raw = method(**arguments, extra_headers={"x-mode": mode})
        headers = {k.lower(): v for k, v in raw.headers.items()}
        if stream:
            return raw.status_code, headers, [repr(event) for event in raw.parse()]
        try:
            parsed = type(raw.parse()).__name__
        except Exception as error:  # what the client makes of odd bytes
            parsed = type(error).__name__
        return raw.status_code, headers, raw.http_response.content, parsed

    for path, method in walk(make("http://127.0.0.1:1"), []):
        parameters = inspect.signature(method).parameters
        if "extra_headers" in parameters:
            yield ".".join(path), "stream" in parameters, lambda url, mode, stream, path=path: call(url, path, mode, stream)


def google():
    from google import genai
    from google.genai import types
    arguments = {"model": "m", "contents": "hi", "name": "things/x", "prompt": "a cat", "video": None, "audio": None, "image": None,
                 "messages": None, "config": None, "file": None}
    modules = ("models", "files", "caches", "tunings", "batches", "file_search_stores", "interactions", "auth_tokens")

    @functools.cache
    def make(url, mode):
        return genai.Client(api_key="test-key", http_options=types.HttpOptions(base_url=url, headers={"x-mode": mode}, timeout=20_000))

    def call(url, module, name, mode):
        method = getattr(getattr(make(url, mode), module), name)
        given = {}
        for parameter in inspect.signature(method).parameters.values():
            if parameter.default is inspect.Parameter.empty and parameter.kind != parameter.VAR_KEYWORD:
                given[parameter.name] = arguments.get(parameter.name) or value(parameter.name, parameter.annotation)
        result = method(**given)
        if name.endswith("stream"):
            result = list(result)
        dump = lambda item: item.model_dump(mode="json", exclude={"sdk_http_response"}) if hasattr(item, "model_dump") else repr(type(item))
        headers = getattr(getattr(result, "sdk_http_response", None), "headers", None) or {}
        return 200, {k.lower(): v for k, v in headers.items()}, [dump(item) for item in result] if isinstance(result, list) else dump(result)

    client = genai.Client(api_key="test-key")
    for module in modules:
        if not hasattr(client, module):
            continue
        owner = getattr(client, module)
        for name in sorted(n for n in dir(type(owner)) if not n.startswith("_")):
            if inspect.ismethod(getattr(owner, name, None)) and name not in ("upload", "download", "register_files", "upload_to_file_search_store", "generate_videos"):
                yield "%s.%s" % (module, name), False, lambda url, mode, stream, module=module, name=name: call(url, module, name, mode)


# --- the comparison ---

def outcome(call, url, mode, stream):
    """What the client gave, and what the service saw."""
    Service.seen.clear()
    try:
        status, headers, *rest = call(url, mode, stream)
        told = (status, {k: v for k, v in headers.items() if k not in CONNECTION and not k.startswith(("x-envoy-", "x-llmesh-"))}, rest)
    except Exception as error:
        told = (type(error).__name__, getattr(error, "status_code", getattr(error, "code", None)), getattr(error, "request_id", None),
                repr(getattr(error, "body", getattr(error, "details", None))))
        if not Service.seen:
            return None
    seen = [(method, path, body, {k: v for k, v in headers.items() if k not in CONNECTION and k not in ADDED and not k.startswith("x-envoy-")})
            for method, path, body, headers in Service.seen]
    return told, seen


def modes(generation, stream):
    if generation:
        # Failures of upstreams have the statuses of their classes, by intention: only those of callers pass as they are.
        return ["good"] if stream else ["good", "status-400", "status-404", "status-422", "status-401"]
    return ["good", "odd-0", "odd-1", "odd-2", "odd-3", "odd-4", "odd-5", "odd-6", "status-400", "status-401", "status-403", "status-404",
            "status-409", "status-422", "status-429", "status-500", "status-503"]


def main():
    service = ThreadingHTTPServer(("127.0.0.1", 0), Service)
    service.daemon_threads = True
    threading.Thread(target=service.serve_forever, daemon=True).start()
    direct = "http://127.0.0.1:%d" % service.server_address[1]
    calls, wrong, made, paths = list(google() if SDK == "google" else stainless(SDK)), [], 0, set()
    dialect = {"openai": "dialect: openai", "anthropic": "dialect: anthropic", "google": "dialect: gemini"}[SDK]
    for kind, policy in KINDS.items():
        proxy = Proxy(MESH.replace("PORT", str(service.server_address[1])) + policy.replace("DIALECT", dialect))
        for number, (name, can_stream, call) in enumerate(calls):
            for stream in (False, True) if can_stream else (False,):
                first = outcome(call, direct, "good", stream)
                if first is None:
                    continue  # not sent: the client wants more than a guess for its arguments
                path = first[1][0][1].partition("?")[0]
                paths.add(path)
                generation = first[1][0][0] == "POST" and path.endswith(GENERATION)
                # Each call in every mode would take minutes: each mode meets every thirteenth call.
                chosen = modes(generation, stream)
                if not generation and not stream:
                    chosen = ["good"] + [m for i, m in enumerate(chosen[1:]) if (i + number) % 13 == 0]
                for mode in chosen:
                    straight = first if mode == "good" else outcome(call, direct, mode, stream)
                    through = outcome(call, proxy.base, mode, stream)
                    made += 1
                    if straight != through:
                        wrong.append((kind, name, "stream" if stream else "whole", mode, straight, through))
        proxy.stop()
    for kind, name, how, mode, straight, through in wrong[:20]:
        print("NOT THE SAME: %s, %s, %s, %s\n  direct:  %.700s\n  through: %.700s" % (kind, name, how, mode, straight, through))
    if wrong:
        sys.exit("%d of %d comparisons differ" % (len(wrong), made))
    print("held: %d paths or more, the same through the proxy" % (len(paths) // 10 * 10))
    print("%d calls, %d paths, %d comparisons" % (len(calls), len(paths), made))


main()
