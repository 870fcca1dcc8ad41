//! `x-request-id`: one UUID (version 4) for a request over all hops, with Envoy's sampling mark in character 14.
//!
//! The mark lets hops that carry nothing but the request id agree on sampling. A caller's id is kept as it is.

use std::fmt;

use http::{HeaderName, HeaderValue};

use super::digits::Digits;
use crate::base::{Ratio, SharedRng};

/// `x-request-id`.
pub const HEADER: HeaderName = HeaderName::from_static("x-request-id");

/// A request id in UUID form.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RequestId(u128);

/// Whether and why the trace is sampled: Envoy's `Tracing::Reason`, as character 14 of the id.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mark {
    /// `4`: not sampled.
    None,
    /// `9`: sampled by draw.
    Sampled,
    /// `a`: `x-envoy-force-trace` asked for it.
    Forced,
    /// `b`: `x-client-trace-id` asked for it.
    Client,
}

const MARK_SHIFT: u32 = 76;
const VARIANT_SHIFT: u32 = 60;

// === impl RequestId ===

impl RequestId {
    /// A random version 4 UUID, marked as not sampled.
    #[must_use]
    pub fn random(rng: &SharedRng) -> Self {
        let bits = (u128::from(rng.next()) << 64) | u128::from(rng.next());
        let variant = (bits & !(0xc << VARIANT_SHIFT)) | (0x8 << VARIANT_SHIFT);
        Self(variant).with_mark(Mark::None)
    }

    /// Reads a UUID; `None` if the text is none. Upper-case digits are taken.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        let mut value = 0_u128;
        for (i, b) in text.bytes().enumerate() {
            match (i, char::from(b).to_digit(16)) {
                (8 | 13 | 18 | 23, _) if b == b'-' => {}
                (8 | 13 | 18 | 23, _) | (36.., _) | (_, None) => return None,
                (_, Some(digit)) => value = (value << 4) | u128::from(digit),
            }
        }
        (text.len() == 36).then_some(Self(value))
    }

    /// The text as a header value; always one.
    pub(super) fn value(self) -> Option<HeaderValue> {
        let mut text = Digits::default().hex(self.0 >> 96, 8);
        for (shift, digits) in [(80, 4), (64, 4), (48, 4), (0, 12)] {
            text = text.dash().hex(self.0 >> shift, digits);
        }
        text.value()
    }

    /// Whether a share of traces includes this one: the first eight digits modulo 10,000 lie below the share.
    #[must_use]
    pub fn draw(self, share: Ratio) -> bool {
        let point = (self.0 >> 96) % 10_000;
        (point as f64) < (share.get() * 10_000.0).round()
    }

    /// The id with another mark.
    #[must_use]
    pub fn with_mark(self, mark: Mark) -> Self {
        let digit = match mark {
            Mark::None => 0x4,
            Mark::Sampled => 0x9,
            Mark::Forced => 0xa,
            Mark::Client => 0xb,
        };
        Self((self.0 & !(0xf << MARK_SHIFT)) | (digit << MARK_SHIFT))
    }

    /// The mark; anything that is no sampling mark is [`Mark::None`].
    #[must_use]
    pub fn mark(self) -> Mark {
        match (self.0 >> MARK_SHIFT) & 0xf {
            0x9 => Mark::Sampled,
            0xa => Mark::Forced,
            0xb => Mark::Client,
            _ => Mark::None,
        }
    }
}

impl fmt::Display for RequestId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let part = |shift: u32, bits: u32| (self.0 >> shift) & ((1_u128 << bits) - 1);
        write!(
            f,
            "{:08x}-{:04x}-{:04x}-{:04x}-{:012x}",
            part(96, 32),
            part(80, 16),
            part(64, 16),
            part(48, 16),
            part(0, 48)
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn is_a_uuid_of_version_4_with_the_mark_in_character_14() {
        let rng = SharedRng::seeded(1);
        for (mark, digit) in [
            (Mark::None, '4'),
            (Mark::Sampled, '9'),
            (Mark::Forced, 'a'),
            (Mark::Client, 'b'),
        ] {
            let id = RequestId::random(&rng).with_mark(mark);
            let text = id.to_string();
            let chars: Vec<_> = text.chars().collect();
            assert_eq!((chars.len(), chars[14]), (36, digit), "{text}");
            assert!(['8', '9', 'a', 'b'].contains(&chars[19]), "{text}");
            assert_eq!(RequestId::parse(&text), Some(id));
            assert_eq!(id.mark(), mark);
            assert_eq!(id.value().unwrap(), text);
        }
    }

    #[test]
    fn refuses_what_is_no_uuid() {
        for text in [
            "",
            "x",
            "0123456789abcdef0123456789abcdef",
            "01234567-89ab-4def-0123-456789abcde",
            "01234567-89ab-4def-0123-456789abcdef0",
            "0123456789ab-4def-0123-456789abcdef00",
            "01234567-89ab-4def-0123-456789abcdeg",
            "01234567-89ab-4def-01-3-456789abcdef",
        ] {
            assert_eq!(RequestId::parse(text), None, "{text}");
        }
    }

    #[test]
    fn draws_by_its_first_eight_digits() {
        let id = |digits: &str| RequestId::parse(&format!("{digits}-0000-4000-8000-000000000000"));
        let share = |percent| Ratio::from_percent(percent).unwrap();
        // 0x63 = 99 and 0x64 = 100: 1 % is everything below 100 of 10,000.
        assert!(id("00000063").unwrap().draw(share(1.0)));
        assert!(!id("00000064").unwrap().draw(share(1.0)));
        // 0x2bb = 699, 0x2bc = 700: 7 % must not be off by a rounding error.
        assert!(id("000002bb").unwrap().draw(share(7.0)));
        assert!(!id("000002bc").unwrap().draw(share(7.0)));
        // 0x2710 = 10,000 wraps to 0.
        assert!(id("00002710").unwrap().draw(share(0.01)));
        assert!(!id("00000000").unwrap().draw(Ratio::ZERO));
        assert!(id("ffffffff").unwrap().draw(Ratio::ONE));
    }
}
