//! The rows.

/// The end of a path, and the right form: code, or `code | what more there is to say`, or a sentence with code in it.
pub(super) type Row = (&'static str, &'static str);

/// Where a mapping is expected.
pub(super) const MAPPINGS: &[Row] = &[
    ("match[].uri", "uri: {prefix: {}}"),
    ("match[].method", "method: {exact: {}}"),
    ("match[].scheme", "scheme: {exact: {}}"),
    ("match[].authority", "authority: {exact: {}}"),
    (
        "match[].headers.*",
        "NAME: {exact: VALUE} | an empty mapping asks only that it is there",
    ),
    (
        "match[].withoutHeaders.*",
        "NAME: {exact: VALUE} | an empty mapping asks only that it is there",
    ),
    ("match[].queryParams.*", "NAME: {exact: VALUE}"),
    ("match[]", "- uri: {prefix: /v1}"),
    ("destination.port", "port: {number: {}}"),
    ("mirror.port", "port: {number: {}}"),
    ("route[].destination", "destination: {host: {}}"),
    ("route[]", "- destination: {host: {}}"),
    ("http[].mirror", "mirror: {host: {}}"),
    ("http[].retries", "retries: {attempts: {}}"),
    ("http[].rewrite", "rewrite: {uri: {}}"),
    (
        "http[].redirect",
        "redirect: {uri: /path, authority: other.example}",
    ),
    (
        "http[].directResponse",
        "directResponse: {status: 200, body: {string: TEXT}}",
    ),
    (
        "http[].corsPolicy",
        "corsPolicy: {allowOrigins: [{exact: https://app.example}]}",
    ),
    ("http[].headers", "headers: {request: {set: {NAME: VALUE}}}"),
    ("headers.request", "request: {set: {NAME: VALUE}}"),
    ("headers.response", "response: {set: {NAME: VALUE}}"),
    ("headers.*.set", "set: {NAME: VALUE}"),
    ("headers.*.add", "add: {NAME: VALUE}"),
    (
        "fault.delay",
        "delay: {fixedDelay: 5s, percentage: {value: 100}}",
    ),
    (
        "fault.abort",
        "abort: {httpStatus: 503, percentage: {value: 100}}",
    ),
    ("percentage", "percentage: {value: {}}"),
    ("mirrorPercentage", "mirrorPercentage: {value: {}}"),
    (
        "trafficPolicy",
        "trafficPolicy: {loadBalancer: {simple: ROUND_ROBIN}}",
    ),
    ("loadBalancer", "loadBalancer: {simple: {}}"),
    ("consistentHash", "consistentHash: {httpHeaderName: {}}"),
    ("trafficPolicy.tls", "tls: {mode: {}}"),
    (
        "outlierDetection",
        "outlierDetection: {consecutive5xxErrors: 5, interval: 10s, baseEjectionTime: 30s}",
    ),
    (
        "connectionPool",
        "connectionPool: {tcp: {maxConnections: 100}}",
    ),
    ("connectionPool.tcp", "tcp: {maxConnections: {}}"),
    ("connectionPool.http", "http: {http2MaxRequests: {}}"),
    ("subsets[]", "- {name: {}, labels: {version: {}}}"),
    ("subsets[].labels", "labels: {version: v1}"),
    ("metadata.labels", "labels: {NAME: VALUE}"),
    ("metadata", "metadata: {name: NAME}"),
    (
        "ServiceEntry.spec.ports[]",
        "- {number: {}, name: http, protocol: HTTP}",
    ),
    ("endpoints[]", "- {address: {}}"),
    (
        "endpoints[].ports",
        "ports: {PORT-NAME: {}} | by the name of the service's port",
    ),
    ("selector", "selector: {matchLabels: {app: NAME}}"),
    (
        "LlmPolicy.spec.timeouts",
        "timeouts: {headers: 10s, firstToken: 15s, interToken: 20s}",
    ),
    (
        "LlmPolicy.spec.retries",
        "retries: {budget: {percent: 20}} | how often is `retries: {attempts: {}}` of the VirtualService",
    ),
    ("LlmPolicy.spec.retries.budget", "budget: {percent: 20}"),
    ("LlmPolicy.spec.fallback[]", "- {host: {}}"),
    ("LlmPolicy.spec.limits[]", "- {requestsPerSecond: {}}"),
    ("LlmPolicy.spec.usage", "usage: {inject: {}}"),
];

