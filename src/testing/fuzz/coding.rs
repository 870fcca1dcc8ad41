//! Content codings.

use http::{HeaderMap, HeaderValue, header::CONTENT_ENCODING};

use crate::llm::coding::Coding;

/// More than this is not compared: what is made of much may depend on how much came before it.
const COMPARED: usize = 1024 * 1024;

/// A line with the label, then the body: what is seen of it is the same however it is cut, and no more than it may be.
///
/// # Panics
/// If it is not.
pub fn coding(data: &[u8]) {
    let (label, body) = super::text::line(data);
    let mut headers = HeaderMap::new();
    if let Ok(label) = HeaderValue::from_bytes(label) {
        headers.insert(CONTENT_ENCODING, label);
    }
    let seen = |size: usize| {
        let (mut coding, mut all, mut made) = (Coding::of(&headers), Vec::new(), 0);
        for chunk in body.chunks(size.max(1)) {
            coding.show(chunk, |piece| {
                made += piece.len();
                if all.len() <= COMPARED {
                    all.extend_from_slice(piece);
                }
            });
        }
        (all, made, coding.is_unreadable())
    };
    let (all, made, unreadable) = seen(body.len());
    assert!(made <= COMPARED.max(body.len() * 256), "{made} bytes");
    for size in [1, 7, 4096] {
        let (pieces, _, broken) = seen(size);
        if made < COMPARED && !unreadable {
            assert!(!broken && pieces == all, "cut by {size}");
        }
    }
}
