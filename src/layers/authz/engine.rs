//! The evaluator: policies in, decisions out.

use std::sync::Arc;

use super::{
    check::Truth,
    facts::{Case, Facts},
    index::Index,
    params::{Action, Policy, Sight, TrustDomains},
    rule::{Compiled, PolicyRef, RuleRef},
};

/// The policies of one workload, compiled. No I/O, no clock: the same facts give the same decision.
#[derive(Clone, Debug, Default)]
pub struct Engine {
    custom: Group,
    deny: Group,
    allow: Group,
    audit: Group,
    tried_deny: Group,
    tried_allow: Group,
    /// Whether there are policies that let in, with or without rules.
    allows: bool,
    tries_allow: bool,
}

/// What was decided, and by what.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Decision {
    /// Whether the request may pass.
    pub allowed: bool,
    /// The rule that decided; `None` where no rule matched.
    pub by: Option<RuleRef>,
    /// What policies that are only tried out would have changed it to; `None` if nothing.
    pub tried: Option<bool>,
    /// The first rule of an AUDIT policy that matches.
    pub audited: Option<RuleRef>,
}

/// What of all requests that share some facts may pass.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Access {
    /// How much of them.
    pub extent: Extent,
    /// The rules that let them in, or the one that keeps them out.
    pub by: Vec<RuleRef>,
    /// The rules that keep some of them out.
    pub except: Vec<RuleRef>,
}

/// How much may pass.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Extent {
    /// Nothing.
    Nothing,
    /// What some rules say.
    Some,
    /// Everything.
    Everything,
}

/// The rules of one action, in order.
#[derive(Clone, Debug, Default)]
struct Group {
    rules: Vec<Compiled>,
    index: Index,
}

// === impl Engine ===

