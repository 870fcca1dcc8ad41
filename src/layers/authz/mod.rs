//! Who may call what: Istio's AuthorizationPolicy.
//!
//! Policies are compiled once into an [`Engine`], which takes what is known of a request ([`Facts`]) and gives a [`Decision`]
//! with the rule that made it. It does no I/O and knows no clock. [`AuthzLayer`] asks it for each request, in front of a
//! server's service; what may not pass ends in [`Kind::Forbidden`](crate::base::Kind::Forbidden).
//!
//! The order is Istio's: a CUSTOM or DENY rule that matches keeps out; where there is no ALLOW policy everything else passes;
//! where there is one, only what a rule of one lets in. AUDIT decides nothing.
//!
//! | what if … | then |
//! |---|---|
//! | something is not known (a token that nobody checks, an address) | a rule that keeps out goes on as if it matched, one that lets in as if it did not |
//! | a header comes several times | one value is enough to be kept out, all must match to be let in |
//! | a path can be read in several ways | one reading is enough to be kept out |
//! | a policy could not be understood | everything that it may be for is refused |
//! | a CUSTOM policy matches | the request is refused: external providers are not in force |
//!
//! # Examples
//! ```
//! use http::Request;
//! use llmesh::authz::{Engine, Fact, Facts, Sight, TrustDomains, params::{Action, Condition, Policy, Rule, Subject}};
//!
//! let mut rule = Rule::default();
//! rule.from = vec![vec![Condition::any(Subject::Principal, ["cluster.local/ns/ai/sa/chat"])]];
//! rule.to = vec![vec![Condition::any(Subject::Path, ["/api/*"])]];
//! let policy = Policy::new("ai", "chat-only", Action::Allow).with_rule(rule);
//! let engine = Engine::new([&policy], &TrustDomains::default(), Sight::http());
//!
//! let (head, ()) = Request::get("/api/models").body(()).unwrap().into_parts();
//! let mut facts = Facts::of_head(&head);
//! facts.peer = Fact::Is("spiffe://cluster.local/ns/ai/sa/chat");
//! assert!(engine.decide(&facts).allowed);
//! facts.peer = Fact::Absent;
//! assert_eq!(engine.decide(&facts).details(), "rbac_access_denied_matched_policy[none]");
//! ```

mod ask;
mod check;
mod engine;
mod facts;
mod index;
mod layer;
pub mod params;
mod pattern;
mod rule;
mod service;
mod spelling;
mod template;

pub use self::{
    ask::Policies,
    engine::{Access, Decision, Engine, Extent},
    facts::{Fact, Facts, HttpFacts, Token},
    layer::AuthzLayer,
    params::{Action, Policy, Sight, Subject, TrustDomains},
    rule::{PolicyRef, RuleRef},
    service::{Authz, ResponseFuture},
};
