//! One rule, compiled.

use std::{fmt, sync::Arc};

use super::{
    check::{Check, Truth},
    facts::Case,
    params::{Action, Condition, Policy, Rule, Sight, Subject, TrustDomains},
};

/// A rule, by name.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct RuleRef {
    /// Its policy.
    pub policy: Arc<PolicyRef>,
    /// Its place among the policy's rules, from 0.
    pub rule: usize,
    /// Its line in the file; 0 where it is not known.
    pub line: u32,
    /// What it asks for besides the caller, in words; empty if nothing.
    pub what: Arc<str>,
}

/// A policy, by name.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct PolicyRef {
    /// Its namespace.
    pub namespace: Arc<str>,
    /// Its name.
    pub name: Arc<str>,
    /// The file it stands in.
    pub file: Arc<str>,
    /// What it does.
    pub action: Action,
    /// Why it could not be understood.
    pub closed: Option<String>,
}

/// One rule, compiled.
#[derive(Clone, Debug)]
pub(super) struct Compiled {
    pub(super) from: Box<[Box<[Check]>]>,
    pub(super) to: Box<[Box<[Check]>]>,
    pub(super) when: Box<[Check]>,
    pub(super) name: RuleRef,
}

// === impl PolicyRef ===

impl PolicyRef {
    pub(super) fn of(policy: &Policy) -> Self {
        Self {
            namespace: Arc::clone(&policy.namespace),
            name: Arc::clone(&policy.name),
            file: Arc::clone(&policy.file),
            action: policy.action,
            closed: policy.closed.clone(),
        }
    }
}

impl fmt::Display for RuleRef {
    /// As Istio names it: `ns[foo]-policy[bar]-rule[0]`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let PolicyRef {
            namespace, name, ..
        } = &*self.policy;
        write!(f, "ns[{namespace}]-policy[{name}]-rule[{}]", self.rule)
    }
}

// === impl Compiled ===

impl Compiled {
    /// `None` where the rule lets in by something that is not seen.
    pub(super) fn new(
        rule: &Rule,
        number: usize,
        policy: &Policy,
        named: &Arc<PolicyRef>,
        domains: &TrustDomains,
        sight: Sight,
    ) -> Option<Self> {
        let keeps_out = policy.action != Action::Allow;
        let all = |conditions: &[Condition]| -> Option<Box<[Check]>> {
            let mut checks = Vec::with_capacity(conditions.len());
            for condition in conditions {
                let seen = condition.subject.is_seen(sight);
                let check = seen
                    .then(|| Check::new(condition, policy, keeps_out, domains))
                    .flatten();
                match check {
                    Some(check) => checks.push(check),
                    // It then holds for all.
                    None if keeps_out => {}
                    None => return None,
                }
            }
            Some(checks.into())
        };
        let choices = |choices: &[Vec<Condition>]| -> Option<Box<[Box<[Check]>]>> {
            choices.iter().map(|conditions| all(conditions)).collect()
        };
        Some(Self {
            from: choices(&rule.from)?,
            to: choices(&rule.to)?,
            when: all(&rule.when)?,
            name: RuleRef {
                policy: Arc::clone(named),
                rule: number,
                line: rule.line,
                what: what(rule).into(),
            },
        })
    }

    pub(super) fn matches(&self, case: &Case<'_>) -> Truth {
        let mut truth = one(&self.from, case);
        if truth != Truth::No {
            truth = truth.min(one(&self.to, case));
        }
        if truth != Truth::No {
            truth = truth.min(all(&self.when, case));
        }
        truth
    }

    /// What of it does not hold.
    pub(super) fn failing(&self, case: &Case<'_>) -> Option<String> {
        let first = |checks: &[Check]| {
            let no = |check: &&Check| check.holds(case) == Truth::No;
            checks.iter().find(no).map(Check::field)
        };
        for (name, choices) in [("from", &self.from), ("to", &self.to)] {
            let failing: Vec<_> = choices.iter().map(|checks| first(checks)).collect();
            if !failing.is_empty() && failing.iter().all(Option::is_some) {
                let each = failing.into_iter().flatten().enumerate();
                let each: Vec<_> = each
                    .map(|(i, field)| format!("{name}[{i}] {field}"))
                    .collect();
                return Some(each.join(", "));
            }
        }
        first(&self.when).map(|field| format!("when {field}"))
    }
}

fn all(checks: &[Check], case: &Case<'_>) -> Truth {
    let mut truth = Truth::Yes;
    for check in checks {
        truth = truth.min(check.holds(case));
        if truth == Truth::No {
            break;
        }
    }
    truth
}

/// No choice at all is any.
fn one(choices: &[Box<[Check]>], case: &Case<'_>) -> Truth {
    if choices.is_empty() {
        return Truth::Yes;
    }
    let mut truth = Truth::No;
    for checks in choices {
        truth = truth.max(all(checks, case));
        if truth == Truth::Yes {
            break;
        }
    }
    truth
}

/// What a rule asks for besides the caller, in words.
fn what(rule: &Rule) -> String {
    let words = |conditions: &[Condition]| {
        let each = conditions.iter().map(|condition| {
            let not = if condition.negate { "not " } else { "" };
            let name = match &condition.subject {
                Subject::Header(name) => format!("{name}: "),
                Subject::Port => "port ".to_owned(),
                Subject::Host => "host ".to_owned(),
                Subject::Method | Subject::Path => String::new(),
                other => format!("{other:?} "),
            };
            format!("{not}{name}{}", condition.values.join("|"))
        });
        each.collect::<Vec<_>>().join(" ")
    };
    let to: Vec<_> = rule.to.iter().map(|operation| words(operation)).collect();
    let mut all = to.join(", ");
    if !rule.when.is_empty() {
        if !all.is_empty() {
            all.push_str(" if ");
        }
        all.push_str(&words(&rule.when));
    }
    all
}
