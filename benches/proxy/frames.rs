//! HTTP/2 frames, as bytes: what a peer sends that means no good.

/// What a client says first: the preface, empty SETTINGS.
pub(crate) fn hello() -> Vec<u8> {
    let mut bytes = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n".to_vec();
    bytes.extend(settings());
    bytes
}

/// Empty SETTINGS.
pub(crate) fn settings() -> Vec<u8> {
    frame(4, 0, 0, &[])
}

/// PING.
pub(crate) fn ping() -> Vec<u8> {
    frame(6, 0, 0, &[0; 8])
}

/// DATA of no bytes that ends nothing.
pub(crate) fn empty_data(stream: u32) -> Vec<u8> {
    frame(0, 0, stream, &[])
}

/// RST_STREAM with CANCEL.
pub(crate) fn reset(stream: u32) -> Vec<u8> {
    frame(3, 0, stream, &8_u32.to_be_bytes())
}

/// HEADERS of `GET /path` for the host `llm`. `end`: no body follows.
pub(crate) fn headers(stream: u32, path: &str, end: bool) -> Vec<u8> {
    frame(1, 4 | u8::from(end), stream, &block(path))
}

/// HEADERS with so many more fields, all but the first one byte of HPACK each.
pub(crate) fn bomb(stream: u32, path: &str, fields: usize) -> Vec<u8> {
    let mut block = block(path);
    // A literal that goes into the table as entry 62, then that entry again and again.
    block.extend(b"\x40\x01x\x01y");
    block.extend(std::iter::repeat_n(0xbe, fields));
    frame(1, 5, stream, &block)
}

/// HEADERS that are not complete, for CONTINUATION to go on with.
pub(crate) fn begun(stream: u32) -> Vec<u8> {
    frame(1, 1, stream, &block("/late"))
}

/// CONTINUATION with this many bytes of fields, never the last.
pub(crate) fn continuation(stream: u32, bytes: usize) -> Vec<u8> {
    // Literals without indexing: `x: y`.
    let block: Vec<u8> = b"\x00\x01x\x01y"
        .iter()
        .copied()
        .cycle()
        .take(bytes / 5 * 5)
        .collect();
    frame(9, 0, stream, &block)
}

fn block(path: &str) -> Vec<u8> {
    // `:method: GET`, `:scheme: http` from the static table; `:path` and `:authority` as literals without indexing.
    let mut block = vec![0x82, 0x86, 0x04];
    block.push(u8::try_from(path.len()).unwrap_or(0));
    block.extend(path.as_bytes());
    block.extend(b"\x01\x03llm");
    block
}

fn frame(kind: u8, flags: u8, stream: u32, payload: &[u8]) -> Vec<u8> {
    let length = u32::try_from(payload.len()).unwrap_or(0).to_be_bytes();
    let mut bytes = length[1..].to_vec();
    bytes.extend([kind, flags]);
    bytes.extend(stream.to_be_bytes());
    bytes.extend(payload);
    bytes
}
