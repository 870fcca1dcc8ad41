//! What the environment and the command line say.

use std::{env, fmt, time::Duration};

use http::Uri;

/// How spans are exported.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Settings {
    /// Where to: a URL. Without a path, OTLP's own for traces is taken.
    pub endpoint: String,
    /// The service's name, where the environment names none.
    pub service: Option<String>,
    /// Whether the environment names a sampler. Else the mesh's percentage holds.
    pub own_sampler: bool,
    /// How many spans may wait.
    pub queue: usize,
    /// The most spans of one batch.
    pub batch: usize,
    /// How long a span waits at most for others to be sent with.
    pub every: Duration,
    /// How long a batch may take.
    pub timeout: Duration,
}

/// A setting that cannot be used.
#[derive(Debug, thiserror::Error)]
#[error("spans cannot be exported: {0}")]
pub struct Unusable(String);

const TRACES: &str = "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT";
const ALL: &str = "OTEL_EXPORTER_OTLP_ENDPOINT";

// === impl Settings ===

impl Settings {
    /// The defaults of the OpenTelemetry specification, to this URL.
    #[must_use]
    pub fn new(endpoint: impl Into<String>) -> Self {
        Self {
            endpoint: endpoint.into(),
            service: None,
            own_sampler: false,
            queue: 2048,
            batch: 512,
            every: Duration::from_secs(5),
            timeout: Duration::from_secs(10),
        }
    }

    /// What the command line says, then the environment; `None`: nothing is exported.
    ///
    /// # Errors
    /// If a variable cannot be read.
    pub fn read(flag: Option<&str>, service: Option<&str>) -> Result<Option<Self>, Unusable> {
        Self::from_variables(flag, service, |name| {
            let value = env::var(name).ok()?;
            let value = value.trim();
            (!value.is_empty()).then(|| value.to_owned())
        })
    }

    fn from_variables(
        flag: Option<&str>,
        service: Option<&str>,
        read: impl Fn(&str) -> Option<String>,
    ) -> Result<Option<Self>, Unusable> {
        let is =
            |name: &str, value: &str| read(name).is_some_and(|v| v.eq_ignore_ascii_case(value));
        if is("OTEL_SDK_DISABLED", "true") || is("OTEL_TRACES_EXPORTER", "none") {
            return Ok(None);
        }
        // That of all signals is a base, that of traces a whole URL.
        let base = |url: String| format!("{}/v1/traces", url.trim_end_matches('/'));
        let endpoint = flag.map(str::to_owned);
        let endpoint = endpoint
            .or_else(|| read(TRACES))
            .or_else(|| read(ALL).map(base));
        let Some(endpoint) = endpoint else {
            return Ok(None);
        };
        let named = read("OTEL_SERVICE_NAME").is_some()
            || read("OTEL_RESOURCE_ATTRIBUTES").is_some_and(|a| a.contains("service.name="));
        let number = |name: &str, default: u64| match read(name) {
            None => Ok(default),
            Some(text) => text.parse::<u64>().ok().filter(|n| *n > 0).ok_or_else(|| {
                Unusable::new(format!(
                    "{name} is `{text}`, and should be a whole number above 0"
                ))
            }),
        };
        let count = |name: &str, default: usize| {
            number(name, default as u64).map(|n| usize::try_from(n).unwrap_or(usize::MAX))
        };
        let mut settings = Self::new(endpoint);
        settings.service = (!named).then(|| service.unwrap_or("llmesh").to_owned());
        settings.own_sampler = read("OTEL_TRACES_SAMPLER").is_some();
        // A channel cannot be longer than its semaphore.
        settings.queue = count("OTEL_BSP_MAX_QUEUE_SIZE", settings.queue)?.min(1 << 20);
        settings.batch =
            count("OTEL_BSP_MAX_EXPORT_BATCH_SIZE", settings.batch)?.min(settings.queue);
        settings.every = Duration::from_millis(number("OTEL_BSP_SCHEDULE_DELAY", 5000)?);
        let all = number("OTEL_EXPORTER_OTLP_TIMEOUT", 10_000)?;
        let timeout = number("OTEL_EXPORTER_OTLP_TRACES_TIMEOUT", all)?;
        settings.timeout = Duration::from_millis(timeout);
        settings.traces_url()?;
        Ok(Some(settings))
    }