/// Where a list is expected.
pub(super) const LISTS: &[Row] = &[
    ("hosts", "hosts: [{}]"),
    ("gateways", "gateways: [{}]"),
    ("exportTo", "exportTo: [{}]"),
    (
        "http[].match",
        "match: [{uri: {prefix: /v1}}] | each item is one alternative",
    ),
    ("http[].route", "route: [{destination: {host: {}}}]"),
    ("subsets", "subsets: [{name: v1, labels: {version: v1}}]"),
    (
        "ServiceEntry.spec.ports",
        "ports: [{number: 80, name: http, protocol: HTTP}]",
    ),
    ("endpoints", "endpoints: [{address: {}}]"),
    ("LlmPolicy.spec.fallback", "fallback: [{host: {}}]"),
    (
        "LlmPolicy.spec.limits",
        "limits: [{requestsPerSecond: 10}] | each item is one limit",
    ),
];

/// Where a text is expected.
pub(super) const TEXTS: &[Row] = &[
    (
        "retries.retryOn",
        "retryOn: 5xx,reset | one text, with commas",
    ),
    (
        "destination.subset",
        "subset: v1 | one name; several destinations share a route by `weight`",
    ),
    (
        "destination.host",
        "host: NAME | one host; several destinations share a route by `weight`",
    ),
    (
        "endpoints[].address",
        "address: 127.0.0.1 | one address; each endpoint is an item of its own",
    ),
];

