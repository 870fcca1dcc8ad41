//! Path templates: `{*}` is one segment, `{**}` any number of them.

/// A path template.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Template {
    /// What comes before each operator.
    parts: Box<[(Box<str>, Operator)]>,
    /// What comes after the last one.
    tail: Box<str>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Operator {
    /// One or more characters of a segment.
    One,
    /// Any number of characters of segments and `/`.
    Many,
}

// === impl Template ===

impl Template {
    /// A template whose operators are whole segments, `{**}` after all others. `None` if it is none.
    pub(super) fn new(text: &str) -> Option<Self> {
        let mut parts = Vec::new();
        let mut literal = String::new();
        let mut many = false;
        for (index, segment) in text.split('/').enumerate() {
            if index > 0 {
                literal.push('/');
            }
            let operator = match segment {
                "{*}" => Operator::One,
                "{**}" => Operator::Many,
                plain if plain.contains(['{', '}']) => return None,
                plain => {
                    literal.push_str(plain);
                    continue;
                }
            };
            if many {
                return None;
            }
            many = operator == Operator::Many;
            parts.push((std::mem::take(&mut literal).into(), operator));
        }
        (!parts.is_empty()).then(|| Self {
            parts: parts.into(),
            tail: literal.into(),
        })
    }

    /// What every path that matches begins with.
    pub(super) fn head(&self) -> &str {
        self.parts.first().map_or("", |(literal, _)| literal)
    }

    pub(super) fn matches(&self, path: &str) -> bool {
        let mut rest = path;
        for (literal, operator) in &self.parts {
            let Some(after) = rest.strip_prefix(&**literal) else {
                return false;
            };
            rest = after;
            if *operator == Operator::Many {
                let middle = rest.strip_suffix(&*self.tail);
                return middle.is_some_and(|m| m.bytes().all(|b| is_of_segment(b) || b == b'/'));
            }
            let end = rest.find('/').unwrap_or(rest.len());
            let (segment, after) = rest.split_at(end);
            if segment.is_empty() || !segment.bytes().all(is_of_segment) {
                return false;
            }
            rest = after;
        }
        *rest == *self.tail
    }
}

fn is_of_segment(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || b"-._~%!$&'()+,;:@".contains(&byte)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn templates_match_whole_paths() {
        for (template, yes, no) in [
            ("/a/{*}", "/a/b", "/a/b/c"),
            ("/a/{*}", "/a/b", "/a/"),
            ("/a/{*}/c", "/a/b/c", "/a/b/d"),
            ("/a/{**}", "/a/", "/a"),
            ("/a/{**}", "/a/b/c", "/b/"),
            ("/{*}/x/{**}", "/a/x/b/c", "/a/y/b"),
            ("/store/{**}/cart", "/store/a/b/cart", "/store/cart"),
            ("/a/{*}", "/a/x-._~%!$&'()+,;:@", "/a/x=y"),
            ("/a/{*}", "/a/b", "/a/*"),
            ("/a.b/{*}", "/a.b/c", "/axb/c"),
        ] {
            let parsed = Template::new(template).unwrap();
            assert!(parsed.matches(yes), "{template} {yes}");
            assert!(!parsed.matches(no), "{template} {no}");
        }
    }

    #[test]
    fn what_is_no_template_is_none() {
        for bad in [
            "/a",
            "/a/{x}",
            "/a{*}",
            "/{**}/{*}",
            "/{**}/{**}",
            "/a/{*",
            "/a/*}",
        ] {
            assert_eq!(Template::new(bad), None, "{bad}");
        }
    }
}
