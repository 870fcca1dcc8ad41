use std::io::Write;

use ::http::HeaderValue;
use flate2::{
    Compression,
    write::{DeflateEncoder, GzEncoder, ZlibEncoder},
};

use super::*;

const EVENTS: [&[u8]; 3] = [
    b"data: {\"choices\":[{\"index\":0,\"delta\":{\"content\":\"one\"}}]}\n\n",
    b"data: {\"choices\":[{\"index\":0,\"delta\":{\"content\":\"two\"}}]}\n\n",
    b"data: [DONE]\n\n",
];

/// The events under `br`, flushed after each, and its end.
const BROTLI: [&str; 4] = [
    "0b1d000004323d7fa1cff1c3b8a4cb70bac59bc2061c38441ca532f13091134e0abf3364516dca0b6d0309ad41f141e6f8ed8aff2ec9499501",
    "d0010040f28deeae3a3026aeeb9a01",
    "68000040c043d65f3395755304e81280a6c60703",
    "03",
];

fn unhex(text: &str) -> Vec<u8> {
    let digits = text.as_bytes().chunks(2);
    digits
        .map(|two| u8::from_str_radix(std::str::from_utf8(two).unwrap(), 16).unwrap())
        .collect()
}

fn coding(name: &'static str) -> Coding {
    let mut headers = HeaderMap::new();
    headers.insert(header::CONTENT_ENCODING, HeaderValue::from_static(name));
    Coding::of(&headers)
}

/// What is seen of these chunks, one after the other, and whether all could be read.
fn seen<'a>(
    name: &'static str,
    chunks: impl IntoIterator<Item = &'a [u8]>,
) -> (Vec<Vec<u8>>, bool) {
    let mut coding = coding(name);
    let seen = chunks
        .into_iter()
        .map(|chunk| {
            let mut all = Vec::new();
            coding.show(chunk, |piece| all.extend_from_slice(piece));
            all
        })
        .collect();
    (seen, !coding.is_unreadable())
}

fn whole(name: &'static str, body: &[u8]) -> (Vec<u8>, bool) {
    let (seen, read) = seen(name, [body]);
    (seen.concat(), read)
}

fn gzip(text: &[u8]) -> Vec<u8> {
    let mut to = GzEncoder::new(Vec::new(), Compression::default());
    to.write_all(text).unwrap();
    to.finish().unwrap()
}

/// The events, each as its encoder sends it off, and the end.
fn flushed(name: &str) -> Vec<Vec<u8>> {
    fn all<W: Write>(mut to: W, sent: impl Fn(&W) -> Vec<u8>) -> (W, Vec<Vec<u8>>, usize) {
        let (mut pieces, mut before) = (Vec::new(), 0);
        for event in EVENTS {
            to.write_all(event).unwrap();
            to.flush().unwrap();
            let now = sent(&to);
            pieces.push(now[before..].to_vec());
            before = now.len();
        }
        (to, pieces, before)
    }
    let level = Compression::default();
    let (end, mut pieces, before) = match name {
        "gzip" => {
            let (to, pieces, before) =
                all(GzEncoder::new(Vec::new(), level), |w| w.get_ref().clone());
            (to.finish().unwrap(), pieces, before)
        }
        "zlib" => {
            let (to, pieces, before) =
                all(ZlibEncoder::new(Vec::new(), level), |w| w.get_ref().clone());
            (to.finish().unwrap(), pieces, before)
        }
        "raw" => {
            let (to, pieces, before) = all(DeflateEncoder::new(Vec::new(), level), |w| {
                w.get_ref().clone()
            });
            (to.finish().unwrap(), pieces, before)
        }
        "zstd" => {
            let to = zstd::stream::write::Encoder::new(Vec::new(), 3).unwrap();
            let (to, pieces, before) = all(to, |w| w.get_ref().clone());
            (to.finish().unwrap(), pieces, before)
        }
        _ => return BROTLI.iter().map(|text| unhex(text)).collect(),
    };
    pieces.push(end[before..].to_vec());
    pieces
}

const ALL: [(&str, &str); 5] = [
    ("gzip", "gzip"),
    ("zlib", "deflate"),
    ("raw", "deflate"),
    ("br", "br"),
    ("zstd", "zstd"),
];

