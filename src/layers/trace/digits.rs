//! Ids as text, without the formatting machinery: five of them are written for each request.

use bytes::Bytes;
use http::HeaderValue;

/// The longest: `00-{trace}-{span}-{flags}{parent}`.
const MAX: usize = 3 + 32 + 1 + 16 + 1 + 2 + 16;

const HEX: &[u8; 16] = b"0123456789abcdef";

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
    /// Appends the lowest `n` digits of a number, zeros included; `n` is even.
    pub(super) fn hex(mut self, value: u128, n: usize) -> Self {
        let bytes = value.to_be_bytes();
        let skip = bytes.len().saturating_sub(n / 2);
        for byte in bytes.iter().skip(skip) {
            let pair = [HEX[usize::from(byte >> 4)], HEX[usize::from(byte & 0xf)]];
            if let Some(place) = self.bytes.get_mut(self.len..self.len + 2) {
                place.copy_from_slice(&pair);
                self.len += 2;
            }
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

    /// The text, to be cut into several header values that share it.
    pub(super) fn shared(&self) -> Bytes {
        Bytes::copy_from_slice(self.bytes.get(..self.len).unwrap_or_default())
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
