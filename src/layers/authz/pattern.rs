//! What values are compared with. Every character but a `*` at an end is literal: no name is a regular expression.

use std::net::IpAddr;

use super::template::Template;

/// One value of a text attribute.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Pattern {
    /// `*`: any text but the empty one.
    Any,
    /// The text itself.
    Exact(Box<str>),
    /// `x*`
    Prefix(Box<str>),
    /// `*x`
    Suffix(Box<str>),
    /// A path template.
    Template(Template),
    /// `*` anywhere, for any text.
    Glob(Box<[Box<str>]>),
}

/// A CIDR block, or one address.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Block {
    bits: u128,
    mask: u128,
    v4: bool,
}

// === impl Pattern ===

impl Pattern {
    /// A value with a `*` at one of its ends, or none.
    pub(super) fn simple(text: &str) -> Self {
        if text == "*" {
            Self::Any
        } else if let Some(suffix) = text.strip_prefix('*') {
            Self::Suffix(suffix.into())
        } else if let Some(prefix) = text.strip_suffix('*') {
            Self::Prefix(prefix.into())
        } else {
            Self::Exact(text.into())
        }
    }

    /// A path, which may be a template. `None` if it is a template that is none.
    pub(super) fn path(text: &str) -> Option<Self> {
        if text.contains(['{', '}']) {
            Some(Self::Template(Template::new(text)?))
        } else {
            Some(Self::simple(text))
        }
    }

    /// A text in which each `*` stands for any other.
    pub(super) fn glob(text: &str) -> Self {
        Self::Glob(text.split('*').map(Into::into).collect())
    }

    pub(super) fn matches(&self, text: &str) -> bool {
        match self {
            Self::Any => !text.is_empty(),
            Self::Exact(own) => **own == *text,
            Self::Prefix(own) => text.starts_with(&**own),
            Self::Suffix(own) => text.ends_with(&**own),
            Self::Template(template) => template.matches(text),
            Self::Glob(parts) => glob(parts, text),
        }
    }
}

/// Greedy from the left, with the last part at the end.
fn glob(parts: &[Box<str>], text: &str) -> bool {
    let [first, middle @ .., last] = parts else {
        return parts.first().is_some_and(|only| **only == *text);
    };
    let Some(mut rest) = text.strip_prefix(&**first) else {
        return false;
    };
    for part in middle {
        match rest.find(&**part) {
            Some(at) => rest = &rest[at + part.len()..],
            None => return false,
        }
    }
    rest.ends_with(&**last)
}

// === impl Block ===

impl Block {
    /// `10.0.0.0/8`, `10.0.0.1`, `fd00::/8`.
    pub(super) fn parse(text: &str) -> Option<Self> {
        let (address, length) = match text.split_once('/') {
            Some((address, length)) => (address, Some(length.parse::<u32>().ok()?)),
            None => (text, None),
        };
        let (bits, v4) = bits(address.parse().ok()?);
        let most = if v4 { 32 } else { 128 };
        let length = length.unwrap_or(most);
        if length > most {
            return None;
        }
        let mask = u128::MAX.checked_shl(most - length).unwrap_or(0);
        Some(Self { bits, mask, v4 })
    }

    pub(super) fn contains(self, address: IpAddr) -> bool {
        let (bits, v4) = bits(address);
        v4 == self.v4 && bits & self.mask == self.bits & self.mask
    }
}

/// An IPv4 address that is written as an IPv6 one is the IPv4 one.
fn bits(address: IpAddr) -> (u128, bool) {
    match address.to_canonical() {
        IpAddr::V4(v4) => (u128::from(v4.to_bits()), true),
        IpAddr::V6(v6) => (v6.to_bits(), false),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_star_at_an_end_is_more_than_itself() {
        for (pattern, yes, no) in [
            ("*", "a", ""),
            ("a", "a", "ab"),
            ("a*", "ab", "ba"),
            ("a*", "a", ""),
            ("*a", "ba", "ab"),
            ("a.b", "a.b", "axb"),
            ("a|b", "a|b", "a"),
            ("(a)+", "(a)+", "a"),
            ("a*b", "a*b", "axb"),
            ("*a*", "xa*", "xay"),
        ] {
            assert!(Pattern::simple(pattern).matches(yes), "{pattern} {yes}");
            assert!(!Pattern::simple(pattern).matches(no), "{pattern} {no}");
        }
    }

    #[test]
    fn globs_match_whole_texts() {
        for (pattern, yes, no) in [
            ("*/ns/a/*", "td/ns/a/sa/b", "td/ns/ab/sa/b"),
            ("*/ns/a*/*", "td/ns/ab/sa/b", "td/ns/b/sa/b"),
            ("*/ns/a.c/*", "td/ns/a.c/x", "td/ns/abc/x"),
            ("a", "a", "b"),
            ("a*a", "aa", "a"),
        ] {
            assert!(Pattern::glob(pattern).matches(yes), "{pattern} {yes}");
            assert!(!Pattern::glob(pattern).matches(no), "{pattern} {no}");
        }
    }

    #[test]
    fn blocks_hold_their_addresses() {
        for (block, yes, no) in [
            ("10.0.0.0/8", "10.255.0.1", "11.0.0.1"),
            ("10.0.0.1", "10.0.0.1", "10.0.0.2"),
            ("10.0.0.1", "::ffff:10.0.0.1", "::a00:1"),
            ("0.0.0.0/0", "1.2.3.4", "::1"),
            ("fd00::/8", "fdff::1", "fe00::1"),
            ("::/0", "::1", "10.0.0.1"),
        ] {
            let parsed = Block::parse(block).unwrap();
            assert!(parsed.contains(yes.parse().unwrap()), "{block} {yes}");
            assert!(!parsed.contains(no.parse().unwrap()), "{block} {no}");
        }
        for bad in ["", "10.0.0.0/33", "x", "10.0.0.0/", "::/129", "10.0.0/8"] {
            assert_eq!(Block::parse(bad), None, "{bad}");
        }
    }
}
