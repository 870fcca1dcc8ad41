//! Regular expressions in matches and rewrites, with RE2's rules.

use std::sync::{Arc, OnceLock};

use super::re2::translate;

/// A compiled whole-string regular expression (RE2 syntax, linear time), equal by its source.
#[derive(Clone, Debug)]
pub struct Regex {
    source: Arc<str>,
    compiled: regex::Regex,
    /// Without the anchors, for rewrites; compiled when first needed. `None` only if that failed.
    search: OnceLock<Option<regex::Regex>>,
}

// === impl Regex ===

impl Regex {
    /// Compiles `source` for whole-string matches. The program is bounded to 1 MiB.
    ///
    /// # Errors
    /// If it is not a regular expression of RE2's kind (no look-around, no back-references) or too large.
    pub fn new(source: &str) -> Result<Self, regex::Error> {
        // Checked alone first: `a)|(b` must not become valid by the wrapping.
        let ours = translate(source);
        regex::RegexBuilder::new(&ours)
            .size_limit(1 << 20)
            .build()?;
        let compiled = regex::RegexBuilder::new(&format!("^(?:{ours})$"))
            .size_limit(1 << 20)
            .build()?;
        Ok(Self {
            source: source.into(),
            compiled,
            search: OnceLock::new(),
        })
    }

    /// Whether the whole of `text` matches.
    #[must_use]
    pub fn is_match(&self, text: &str) -> bool {
        self.compiled.is_match(text)
    }

    /// Replaces every match inside `text`. In `template`, `\0` to `\9` stand for groups and `\\` for a backslash, as in
    /// RE2; everything else stands for itself.
    #[must_use]
    pub fn replace_all(&self, text: &str, template: &str) -> String {
        let search = self.search.get_or_init(|| {
            regex::RegexBuilder::new(&translate(&self.source))
                .size_limit(1 << 20)
                .build()
                .ok()
        });
        match search {
            Some(search) => search
                .replace_all(text, |groups: &regex::Captures<'_>| {
                    expand(template, groups)
                })
                .into_owned(),
            // `new` compiled this very source, so this cannot happen; an unchanged text is the harmless answer.
            None => text.to_owned(),
        }
    }

    /// The expression as written.
    #[must_use]
    pub fn source(&self) -> &str {
        &self.source
    }
}

impl PartialEq for Regex {
    fn eq(&self, other: &Self) -> bool {
        self.source == other.source
    }
}

/// Fills RE2's `\1` groups into a template.
fn expand(template: &str, groups: &regex::Captures<'_>) -> String {
    let mut out = String::with_capacity(template.len());
    let mut chars = template.chars();
    while let Some(c) = chars.next() {
        if c != '\\' {
            out.push(c);
            continue;
        }
        match chars.next() {
            Some(d) if d.is_ascii_digit() => {
                let group = d.to_digit(10).and_then(|n| groups.get(n as usize));
                out.push_str(group.map_or("", |m| m.as_str()));
            }
            Some(other) => out.push(other),
            None => out.push('\\'),
        }
    }
    out
}
