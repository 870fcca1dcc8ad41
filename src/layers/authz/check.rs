//! One condition, compiled.

use std::net::IpAddr;

use http::HeaderName;

use super::{
    facts::{Case, Fact, HttpFacts},
    params::{Condition, Policy, Subject, TrustDomains},
    pattern::{Block, Pattern},
};

/// Whether something holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Truth {
    /// It does not.
    No,
    /// Who knows.
    Maybe,
    /// It does.
    Yes,
}

/// A condition, compiled.
#[derive(Clone, Debug)]
pub(super) struct Check {
    pub(super) subject: Subject,
    pub(super) values: Values,
    pub(super) negate: bool,
    /// Of an attribute that has several values, whether one that matches is enough. A rule that keeps out is content with
    /// one, a rule that lets in wants all; with a negated condition it is the other way round.
    any: bool,
    /// The header's name, where it is one.
    name: Option<HeaderName>,
}

/// What the values are compared with.
#[derive(Clone, Debug)]
pub(super) enum Values {
    Texts(Box<[Pattern]>),
    Blocks(Box<[Block]>),
    Ports(Box<[u16]>),
    /// Namespaces and names.
    Accounts(Box<[(Box<str>, Box<str>)]>),
}

// === impl Truth ===

impl Truth {
    pub(super) const fn of(holds: bool) -> Self {
        if holds { Self::Yes } else { Self::No }
    }

    const fn not(self) -> Self {
        match self {
            Self::No => Self::Yes,
            Self::Maybe => Self::Maybe,
            Self::Yes => Self::No,
        }
    }
}

// === impl Check ===

impl Check {
    /// Compiles a condition of a policy. `None` if its values cannot be read.
    pub(super) fn new(
        condition: &Condition,
        policy: &Policy,
        keeps_out: bool,
        domains: &TrustDomains,
    ) -> Option<Self> {
        let Condition {
            subject,
            values,
            negate,
        } = condition;
        let name = match subject {
            Subject::Header(name) if !name.starts_with(':') => {
                Some(HeaderName::try_from(name.as_str()).ok()?)
            }
            _ => None,
        };
        Some(Self {
            subject: subject.clone(),
            values: Values::new(subject, values, &policy.namespace, domains)?,
            negate: *negate,
            any: keeps_out != *negate,
            name,
        })
    }

    pub(super) fn holds(&self, case: &Case<'_>) -> Truth {
        let inner = self.inner(case);
        if self.negate { inner.not() } else { inner }
    }

    fn inner(&self, case: &Case<'_>) -> Truth {
        let facts = case.facts;
        match &self.subject {
            Subject::Principal => self.principal(case),
            Subject::Namespace => self.namespace(case),
            Subject::ServiceAccount => of_id(case, |_| self.account(&case.segments)),
            Subject::TrustDomain => of_id(case, |_| {
                case.trust_domain().is_some_and(|domain| self.text(domain))
            }),
            Subject::SourceIp => self.block(facts.source_ip),
            Subject::RemoteIp => self.block(facts.remote_ip),
            Subject::DestinationIp => self.block(facts.destination_ip),
            Subject::Port => match (&self.values, facts.port) {
                (Values::Ports(ports), Fact::Is(port)) => Truth::of(ports.contains(&port)),
                (_, Fact::Absent) => Truth::No,
                _ => Truth::Maybe,
            },
            Subject::Sni => of(facts.sni, |sni| self.text(sni)),
            Subject::Host | Subject::Method | Subject::Path | Subject::Header(_) => {
                match &facts.http {
                    Fact::Is(http) => self.of_request(http, case),
                    Fact::Absent => Truth::No,
                    Fact::Unknown => Truth::Maybe,
                }
            }
            Subject::RequestPrincipal => match (facts.token, &case.principal) {
                (Fact::Is(token), Some(whole)) => {
                    Truth::of(self.request_principal(&token.issuer, &token.subject, whole))
                }
                (Fact::Unknown, _) => Truth::Maybe,
                _ => Truth::No,
            },
            Subject::Audience => of(facts.token, |token| self.one_of(&token.audiences)),
            Subject::Presenter => of(facts.token, |token| self.one_of(&token.presenter)),
            Subject::Claim(path) => of(facts.token, |token| {
                self.one_of(token.claims.get(path).into_iter().flatten())
            }),
            Subject::Unseen(_) => Truth::Maybe,
        }
    }

