//! The path of a base URL.

/// The longest prefix of a path.
pub(super) const MAX_PATH: usize = 1024;

/// Whether a text is the beginning of a path.
pub(super) fn is_plain_path(path: &str) -> bool {
    let plain = |b: u8| b.is_ascii_graphic() && !matches!(b, b'?' | b'#' | b'*');
    path.starts_with('/') && path.len() <= MAX_PATH && path.bytes().all(plain)
}