/// Keys that are not known where they stand.
pub(super) const UNKNOWN: &[Row] = &[
    ("callers[].key", OF_CALLER),
    ("callers[].keys", OF_CALLER),
    ("callers[].token", OF_CALLER),
    ("callers[].apiKey", OF_CALLER),
    ("callers[].secret", OF_CALLER),
    ("callers[].hash", "sha256: \"64 HEXADECIMAL DIGITS\""),
    ("match[].headers.set.*", ONLY_LOOKS),
    ("match[].headers.add.*", ONLY_LOOKS),
    ("match[].headers.remove.*", ONLY_LOOKS),
    ("match[].headers.request.*", ONLY_LOOKS),
    (
        "match[].headers.*.*",
        "NAME: {exact: VALUE} | or `prefix` or `regex`",
    ),
    ("match[].path", "uri: {prefix: /v1}"),
    ("match[].url", "uri: {prefix: /v1}"),
    ("match[].prefix", "uri: {prefix: /v1}"),
    ("match[].exact", "uri: {exact: /v1}"),
    ("match[].regex", "uri: {regex: /v.*}"),
    ("match[].query", "queryParams: {NAME: {exact: VALUE}}"),
    ("match[].params", "queryParams: {NAME: {exact: VALUE}}"),
    ("match[].host", "authority: {exact: HOST}"),
    (
        "http[].headers.*",
        "headers: {request: {set: {NAME: VALUE}}} | or `response`: say of which message",
    ),
    (
        "route[].headers.*",
        "headers: {request: {set: {NAME: VALUE}}} | or `response`: say of which message",
    ),
    (
        "headers.request.*",
        "request: {set: {NAME: VALUE}} | or `add` or `remove`",
    ),
    (
        "headers.response.*",
        "response: {set: {NAME: VALUE}} | or `add` or `remove`",
    ),
    (
        "http[].backendRefs",
        "route: [{destination: {host: NAME, port: {number: 80}}}] | `backendRefs` are Gateway API's",
    ),
    ("http[].destination", "route: [{destination: {host: NAME}}]"),
    ("http[].host", "route: [{destination: {host: NAME}}]"),
    (
        "http[].weight",
        "route: [{destination: {host: NAME}, weight: 50}] | it belongs to a destination",
    ),
    ("http[].uri", "match: [{uri: {prefix: /v1}}]"),
    ("http[].path", "match: [{uri: {prefix: /v1}}]"),
    ("http[].prefix", "match: [{uri: {prefix: /v1}}]"),
    ("http[].method", "match: [{method: {exact: GET}}]"),
    ("http[].attempts", "retries: {attempts: 3}"),
    (
        "http[].retryOn",
        "retries: {attempts: 3, retryOn: 5xx,reset}",
    ),
    (
        "http[].perTryTimeout",
        "retries: {attempts: 3, perTryTimeout: 5s}",
    ),
    ("http[].retry", "retries: {attempts: 3}"),
    (
        "http[].subset",
        "route: [{destination: {host: NAME, subset: v1}}]",
    ),
    ("route[].host", "destination: {host: NAME}"),
    ("route[].subset", "destination: {host: NAME, subset: v1}"),
    (
        "route[].port",
        "destination: {host: NAME, port: {number: 80}}",
    ),
    (
        "destination.weight",
        "- {destination: {host: NAME}, weight: 50} | beside `destination`",
    ),
    (
        "destination.namespace",
        "host: NAME.NAMESPACE.svc.cluster.local",
    ),
    ("destination.name", "host: NAME"),
    ("retries.count", "it is called `attempts`"),
    ("retries.max", "it is called `attempts`"),
    ("retries.maxRetries", "it is called `attempts`"),
    ("retries.numRetries", "it is called `attempts`"),
    ("retries.timeout", "it is called `perTryTimeout`"),
    ("retries.on", "it is called `retryOn`"),
    (
        "connectionPool.maxConnections",
        "tcp: {maxConnections: 100}",
    ),
    ("connectionPool.connectTimeout", "tcp: {connectTimeout: 5s}"),
    (
        "connectionPool.tcpKeepalive",
        "tcp: {tcpKeepalive: {time: 60s}}",
    ),
    (
        "connectionPool.http1MaxPendingRequests",
        "http: {http1MaxPendingRequests: 100}",
    ),
    (
        "connectionPool.http2MaxRequests",
        "http: {http2MaxRequests: 100}",
    ),
    (
        "connectionPool.maxRequestsPerConnection",
        "http: {maxRequestsPerConnection: 100}",
    ),
    ("connectionPool.maxRetries", "http: {maxRetries: 10}"),
    ("connectionPool.idleTimeout", "http: {idleTimeout: 60s}"),
    (
        "DestinationRule.spec.loadBalancer",
        "trafficPolicy: {loadBalancer: {…}}",
    ),
    (
        "DestinationRule.spec.connectionPool",
        "trafficPolicy: {connectionPool: {…}}",
    ),
    (
        "DestinationRule.spec.outlierDetection",
        "trafficPolicy: {outlierDetection: {…}}",
    ),
    ("DestinationRule.spec.tls", "trafficPolicy: {tls: {…}}"),
    (
        "trafficPolicy.circuitBreaker",
        "`outlierDetection` ejects endpoints, `connectionPool` is a ceiling",
    ),
    ("ports[].port", "it is called `number`"),
    (
        "endpoints[].port",
        "ports: {PORT-NAME: 9001} | by the name of the service's port",
    ),
    ("endpoints[].host", "it is called `address`"),
    ("endpoints[].ip", "it is called `address`"),
    ("LlmPolicy.spec.provider", "dialect: openai"),
    (
        "LlmPolicy.spec.timeout",
        "timeouts: {headers: 10s} | that of the whole call is `timeout` of the VirtualService",
    ),
    ("LlmPolicy.spec.fallbacks", "fallback: [{host: NAME}]"),
];

/// A caller's key is nowhere written as it is.
const OF_CALLER: &str =
    "env: WEB_KEY | the variable holds the key; or `file` with the path of a file, or `sha256`";

const ONLY_LOOKS: &str =
    "headers: {request: {set: {NAME: VALUE}}} | beside `match`, which only looks";

/// Words of YAML 1.1 and of other languages.
pub(super) const BOOLEANS: &[(&str, &str)] = &[
    ("yes", "true"),
    ("y", "true"),
    ("on", "true"),
    ("enabled", "true"),
    ("1", "true"),
    ("no", "false"),
    ("n", "false"),
    ("off", "false"),
    ("disabled", "false"),
    ("0", "false"),
];

/// What stands behind numbers, and how many it makes of one.
pub(super) const UNITS: &[(&str, u64)] = &[
    ("%", 1),
    ("kb", 1 << 10),
    ("ki", 1 << 10),
    ("kib", 1 << 10),
    ("mb", 1 << 20),
    ("mi", 1 << 20),
    ("mib", 1 << 20),
];