    fn principal(&self, case: &Case<'_>) -> Truth {
        match (case.facts.peer, case.id) {
            (Fact::Is(uri), id) => {
                let known = |pattern: &Pattern| match (pattern, id) {
                    (Pattern::Any, _) => !uri.is_empty(),
                    (pattern, Fact::Is(id)) => pattern.matches(id),
                    _ => false,
                };
                Truth::of(self.patterns().iter().any(known))
            }
            (Fact::Absent, _) => Truth::No,
            (Fact::Unknown, _) => Truth::Maybe,
        }
    }

    fn namespace(&self, case: &Case<'_>) -> Truth {
        of_id(case, |_| {
            self.patterns().iter().any(|pattern| match pattern {
                Pattern::Exact(name) => case.namespaces().any(|own| *own == **name),
                glob => matches!(case.facts.peer, Fact::Is(uri) if glob.matches(uri)),
            })
        })
    }

    fn account(&self, segments: &[&str]) -> bool {
        let Values::Accounts(accounts) = &self.values else {
            return false;
        };
        accounts.iter().any(|(ns, sa)| is_account(segments, ns, sa))
    }

    fn block(&self, address: Fact<IpAddr>) -> Truth {
        let Values::Blocks(blocks) = &self.values else {
            return Truth::Maybe;
        };
        of(address, |address| {
            blocks.iter().any(|block| block.contains(address))
        })
    }

    fn of_request(&self, http: &HttpFacts<'_>, case: &Case<'_>) -> Truth {
        match &self.subject {
            Subject::Host => match &http.host {
                Some(host) => Truth::of(self.text(host)),
                None => Truth::Maybe,
            },
            Subject::Method => Truth::of(self.text(http.method)),
            Subject::Path => Truth::of(self.path(http, case)),
            Subject::Header(name) => self.header(name, http),
            _ => Truth::Maybe,
        }
    }

    fn path(&self, http: &HttpFacts<'_>, case: &Case<'_>) -> bool {
        let plain = self.text(http.path);
        let mut others = case.readings.iter();
        if self.any {
            plain || others.any(|path| self.text(path))
        } else {
            plain && (!case.climbs || others.all(|path| self.text(path)))
        }
    }

    /// `host` and the pseudo headers are what HTTP/1 has in its first line.
    fn header(&self, name: &str, http: &HttpFacts<'_>) -> Truth {
        match (name, &http.host) {
            (":authority" | "host", Some(host)) => return Truth::of(self.text(host)),
            (":authority" | "host", None) => return Truth::Maybe,
            (":method", _) => return Truth::of(self.text(http.method)),
            (":path", _) => return Truth::of(self.text(http.target)),
            _ => {}
        }
        let Some(name) = &self.name else {
            return Truth::Maybe;
        };
        let lines = http.headers.get_all(name);
        let mut texts = lines
            .iter()
            .map(|line| String::from_utf8_lossy(line.as_bytes()));
        // `*`: it is there, whatever it holds.
        let present = self.patterns().contains(&Pattern::Any);
        let holds = |text: &str| present || self.text(text);
        if self.any {
            return Truth::of(texts.any(|text| {
                holds(&text) || (text.contains(',') && text.split(',').any(|t| holds(t.trim())))
            }));
        }
        let mut some = false;
        let all = texts.all(|text| {
            some = true;
            holds(&text)
        });
        Truth::of(some && all)
    }

    /// An exact one names issuer and subject, parted by its last `/`.
    fn request_principal(&self, issuer: &str, subject: &str, whole: &str) -> bool {
        self.patterns().iter().any(|pattern| match pattern {
            Pattern::Exact(text) => text.rsplit_once('/') == Some((issuer, subject)),
            other => other.matches(whole),
        })
    }