impl Engine {
    /// Compiles the policies of one workload, in their order.
    pub fn new<'p>(
        policies: impl IntoIterator<Item = &'p Policy>,
        domains: &TrustDomains,
        sight: Sight,
    ) -> Self {
        let mut engine = Self::default();
        for policy in policies {
            let group = match (policy.action, policy.dry_run) {
                (Action::Custom, _) => &mut engine.custom,
                (Action::Audit, _) => &mut engine.audit,
                (Action::Deny, false) => &mut engine.deny,
                (Action::Deny, true) => &mut engine.tried_deny,
                (Action::Allow, false) => {
                    engine.allows = true;
                    &mut engine.allow
                }
                (Action::Allow, true) => {
                    engine.tries_allow = true;
                    &mut engine.tried_allow
                }
            };
            let named = Arc::new(PolicyRef::of(policy));
            for (number, rule) in policy.rules.iter().enumerate() {
                let compiled = Compiled::new(rule, number, policy, &named, domains, sight);
                group.rules.extend(compiled);
            }
        }
        for group in engine.groups() {
            group.index = Index::new(&group.rules);
        }
        engine
    }

    fn groups(&mut self) -> [&mut Group; 6] {
        [
            &mut self.custom,
            &mut self.deny,
            &mut self.allow,
            &mut self.audit,
            &mut self.tried_deny,
            &mut self.tried_allow,
        ]
    }

    /// Whether every request passes: there is nothing to look at.
    #[must_use]
    pub fn is_open(&self) -> bool {
        let Self { custom, deny, .. } = self;
        let rules = [custom, deny, &self.audit, &self.tried_deny];
        !self.allows && !self.tries_allow && rules.iter().all(|group| group.rules.is_empty())
    }

    /// Decides. What is not known keeps out where it could, and lets nobody in.
    #[must_use]
    pub fn decide(&self, facts: &Facts<'_>) -> Decision {
        let case = &Case::new(facts);
        let kept_out = self
            .custom
            .first(case, Truth::Maybe)
            .or_else(|| self.deny.first(case, Truth::Maybe));
        let let_in = match kept_out {
            None => self.allow.first(case, Truth::Yes),
            Some(_) => None,
        };
        let allowed = kept_out.is_none() && (!self.allows || let_in.is_some());
        let tried = self.tried(case, kept_out.is_some());
        let audited = self.audit.first(case, Truth::Maybe);
        Decision {
            allowed,
            by: kept_out.or(let_in).map(|rule| rule.name.clone()),
            tried: tried.filter(|would| *would != allowed),
            audited: audited.map(|rule| rule.name.clone()),
        }
    }

    /// What would be decided if policies that are tried out were in force.
    fn tried(&self, case: &Case<'_>, kept_out: bool) -> Option<bool> {
        if self.tried_deny.rules.is_empty() && !self.tries_allow {
            return None;
        }
        let kept_out = kept_out || self.tried_deny.first(case, Truth::Maybe).is_some();
        let let_in = !(self.allows || self.tries_allow)
            || self.allow.first(case, Truth::Yes).is_some()
            || self.tried_allow.first(case, Truth::Yes).is_some();
        Some(!kept_out && let_in)
    }

    /// What of all requests with these facts may pass: those that are not known may be anything.
    #[must_use]
    pub fn access(&self, facts: &Facts<'_>) -> Access {
        let case = &Case::new(facts);
        let groups = [&self.custom, &self.deny];
        let sure = groups.iter().find_map(|g| g.first(case, Truth::Yes));
        if let Some(rule) = sure {
            return Access::nothing(Some(rule));
        }
        let except: Vec<_> = groups.iter().flat_map(|g| g.maybe(case)).collect();
        let always = self.allow.first(case, Truth::Yes);
        let by: Vec<_> = match always {
            Some(rule) => vec![rule.name.clone()],
            None => self.allow.maybe(case).collect(),
        };
        if self.allows && by.is_empty() {
            return Access::nothing(None);
        }
        let whole = (!self.allows || always.is_some()) && except.is_empty();
        Access {
            extent: if whole {
                Extent::Everything
            } else {
                Extent::Some
            },
            by,
            except,
        }
    }

    /// Each rule that is asked, in order, and the first of its conditions that does not hold; `None` where all do.
    #[must_use]
    pub fn explain(&self, facts: &Facts<'_>) -> Vec<(RuleRef, Option<String>)> {
        let case = Case::new(facts);
        let groups = [&self.custom, &self.deny, &self.allow];
        let rules = groups.iter().flat_map(|group| &group.rules);
        rules
            .map(|rule| (rule.name.clone(), rule.failing(&case)))
            .collect()
    }
}

// === impl Access ===

impl Access {
    fn nothing(by: Option<&Compiled>) -> Self {
        Self {
            extent: Extent::Nothing,
            by: by.map(|rule| rule.name.clone()).into_iter().collect(),
            except: Vec::new(),
        }
    }
}

// === impl Decision ===

impl Decision {
    /// Envoy's `%RESPONSE_CODE_DETAILS%` of a refusal.
    #[must_use]
    pub fn details(&self) -> String {
        match &self.by {
            Some(by) => format!("rbac_access_denied_matched_policy[{by}]"),
            None => "rbac_access_denied_matched_policy[none]".to_owned(),
        }
    }
}

// === impl Group ===

impl Group {
    /// The first rule that matches at least so surely.
    fn first(&self, case: &Case<'_>, at_least: Truth) -> Option<&Compiled> {
        let mut first: Option<u32> = None;
        self.index.each(case, |number| {
            if first.is_some_and(|first| first <= number) {
                return;
            }
            let rule = usize::try_from(number).ok().and_then(|n| self.rules.get(n));
            if rule.is_some_and(|rule| rule.matches(case) >= at_least) {
                first = Some(number);
            }
        });
        self.rules.get(usize::try_from(first?).ok()?)
    }

    fn maybe<'s>(&'s self, case: &'s Case<'_>) -> impl Iterator<Item = RuleRef> + 's {
        let rules = self.rules.iter();
        rules
            .filter(|rule| rule.matches(case) == Truth::Maybe)
            .map(|rule| rule.name.clone())
    }
}
