//! The providers that come with the binary: their files, and where requests for the listener's own address go with them.
//!
//! With one provider all of them go to it, with or without its name before the path. With several, only those whose path
//! begins with a provider's name: were one of them the default, a path that two providers have could take one's key to the
//! other (`/openai/v1` is a path of Groq's and of Azure's).
#![doc = ""]
#![doc = include_str!("providers.md")]

use std::{net::SocketAddr, str::FromStr};

use crate::{config::Source, proxy::Own};

/// A provider that is served.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Provider {
    known: &'static Known,
    /// Its host, if that is not the same for everybody.
    host: Option<String>,
}

/// What is known of a provider.
#[derive(Debug, PartialEq, Eq)]
struct Known {
    name: &'static str,
    /// As the file has it.
    host: &'static str,
    yaml: &'static str,
    /// What it is that everybody has a different one of.
    differs: Option<Differs>,
}

/// A part of a host that everybody has a different one of.
#[derive(Debug, PartialEq, Eq)]
struct Differs {
    what: &'static str,
    example: &'static str,
    /// The variable that the provider's own clients read it from.
    variable: &'static str,
    /// The hosts of one: what comes before and after it.
    around: (&'static str, &'static str),
    /// Values that have a host of their own.
    special: &'static [(&'static str, &'static str)],
}

macro_rules! known {
    ($name:literal, $host:literal, $file:literal, $differs:expr) => {
        Known {
            name: $name,
            host: $host,
            yaml: include_str!(concat!("../../examples/providers/", $file, ".yaml")),
            differs: $differs,
        }
    };
    ($name:literal, $host:literal) => {
        known!($name, $host, $name, None)
    };
}

const AZURE: Differs = Differs {
    what: "the name of your resource",
    example: "contoso",
    variable: "AZURE_OPENAI_ENDPOINT",
    around: ("", ".openai.azure.com"),
    special: &[],
};
const VERTEX: Differs = Differs {
    what: "a location",
    example: "europe-west4",
    variable: "GOOGLE_CLOUD_LOCATION",
    around: ("", "-aiplatform.googleapis.com"),
    special: &[
        ("global", "aiplatform.googleapis.com"),
        ("us", "aiplatform.us.rep.googleapis.com"),
        ("eu", "aiplatform.eu.rep.googleapis.com"),
    ],
};
const BEDROCK: Differs = Differs {
    what: "a region",
    example: "us-east-1",
    variable: "AWS_REGION",
    around: ("bedrock-runtime.", ".amazonaws.com"),
    special: &[],
};

static KNOWN: [Known; 15] = [
    known!("openai", "api.openai.com"),
    known!(
        "azure-openai",
        "my-resource.openai.azure.com",
        "azure-openai",
        Some(AZURE)
    ),
    known!("anthropic", "api.anthropic.com"),
    known!("gemini", "generativelanguage.googleapis.com"),
    known!(
        "vertex",
        "us-central1-aiplatform.googleapis.com",
        "vertex",
        Some(VERTEX)
    ),
    known!(
        "bedrock",
        "bedrock-runtime.us-east-1.amazonaws.com",
        "bedrock-gateway-note",
        Some(BEDROCK)
    ),
    known!("mistral", "api.mistral.ai"),
    known!("groq", "api.groq.com"),
    known!("together", "api.together.xyz"),
    known!("openrouter", "openrouter.ai"),
    known!("deepseek", "api.deepseek.com"),
    known!("xai", "api.x.ai"),
    known!("cohere", "api.cohere.com"),
    known!("ollama", "ollama.internal"),
    known!("vllm", "vllm.internal"),
];

// === impl Provider ===

impl Provider {
    /// Its files, as if they were given.
    #[must_use]
    pub fn source(&self) -> Source {
        let Known {
            name, host, yaml, ..
        } = self.known;
        let text = match &self.host {
            Some(own) => yaml.replace(host, own),
            None => (*yaml).to_owned(),
        };
        Source::new(format!("provider {name}"), text).as_built_in()
    }

    fn host(&self) -> &str {
        self.host.as_deref().unwrap_or(self.known.host)
    }

    /// What to write in place of the provider's own address, for people.
    fn base_url(&self, at: SocketAddr, prefixed: bool) -> String {
        let scheme = if self.host().ends_with(".internal") {
            "http"
        } else {
            "https"
        };
        let (name, host) = (self.known.name, self.host());
        let prefix = if prefixed {
            format!("/{name}")
        } else {
            String::new()
        };
        format!("{scheme}://{host} is http://{at}{prefix}")
    }