    fn one_of<'t>(&self, texts: impl IntoIterator<Item = &'t String>) -> bool {
        texts.into_iter().any(|text| self.text(text))
    }

    fn text(&self, text: &str) -> bool {
        self.patterns().iter().any(|pattern| pattern.matches(text))
    }

    pub(super) fn patterns(&self) -> &[Pattern] {
        match &self.values {
            Values::Texts(patterns) => patterns,
            _ => &[],
        }
    }

    /// Its field in a policy.
    pub(super) fn field(&self) -> String {
        let field = match &self.subject {
            Subject::Principal => "principals",
            Subject::Namespace => "namespaces",
            Subject::ServiceAccount => "serviceAccounts",
            Subject::TrustDomain => "trustDomains",
            Subject::SourceIp => "ipBlocks",
            Subject::RemoteIp => "remoteIpBlocks",
            Subject::DestinationIp => "destination.ip",
            Subject::Port => "ports",
            Subject::Sni => "connection.sni",
            Subject::Host => "hosts",
            Subject::Method => "methods",
            Subject::Path => "paths",
            Subject::RequestPrincipal => "requestPrincipals",
            Subject::Audience => "request.auth.audiences",
            Subject::Presenter => "request.auth.presenter",
            Subject::Header(name) => {
                return negated(self.negate, &format!("request.headers[{name}]"));
            }
            Subject::Claim(path) => {
                return negated(
                    self.negate,
                    &format!("request.auth.claims[{}]", path.join("][")),
                );
            }
            Subject::Unseen(key) => return negated(self.negate, key),
        };
        negated(self.negate, field)
    }
}

fn negated(negate: bool, field: &str) -> String {
    if negate {
        format!("not {field}")
    } else {
        field.to_owned()
    }
}

fn of<T>(fact: Fact<T>, holds: impl FnOnce(T) -> bool) -> Truth {
    match fact {
        Fact::Is(value) => Truth::of(holds(value)),
        Fact::Absent => Truth::No,
        Fact::Unknown => Truth::Maybe,
    }
}

fn of_id(case: &Case<'_>, holds: impl FnOnce(&str) -> bool) -> Truth {
    match case.id {
        Fact::Is(id) => Truth::of(holds(id)),
        Fact::Absent => Truth::No,
        Fact::Unknown => Truth::Maybe,
    }
}

/// `…/ns/NS/[…/]sa/SA[/…]`
fn is_account(segments: &[&str], namespace: &str, name: &str) -> bool {
    let blank = |part: &[&str]| matches!(part, [""]);
    (1..segments.len()).any(|i| {
        let here = segments[i] == "ns" && segments.get(i + 1) == Some(&namespace);
        here && !blank(&segments[..i])
            && (i + 2..segments.len()).any(|j| {
                segments[j] == "sa"
                    && segments.get(j + 1) == Some(&name)
                    && !blank(&segments[i + 2..j])
                    && !blank(&segments[j + 2..])
            })
    })
}

// === impl Values ===

impl Values {
    fn new(
        subject: &Subject,
        values: &[String],
        namespace: &str,
        domains: &TrustDomains,
    ) -> Option<Self> {
        let texts = values.iter().map(String::as_str);
        Some(match subject {
            Subject::SourceIp | Subject::RemoteIp | Subject::DestinationIp => {
                Self::Blocks(texts.map(Block::parse).collect::<Option<_>>()?)
            }
            Subject::Port => Self::Ports(texts.map(|t| t.parse().ok()).collect::<Option<_>>()?),
            Subject::ServiceAccount => Self::Accounts(
                texts
                    .map(|text| {
                        let (ns, sa) = text.split_once('/').unwrap_or((namespace, text));
                        (ns.into(), sa.into())
                    })
                    .collect(),
            ),
            Subject::Principal => {
                let all = texts.flat_map(|text| domains.expand(text));
                Self::Texts(all.map(|text| Pattern::simple(&text)).collect())
            }
            Subject::Namespace => Self::Texts(texts.map(namespace_pattern).collect()),
            Subject::Host => Self::Texts(
                texts
                    .map(|text| Pattern::simple(&text.to_ascii_lowercase()))
                    .collect(),
            ),
            Subject::Path => Self::Texts(texts.map(Pattern::path).collect::<Option<_>>()?),
            _ => Self::Texts(texts.map(Pattern::simple).collect()),
        })
    }
}

/// A `*` in it stands for any text; without one it is a segment.
fn namespace_pattern(text: &str) -> Pattern {
    if text.contains(['*', '/']) {
        Pattern::glob(&format!("*/ns/{text}/*"))
    } else {
        Pattern::Exact(text.into())
    }
}
