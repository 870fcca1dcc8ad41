//! The bytes kept for the next reader.

use bytes::{BufMut, Bytes, BytesMut};

/// Chunks up to this size together are joined.
const JOIN: usize = 4096;

/// Chunks in order, each with the offset of its end.
///
/// Large chunks are shared with the reader. Small neighbours are joined (geometrically, so each byte is copied a few
/// times at most): otherwise a peer that sends a megabyte in one-byte chunks would cost 32 MiB of bookkeeping.
#[derive(Debug, Default)]
pub(super) struct Buffer(Vec<(u64, Bytes)>);

// === impl Buffer ===

impl Buffer {
    /// Appends a chunk.
    pub(super) fn push(&mut self, mut chunk: Bytes) {
        if chunk.is_empty() {
            return;
        }
        let end = self.0.last().map_or(0, |(end, _)| *end) + chunk.len() as u64;
        while let Some((_, last)) = self.0.last()
            && last.len() + chunk.len() <= JOIN
            && last.len() <= 2 * chunk.len()
        {
            let mut joined = BytesMut::with_capacity(last.len() + chunk.len());
            joined.put_slice(last);
            joined.put_slice(&chunk);
            chunk = joined.freeze();
            self.0.pop();
        }
        self.0.push((end, chunk));
    }

    /// The bytes from offset `at` to the end of their chunk; `None` if there are none.
    pub(super) fn get(&self, at: u64) -> Option<Bytes> {
        let (end, chunk) = self.0.get(self.0.partition_point(|(end, _)| *end <= at))?;
        let left = usize::try_from(end - at).ok()?;
        chunk
            .len()
            .checked_sub(left)
            .map(|from| chunk.slice(from..))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tiny_chunks_are_joined_and_nothing_is_lost() {
        let mut buffer = Buffer::default();
        for i in 0..100_000_u32 {
            buffer.push(Bytes::copy_from_slice(&[i as u8]));
        }
        assert!(buffer.0.len() < 64, "{} chunks", buffer.0.len());
        let mut at = 0;
        while let Some(chunk) = buffer.get(at) {
            for byte in chunk {
                assert_eq!(byte, at as u8);
                at += 1;
            }
        }
        assert_eq!(at, 100_000);
    }

    #[test]
    fn reads_from_the_middle_of_a_chunk_and_across_a_join() {
        let mut buffer = Buffer::default();
        buffer.push(Bytes::from_static(b"abc"));
        assert_eq!(buffer.get(1).as_deref(), Some(&b"bc"[..]));
        buffer.push(Bytes::from_static(b"defg"));
        assert_eq!(buffer.get(3).as_deref(), Some(&b"defg"[..]));
        assert_eq!(buffer.get(7), None);
    }

    #[test]
    fn large_chunks_are_shared_not_copied() {
        let chunk = Bytes::from(vec![7; 10_000]);
        let mut buffer = Buffer::default();
        buffer.push(chunk.clone());
        assert_eq!(buffer.get(0).map(|c| c.as_ptr()), Some(chunk.as_ptr()));
    }
}