    /// `text` is a name, or a name with what differs; `variable` reads the environment.
    fn read(text: &str, variable: impl Fn(&str) -> Option<String>) -> Result<Self, String> {
        let (name, value) = match text.split_once('=') {
            Some((name, value)) => (name, Some(value.to_owned())),
            None => (text, None),
        };
        let name = name.trim().to_ascii_lowercase();
        let name = name.strip_suffix("-gateway-note").unwrap_or(&name);
        let known = KNOWN.iter().find(|known| known.name == name);
        let known = known.ok_or_else(|| {
            let names: Vec<_> = KNOWN.iter().map(|known| known.name).collect();
            format!("no provider of this name; there are {}", names.join(", "))
        })?;
        let host = match (&known.differs, value) {
            (None, None) => None,
            (None, Some(_)) => {
                return Err(format!("{name} has one host for everybody: {}", known.host));
            }
            (Some(differs), Some(value)) => Some(differs.host(&value).ok_or_else(|| {
                format!(
                    "{value:?} is not {}, as in {name}={}",
                    differs.what, differs.example
                )
            })?),
            (Some(differs), None) => {
                let value = variable(differs.variable).filter(|value| !value.is_empty());
                let value = value.ok_or_else(|| differs.missing(name))?;
                let host = differs.host(&value);
                Some(host.ok_or_else(|| {
                    format!("what {} holds is not {}", differs.variable, differs.what)
                })?)
            }
        };
        Ok(Self { known, host })
    }
}

impl FromStr for Provider {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        Self::read(text, |name| std::env::var(name).ok())
    }
}

// === impl Differs ===

impl Differs {
    /// The host of a value, which may be the host itself, or a URL of it.
    fn host(&self, value: &str) -> Option<String> {
        let value = value.trim();
        let bare = value.strip_prefix("https://").unwrap_or(value);
        let bare = bare.split('/').next()?.to_ascii_lowercase();
        let label = |l: &str| {
            (1..=63).contains(&l.len()) && l.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-')
        };
        if !bare.split('.').all(label) {
            return None;
        }
        if bare.contains('.') {
            return Some(bare);
        }
        if let Some((_, host)) = self.special.iter().find(|(special, _)| *special == bare) {
            return Some((*host).to_owned());
        }
        let (before, after) = self.around;
        Some(format!("{before}{bare}{after}"))
    }

    fn missing(&self, name: &str) -> String {
        let Self {
            what,
            example,
            variable,
            ..
        } = self;
        format!("its host has {what}: --provider {name}={example}, or set {variable}")
    }
}

// === free functions ===

/// Where requests for the listener's own address go with these providers and a default host of the user's.
#[must_use]
pub fn own(providers: &[Provider], host: Option<String>, names: Vec<String>) -> Own {
    let prefix = |provider: &Provider| (provider.known.name.to_owned(), provider.host().to_owned());
    let only = match providers {
        [only] => Some(only.host().to_owned()),
        _ => None,
    };
    Own {
        names,
        host: host.or(only),
        prefixes: providers.iter().map(prefix).collect(),
    }
}