#[test]
fn each_event_is_seen_as_soon_as_its_bytes_are_there() {
    for (encoder, name) in ALL {
        let pieces = flushed(encoder);
        let (seen, read) = seen(name, pieces.iter().map(Vec::as_slice));
        assert!(read, "{encoder}");
        let expected: Vec<&[u8]> = EVENTS.into_iter().chain([&b""[..]]).collect();
        assert_eq!(seen, expected, "{encoder}");
    }
}

#[test]
fn it_does_not_matter_how_a_body_is_cut() {
    for (encoder, name) in ALL {
        let body = flushed(encoder).concat();
        for size in 1..=body.len() {
            let (seen, read) = seen(name, body.chunks(size));
            assert!(read, "{encoder} by {size}");
            assert_eq!(seen.concat(), EVENTS.concat(), "{encoder} by {size}");
        }
        // Cut off: what came is seen, and nothing is wrong with it.
        for length in 0..body.len() {
            let (seen, read) = whole(name, &body[..length]);
            assert!(
                read && EVENTS.concat().starts_with(&seen),
                "{encoder} {length}"
            );
        }
    }
}

#[test]
fn labels_are_read_as_clients_read_them() {
    let once = gzip(b"hello");
    assert_eq!(whole("x-gzip", &once), (b"hello".to_vec(), true));
    assert_eq!(whole("GZIP", &once), (b"hello".to_vec(), true));
    assert_eq!(whole("identity, gzip", &once), (b"hello".to_vec(), true));
    assert_eq!(whole("gzip, gzip", &gzip(&once)), (b"hello".to_vec(), true));
    let zstd = zstd::encode_all(&once[..], 3).unwrap();
    assert_eq!(whole("gzip, zstd", &zstd), (b"hello".to_vec(), true));
    for plain in ["identity", "", "Identity , identity"] {
        assert!(!coding(plain).is_coded(), "{plain}");
        assert_eq!(whole(plain, b"hello"), (b"hello".to_vec(), true));
    }
    for unknown in [
        "compress",
        "gzip, dcz",
        "aws-chunked",
        "gzip,gzip,gzip,gzip",
    ] {
        assert!(coding(unknown).is_unreadable(), "{unknown}");
        assert_eq!(whole(unknown, &once), (Vec::new(), false));
    }
    // The label in several lines.
    let mut headers = HeaderMap::new();
    for name in ["gzip", "zstd"] {
        headers.append(header::CONTENT_ENCODING, HeaderValue::from_static(name));
    }
    let mut all = Vec::new();
    Coding::of(&headers).show(&zstd, |piece| all.extend_from_slice(piece));
    assert_eq!(all, b"hello");
}

#[test]
fn several_members_are_one_body_and_padding_is_none_of_it() {
    let two = [gzip(b"a"), gzip(b"b")].concat();
    let padded = [&two[..], &[0; 20]].concat();
    for body in [two, padded] {
        for size in 1..=body.len() {
            let (seen, read) = seen("gzip", body.chunks(size));
            assert_eq!((seen.concat(), read), (b"ab".to_vec(), true), "by {size}");
        }
    }
}

#[test]
fn what_is_not_what_its_label_says_cannot_be_read() {
    let text = br#"{"error": {"message": "no", "code": "insufficient_quota"}}"#;
    for name in ["gzip", "deflate", "br", "zstd", "gzip, gzip"] {
        let (seen, read) = whole(name, text);
        assert!(!read, "{name}: {:?}", String::from_utf8_lossy(&seen));
    }
    // Broken: its checksum says so.
    let mut body = gzip(b"hello");
    let sum = body.len() - 8;
    body[sum] ^= 1;
    assert!(!whole("gzip", &body).1);
}

#[test]
fn a_bomb_is_given_up() {
    let zeros = vec![0; 8 * 1024 * 1024];
    let once = gzip(&zeros);
    let zstd = zstd::encode_all(&zeros[..], 3).unwrap();
    for (name, body) in [
        ("gzip", &once),
        ("gzip, gzip", &gzip(&once)),
        ("zstd", &zstd),
    ] {
        let (mut coding, mut made, mut largest) = (coding(name), 0, 0);
        coding.show(body, |piece| {
            made += piece.len();
            largest = largest.max(piece.len());
        });
        assert!(coding.is_unreadable(), "{name}");
        let most = FREE.max(RATIO * body.len() as u64);
        assert!(made as u64 <= most && largest <= PIECE, "{name}: {made}");
    }
    // Text is no bomb.
    let text = EVENTS.concat().repeat(5000);
    assert_eq!(whole("gzip", &gzip(&text)), (text, true));
}
