//! One frame of AWS' event-stream format (`application/vnd.amazon.eventstream`): length, headers' length, checksum, headers,
//! payload, checksum; all numbers big-endian.

use bytes::{BufMut, Bytes, BytesMut};

/// The type of a header's value that is a string.
const STRING: u8 = 7;

/// An exception message.
pub(super) fn exception(name: &str, payload: &str) -> Bytes {
    let mut headers = BytesMut::new();
    for (key, value) in [
        (":exception-type", name),
        (":content-type", "application/json"),
        (":message-type", "exception"),
    ] {
        headers.put_u8(length(key.len()));
        headers.put_slice(key.as_bytes());
        headers.put_u8(STRING);
        headers.put_u16(u16::from(length(value.len())));
        headers.put_slice(value.as_bytes());
    }
    let whole = 16 + headers.len() + payload.len();
    let mut frame = BytesMut::with_capacity(whole);
    frame.put_u32(u32::try_from(whole).unwrap_or(u32::MAX));
    frame.put_u32(u32::try_from(headers.len()).unwrap_or(u32::MAX));
    let sum = crc32(&frame);
    frame.put_u32(sum);
    frame.put_slice(&headers);
    frame.put_slice(payload.as_bytes());
    let sum = crc32(&frame);
    frame.put_u32(sum);
    frame.freeze()
}

/// Names here are fixed and short.
fn length(of: usize) -> u8 {
    u8::try_from(of).unwrap_or(u8::MAX)
}

/// CRC-32 (ISO 3309), bit by bit: one short frame at the end of a broken stream.
fn crc32(bytes: &[u8]) -> u32 {
    !bytes.iter().fold(u32::MAX, |sum, byte| {
        (0..8).fold(sum ^ u32::from(*byte), |sum, _| {
            sum >> 1 ^ (0xEDB8_8320 & (sum & 1).wrapping_neg())
        })
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_checksum_is_crc_32() {
        assert_eq!(crc32(b"123456789"), 0xCBF4_3926);
        assert_eq!(crc32(b""), 0);
    }

    #[test]
    fn a_frame_has_its_lengths_and_checksums() {
        let frame = exception("throttlingException", "{}");
        let word = |at: usize| u32::from_be_bytes(frame[at..at + 4].try_into().unwrap());
        assert_eq!(word(0) as usize, frame.len());
        let headers = word(4) as usize;
        assert_eq!(&frame[12 + headers..frame.len() - 4], b"{}");
        assert_eq!(word(8), crc32(&frame[..8]));
        assert_eq!(word(frame.len() - 4), crc32(&frame[..frame.len() - 4]));
        let text = String::from_utf8_lossy(&frame[12..12 + headers]);
        assert!(
            text.contains(":exception-type\u{7}\0\u{13}throttlingException"),
            "{text:?}"
        );
    }
}