    /// The whole URL.
    pub(super) fn traces_url(&self) -> Result<String, Unusable> {
        let given = &self.endpoint;
        // Not said again: it may be a password.
        if given.contains('@') {
            return Err(Unusable::new(
                "the collector's URL holds a name or a password, which would be sent nowhere; send it by OTEL_EXPORTER_OTLP_HEADERS, and write the URL as http://127.0.0.1:4318",
            ));
        }
        let uri: Uri = given.parse().map_err(|e| {
            Unusable::new(format!(
                "{given} is no URL ({e}); http://127.0.0.1:4318 is one"
            ))
        })?;
        match (uri.scheme_str(), uri.host()) {
            (Some("http"), Some(_)) => {}
            (Some("https"), _) => {
                return Err(Unusable::new(format!(
                    "{given} speaks TLS, which the exporter does not yet; send to a collector on this host, such as http://127.0.0.1:4318, which may go on by TLS"
                )));
            }
            _ => {
                return Err(Unusable::new(format!(
                    "{given} is no URL of a collector; http://127.0.0.1:4318 is one"
                )));
            }
        }
        Ok(match uri.path() {
            "" | "/" => format!("{}/v1/traces", given.trim_end_matches('/')),
            _ => given.clone(),
        })
    }
}

// === impl Unusable ===

impl Unusable {
    pub(super) fn new(why: impl fmt::Display) -> Self {
        Self(why.to_string())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(flag: Option<&str>, variables: &[(&str, &str)]) -> Result<Option<Settings>, Unusable> {
        Settings::from_variables(flag, Some("shop"), |name| {
            let found = variables.iter().find(|(known, _)| *known == name);
            found.map(|(_, value)| (*value).to_owned())
        })
    }

    #[test]
    fn one_endpoint_turns_it_on_and_each_has_its_path() {
        let url = |flag, variables: &[_]| {
            let settings = read(flag, variables).unwrap()?;
            Some(settings.traces_url().unwrap())
        };
        assert_eq!(url(None, &[]), None);
        for (flag, variables, expected) in [
            (Some("http://c:4318"), &[][..], "http://c:4318/v1/traces"),
            (Some("http://c/x"), &[(ALL, "http://d")], "http://c/x"),
            (None, &[(ALL, "http://c:4318/")], "http://c:4318/v1/traces"),
            (None, &[(ALL, "http://c/otlp")], "http://c/otlp/v1/traces"),
            (
                None,
                &[(ALL, "http://c"), (TRACES, "http://d/t")],
                "http://d/t",
            ),
        ] {
            assert_eq!(url(flag, variables).as_deref(), Some(expected));
        }
        for off in [
            ("OTEL_SDK_DISABLED", "TRUE"),
            ("OTEL_TRACES_EXPORTER", "none"),
        ] {
            assert_eq!(url(Some("http://c"), &[off]), None, "{off:?}");
        }
    }

    #[test]
    fn variables_hold_and_the_workload_names_what_they_do_not() {
        let settings = read(
            Some("http://c"),
            &[
                ("OTEL_BSP_MAX_QUEUE_SIZE", "10"),
                ("OTEL_BSP_SCHEDULE_DELAY", "100"),
                ("OTEL_EXPORTER_OTLP_TIMEOUT", "300"),
                ("OTEL_TRACES_SAMPLER", "always_on"),
            ],
        );
        let settings = settings.unwrap().unwrap();
        assert_eq!((settings.queue, settings.batch), (10, 10));
        assert_eq!(settings.every, Duration::from_millis(100));
        assert_eq!(settings.timeout, Duration::from_millis(300));
        assert!(settings.own_sampler);
        assert_eq!(settings.service.as_deref(), Some("shop"));
        for named in [
            ("OTEL_SERVICE_NAME", "x"),
            ("OTEL_RESOURCE_ATTRIBUTES", "a=b,service.name=x"),
        ] {
            let settings = read(Some("http://c"), &[named]).unwrap().unwrap();
            assert_eq!(settings.service, None);
        }
    }

    /// Neither by the flag nor by a variable, whatever else is wrong with the URL.
    #[test]
    fn a_password_in_a_url_is_refused_and_not_said_again() {
        for url in [
            "http://user:s3cret@c:4318",
            "https://user:s3cret@c",
            "user:s3cret@c",
            "http://user:s3cret@c d",
        ] {
            for (flag, variables) in [
                (Some(url), &[][..]),
                (None, &[(ALL, url)]),
                (None, &[(TRACES, url)]),
            ] {
                let error = read(flag, variables).unwrap_err().to_string();
                assert!(error.contains("OTEL_EXPORTER_OTLP_HEADERS"), "{error}");
                assert!(!error.contains("s3cret"), "{error}");
            }
        }
    }

    #[test]
    fn what_cannot_be_used_is_named() {
        for (flag, variables, part) in [
            ("https://c", &[][..], "TLS"),
            ("c:4318", &[], "c:4318"),
            ("http://c d", &[], "http://127.0.0.1:4318"),
            (
                "http://c",
                &[("OTEL_BSP_MAX_QUEUE_SIZE", "many")],
                "OTEL_BSP_MAX_QUEUE_SIZE is `many`",
            ),
            ("http://c", &[("OTEL_BSP_SCHEDULE_DELAY", "0")], "above 0"),
        ] {
            let error = read(Some(flag), variables).unwrap_err().to_string();
            assert!(error.contains(part), "{error}");
        }
    }
}
