//! Other names of models.

use std::{collections::BTreeMap, sync::Arc};

use crate::llm::glob::Glob;

/// Which model is asked for in place of the one that a caller names. A name goes before all patterns, and of patterns the one
/// with the most characters beside its `*`; what one gives is not looked up again.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Aliases {
    names: BTreeMap<Arc<str>, Arc<str>>,
    /// The longest first.
    patterns: Vec<(Glob, Arc<str>)>,
}

// === impl Aliases ===

impl Aliases {
    /// From names, or patterns in which `*` stands for any characters or none, to names.
    #[must_use]
    pub fn new<K, V>(pairs: impl IntoIterator<Item = (K, V)>) -> Self
    where
        K: Into<Arc<str>>,
        V: Into<Arc<str>>,
    {
        let mut aliases = Self::default();
        for (key, model) in pairs {
            let (key, model) = (key.into(), model.into());
            let glob = Glob::new(&key);
            if glob.is_name() {
                aliases.names.insert(key, model);
            } else {
                aliases.patterns.push((glob, model));
            }
        }
        let weight = |glob: &Glob| glob.as_str().bytes().filter(|b| *b != b'*').count();
        aliases
            .patterns
            .sort_by(|(a, _), (b, _)| weight(b).cmp(&weight(a)).then_with(|| a.cmp(b)));
        aliases
    }

    /// The model to ask for; `None` where the name stands for itself.
    #[must_use]
    pub fn of(&self, model: &str) -> Option<&Arc<str>> {
        let found = self.names.get(model).or_else(|| {
            let mut patterns = self.patterns.iter();
            let (_, found) = patterns.find(|(pattern, _)| pattern.matches(model))?;
            Some(found)
        });
        found.filter(|found| ***found != *model)
    }

    /// Whether there are none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.names.is_empty() && self.patterns.is_empty()
    }

    /// Names that stand for others, patterns left out.
    pub fn names(&self) -> impl Iterator<Item = &Arc<str>> {
        self.names.keys()
    }

    /// All of it: what is asked for, and what is asked for instead.
    pub fn pairs(&self) -> impl Iterator<Item = (&str, &Arc<str>)> {
        let names = self.names.iter().map(|(name, model)| (&**name, model));
        let patterns = self.patterns.iter();
        names.chain(patterns.map(|(pattern, model)| (pattern.as_str(), model)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_goes_before_patterns_and_a_long_one_before_a_short_one() {
        let aliases = Aliases::new([
            ("fast", "gpt-4o-mini"),
            ("gpt-4*", "gpt-4o"),
            ("gpt-4-*-preview", "gpt-4-turbo"),
            ("*", "anything"),
            ("gpt-4o", "gpt-4o"),
            ("*-v*-*", "versioned"),
        ]);
        for (asked, model) in [
            ("fast", Some("gpt-4o-mini")),
            ("gpt-4", Some("gpt-4o")),
            ("gpt-4-0613", Some("gpt-4o")),
            ("gpt-4-1106-preview", Some("gpt-4-turbo")),
            ("gpt-4o", None),
            ("x-v1-y", Some("versioned")),
            ("", Some("anything")),
            ("Fast", Some("anything")),
        ] {
            assert_eq!(aliases.of(asked).map(|m| &**m), model, "{asked}");
        }
        assert_eq!(
            aliases.names().map(|n| &**n).collect::<Vec<_>>(),
            ["fast", "gpt-4o"]
        );
    }
}
