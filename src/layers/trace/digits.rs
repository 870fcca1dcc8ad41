//! Ids as text, without the formatting machinery: five of them are written for each request.

use http::HeaderValue;

/// The longest: `{trace}-{span}-{state}-{parent}`.
const MAX: usize = 32 + 1 + 16 + 1 + 1 + 1 + 16;

/// Text of lower-case hexadecimal digits and hyphens.
#[derive(Clone, Copy, Debug)]
pub(super) struct Digits {
    bytes: [u8; MAX],
    len: usize,
}

// === impl Digits ===

impl Default for Digits {
    fn default() -> Self {
        Self {
            bytes: [b'0'; MAX],
            len: 0,
        }
    }
}

impl Digits {
    /// Appends the lowest `n` digits of a number, zeros included.
    pub(super) fn hex(mut self, value: u128, n: usize) -> Self {
        let [high, low] = [(value >> 64) as u64, value as u64];
        for i in (0..n).rev() {
            let half = if i < 16 { low } else { high };
            let digit = (half >> (i % 16 * 4)) as u8 & 0xf;
            self.push(digit + if digit < 10 { b'0' } else { b'a' - 10 });
        }
        self
    }

    /// Appends a hyphen.
    pub(super) fn dash(mut self) -> Self {
        self.push(b'-');
        self
    }

    /// Appends one character.
    pub(super) fn char(mut self, c: u8) -> Self {
        self.push(c);
        self
    }

    /// The text as a header value; always one.
    pub(super) fn value(&self) -> Option<HeaderValue> {
        HeaderValue::from_bytes(self.bytes.get(..self.len)?).ok()
    }

    fn push(&mut self, c: u8) {
        if let Some(place) = self.bytes.get_mut(self.len) {
            *place = c;
            self.len += 1;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn writes_what_formatting_would() {
        for value in [0, 1, 0xabc_def0, u128::from(u64::MAX), u128::MAX - 5] {
            for n in [2, 16, 32] {
                let cut = value & (u128::MAX >> (128 - 4 * n));
                let text = Digits::default().hex(value, n).dash().char(b'1').value();
                assert_eq!(text.unwrap(), format!("{cut:0n$x}-1"));
            }
        }
    }
}