/// What a client's base URL is with these providers, for people.
#[must_use]
pub fn base_urls(providers: &[Provider], own: &Own, at: SocketAddr) -> Vec<String> {
    let root = own.host.as_deref();
    let is_root = |provider: &Provider| root == Some(provider.host());
    let mut lines: Vec<_> = providers
        .iter()
        .map(|provider| provider.base_url(at, !is_root(provider)))
        .collect();
    let other = root.filter(|_| !providers.iter().any(is_root));
    lines.extend(other.map(|host| format!("{host} is http://{at}")));
    lines
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::{Diagnostic, Loaded, Options, Severity, load};

    fn all() -> Vec<Provider> {
        let read = |known: &Known| Provider::read(known.name, |_| Some("x1".to_owned())).unwrap();
        KNOWN.iter().map(read).collect()
    }

    /// What `check --strict` fails on.
    fn bad(loaded: &Loaded) -> Vec<String> {
        let bad = |d: &&Diagnostic| d.severity < Severity::Note;
        let all = loaded.diagnostics.iter().filter(bad);
        all.map(ToString::to_string).collect()
    }

    #[test]
    fn each_alone_and_all_together_are_clean() {
        let strict = Options::default().with_strict(true);
        let all = all();
        let alone = all.iter().map(|p| vec![p.source()]);
        let together = all.iter().map(Provider::source).collect();
        for sources in alone.chain([together]) {
            let loaded = load(&sources, &strict);
            let found = bad(&loaded);
            assert!(found.is_empty(), "{found:#?}");
            let model = loaded.model.unwrap();
            assert_eq!(model.virtual_hosts.len(), sources.len());
            assert!(
                model
                    .virtual_hosts
                    .iter()
                    .all(|h| h.llm.iter().all(Option::is_some))
            );
        }
    }

    /// The file of the examples is what is built in, and says what is said of it.
    #[test]
    fn files_are_of_the_host_that_is_known() {
        for known in &KNOWN {
            let text = known.yaml;
            assert!(
                text.contains(&format!("hosts: [{}]", known.host)),
                "{}",
                known.name
            );
            assert!(text.contains(&format!("metadata: {{name: {}}}", known.name)));
            let documents = text.matches("\nkind: ").count();
            assert_eq!(documents, 4, "{}", known.name);
        }
    }

    #[test]
    fn a_file_of_the_users_goes_before_what_is_built_in() {
        let user = KNOWN[0].yaml.replace("600s", "7s");
        let sources = [all()[0].source(), Source::new("mine.yaml", user)];
        let loaded = load(&sources, &Options::default().with_strict(true));
        let found = bad(&loaded);
        assert!(found.is_empty(), "{found:#?}");
        let model = loaded.model.unwrap();
        let policy = model.virtual_hosts[0].llm[0].clone().unwrap();
        assert_eq!(
            policy.stream.clocks.headers,
            Some(std::time::Duration::from_secs(7))
        );
        assert!(model.virtual_hosts[0].origin.contains("openai"));
    }

    #[test]
    fn what_differs_is_a_value_or_a_variable() {
        let none = |_: &str| None;
        let host = |text: &str| Provider::read(text, none).map(|p| p.host().to_owned());
        for (text, is) in [
            ("openai", "api.openai.com"),
            ("OpenAI", "api.openai.com"),
            ("azure-openai=contoso", "contoso.openai.azure.com"),
            (
                "azure-openai=https://Contoso.openai.azure.com/",
                "contoso.openai.azure.com",
            ),
            (
                "azure-openai=x.cognitiveservices.azure.com",
                "x.cognitiveservices.azure.com",
            ),
            (
                "vertex=europe-west4",
                "europe-west4-aiplatform.googleapis.com",
            ),
            ("vertex=global", "aiplatform.googleapis.com"),
            (
                "bedrock=eu-west-1",
                "bedrock-runtime.eu-west-1.amazonaws.com",
            ),
            (
                "bedrock-gateway-note=eu-west-1",
                "bedrock-runtime.eu-west-1.amazonaws.com",
            ),
        ] {
            assert_eq!(host(text).as_deref(), Ok(is), "{text}");
        }
        for (text, says) in [
            ("opnai", "openai, azure-openai"),
            ("", "openai, azure-openai"),
            ("openai=x", "api.openai.com"),
            ("azure-openai", "AZURE_OPENAI_ENDPOINT"),
            ("azure-openai", "--provider azure-openai=contoso"),
            ("vertex", "GOOGLE_CLOUD_LOCATION"),
            ("azure-openai=a b", "not the name of your resource"),
            ("azure-openai=", "not the name of your resource"),
            ("azure-openai=http://x", "not the name"),
        ] {
            let error = host(text).unwrap_err();
            assert!(error.contains(says), "{text}: {error}");
        }
        let set = |name: &str| (name == "AWS_REGION").then(|| "us-west-2".to_owned());
        let bedrock = Provider::read("bedrock", set).unwrap();
        assert_eq!(bedrock.host(), "bedrock-runtime.us-west-2.amazonaws.com");
        assert!(!bedrock.source().text.contains("bedrock-runtime.us-east-1"));
        // Values of the environment are not repeated.
        let odd = Provider::read("bedrock", |_| Some("se cret".to_owned())).unwrap_err();
        assert!(!odd.contains("cret"), "{odd}");
    }

    #[test]
    fn one_provider_has_the_root_and_several_have_prefixes() {
        let one = own(&all()[..1], None, Vec::new());
        assert_eq!(one.host.as_deref(), Some("api.openai.com"));
        assert_eq!(one.prefixes["openai"], "api.openai.com");
        let two = own(&all()[..3], None, Vec::new());
        assert_eq!((two.host, two.prefixes.len()), (None, 3));
        let told = own(&all()[..3], Some("mine".to_owned()), Vec::new());
        assert_eq!(told.host.as_deref(), Some("mine"));
        let at = "127.0.0.1:15001".parse().unwrap();
        let urls = |n: usize, host: Option<&str>| {
            let providers = &all()[..n];
            let own = own(providers, host.map(str::to_owned), Vec::new());
            base_urls(providers, &own, at)
        };
        let root = "https://api.openai.com is http://127.0.0.1:15001";
        assert_eq!(urls(1, None), [root]);
        let anthropic = "https://api.anthropic.com is http://127.0.0.1:15001/anthropic";
        let several = urls(3, None);
        assert_eq!(
            (&*several[0], &*several[2]),
            (&*format!("{root}/openai"), anthropic)
        );
        let with_root = urls(3, Some("api.openai.com"));
        assert_eq!((&*with_root[0], &*with_root[2]), (root, anthropic));
        let mine = "mine is http://127.0.0.1:15001";
        assert_eq!(urls(1, Some("mine")), [&*format!("{root}/openai"), mine]);
        assert_eq!(urls(0, Some("mine")), [mine]);
    }
}
