//! Byte formats with no library of their own here: CRC-32, gzip of stored blocks, AWS event-stream messages.

use bytes::{BufMut, Bytes, BytesMut};

/// A running CRC-32 (IEEE 802.3), as gzip and the AWS event stream use it.
#[derive(Clone, Copy, Debug)]
pub(super) struct Crc(u32);

/// A gzip stream whose blocks are stored, not compressed: every chunk can be read as soon as it arrives.
#[derive(Debug)]
pub(super) struct Gzip {
    crc: Crc,
    len: u32,
    begun: bool,
}

const TABLE: [u32; 256] = table();

const fn table() -> [u32; 256] {
    let mut table = [0; 256];
    let mut i = 0;
    while i < 256 {
        let mut crc = i as u32;
        let mut bit = 0;
        while bit < 8 {
            crc = (crc >> 1) ^ (0xEDB8_8320 & (crc & 1).wrapping_neg());
            bit += 1;
        }
        table[i] = crc;
        i += 1;
    }
    table
}

// === impl Crc ===

impl Crc {
    pub(super) const fn new() -> Self {
        Self(u32::MAX)
    }

    pub(super) fn update(&mut self, bytes: &[u8]) {
        for byte in bytes {
            let at = usize::from(self.0.to_le_bytes()[0] ^ byte);
            self.0 = (self.0 >> 8) ^ TABLE[at];
        }
    }

    pub(super) const fn finish(self) -> u32 {
        !self.0
    }

    fn of(bytes: &[u8]) -> u32 {
        let mut crc = Self::new();
        crc.update(bytes);
        crc.finish()
    }
}

// === impl Gzip ===

impl Gzip {
    pub(super) const fn new() -> Self {
        Self {
            crc: Crc::new(),
            len: 0,
            begun: false,
        }
    }

    /// The next part of the stream.
    pub(super) fn push(&mut self, bytes: &[u8]) -> Bytes {
        let mut out = BytesMut::with_capacity(bytes.len() + 32);
        if !self.begun {
            self.begun = true;
            // Deflate, no flags, no time, no extra, unknown system (RFC 1952).
            out.put_slice(&[0x1f, 0x8b, 8, 0, 0, 0, 0, 0, 0, 255]);
        }
        self.crc.update(bytes);
        // Modulo 2^32, as the trailer wants it.
        self.len = self.len.wrapping_add(bytes.len() as u32);
        for block in bytes.chunks(usize::from(u16::MAX)) {
            stored(&mut out, block, 0);
        }
        out.freeze()
    }

    /// The end of the stream.
    pub(super) fn finish(mut self) -> Bytes {
        let mut out = BytesMut::from(self.push(&[]).as_ref());
        stored(&mut out, &[], 1);
        out.put_u32_le(self.crc.finish());
        out.put_u32_le(self.len);
        out.freeze()
    }
}

/// A stored block (RFC 1951, section 3.2.4) of at most 65,535 bytes.
fn stored(out: &mut BytesMut, block: &[u8], last: u8) {
    let len = block.len() as u16;
    out.put_u8(last);
    out.put_u16_le(len);
    out.put_u16_le(!len);
    out.put_slice(block);
}

/// One message of `application/vnd.amazon.eventstream`, all of whose headers are strings.
pub(super) fn aws_message(headers: &[(&str, &str)], payload: &[u8]) -> Bytes {
    let mut head = BytesMut::new();
    for (name, value) in headers {
        head.put_u8(name.len() as u8);
        head.put_slice(name.as_bytes());
        head.put_u8(7);
        head.put_u16(value.len() as u16);
        head.put_slice(value.as_bytes());
    }
    // Two lengths, the CRC of both, headers, payload, the CRC of all.
    let total = 12 + head.len() + payload.len() + 4;
    let mut out = BytesMut::with_capacity(total);
    out.put_u32(total as u32);
    out.put_u32(head.len() as u32);
    out.put_u32(Crc::of(&out));
    out.put_slice(&head);
    out.put_slice(payload);
    out.put_u32(Crc::of(&out));
    out.freeze()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_crc_has_its_check_value() {
        assert_eq!(Crc::of(b"123456789"), 0xCBF4_3926);
        assert_eq!(Crc::of(b""), 0);
    }

    #[test]
    fn gzip_is_header_stored_blocks_and_trailer() {
        let mut gzip = Gzip::new();
        let parts = [gzip.push(b"ab"), gzip.push(b"c"), gzip.finish()];
        let expected: [&[u8]; 3] = [
            &[
                0x1f, 0x8b, 8, 0, 0, 0, 0, 0, 0, 255, 0, 2, 0, 0xfd, 0xff, b'a', b'b',
            ],
            &[0, 1, 0, 0xfe, 0xff, b'c'],
            // CRC-32 of "abc" is 0x352441c2.
            &[1, 0, 0, 0xff, 0xff, 0xc2, 0x41, 0x24, 0x35, 3, 0, 0, 0],
        ];
        assert_eq!(parts, expected);
    }

    #[test]
    fn an_aws_message_is_as_the_published_vectors_are() {
        // `payload_no_headers` and the framing of `payload_one_str_header` of the AWS SDKs' test vectors.
        let empty = aws_message(&[], b"{'foo':'bar'}");
        let expected = [
            0, 0, 0, 0x1d, 0, 0, 0, 0, 0xfd, 0x52, 0x8c, 0x5a, b'{', b'\'', b'f', b'o', b'o',
            b'\'', b':', b'\'', b'b', b'a', b'r', b'\'', b'}', 0xc3, 0x65, 0x39, 0x36,
        ];
        assert_eq!(empty, expected.as_slice());
        let one = aws_message(&[("content-type", "application/json")], b"{'foo':'bar'}");
        assert_eq!(one[..8], [0, 0, 0, 0x3d, 0, 0, 0, 0x20]);
        assert_eq!(one[12..13], [12]);
        assert_eq!(one[25..28], [7, 0, 16]);
    }
}
