//! Content codings: what stands in a compressed body, for those who judge it.
//!
//! SDKs ask for compressed answers as a matter of course, and an error means the same under gzip. So all that is judged, errors,
//! whole answers and events of streams, is judged decoded: `gzip`, `deflate` (with its zlib header, and without, as some
//! servers send it), `br` and `zstd`, and several of them one over the other. The caller gets the upstream's own bytes, as they
//! came and when they came: the decoded ones are looked at and forgotten. That keeps what the caller asked for, and costs the
//! connection nothing. Only where bytes of a stream must be *changed* is the upstream asked for `identity`: where usage was asked
//! for on the caller's behalf and is taken out again, and where another target may go on with the stream.
//!
//! Nothing is waited for: what can be decoded of the bytes that came is shown at once, in small pieces. Nothing is kept but the
//! window of each coding (32 KiB, 16 MiB and 8 MiB at most). What decodes to more than 1 MiB and more than 256 times its size
//! is a bomb or no text; a coding that is not known, a body that is not what its label says, and such a one cannot be read: no
//! judgement follows from them, and they pass. What cannot be read after the end of a whole body is ignored, as clients do.

use std::fmt;

use ::http::{HeaderMap, header};
use brotli_decompressor::{BrotliDecompressStream, BrotliResult, BrotliState, StandardAlloc};
use flate2::{Decompress, FlushDecompress, Status};
use zstd::stream::raw::{DParameter, Decoder as Zstd, Operation};

/// How much is decoded at a time.
const PIECE: usize = 8 * 1024;
/// The most codings one over the other.
const MOST: usize = 3;
/// How much may be decoded whatever the size of what it came from.
const FREE: u64 = 1024 * 1024;
/// How many bytes may come of one.
const RATIO: u64 = 256;
/// How a member of a gzip body begins.
const GZIP_MAGIC: u8 = 0x1f;
/// zlib's largest window, as a power of two.
const GZIP_WINDOW: u8 = 15;
/// The largest window of `zstd` as a content coding (RFC 9659), as a power of two.
const ZSTD_WINDOW: u32 = 23;

/// How a body is coded, and where its decoding stands.
#[derive(Debug, Default)]
pub(crate) enum Coding {
    /// Not at all.
    #[default]
    Plain,
    /// In a way that can be undone.
    Known(Decoder),
    /// In a way that is not known, or not undone.
    Unreadable,
}

/// Decodes one body.
#[derive(Debug)]
pub(crate) struct Decoder {
    /// The last coding that was put on comes first.
    steps: Vec<Step>,
    /// How many bytes came.
    taken: u64,
    /// What all steps made of them.
    made: u64,
}

/// It cannot be decoded, or is not worth it.
#[derive(Debug)]
struct Undecodable;

/// One coding.
enum Step {
    Gzip(Option<Box<Decompress>>),
    /// A member of a `gzip` body is over: another one may follow, or padding.
    Between,
    /// `deflate`, of which the first byte came.
    Deflate(Option<u8>),
    Inflating(Box<Decompress>),
    Brotli(Option<Box<Brotli>>),
    Zstd(Option<Zstd<'static>>),
    /// What comes after the end.
    Over,
}

type Brotli = BrotliState<StandardAlloc, StandardAlloc, StandardAlloc>;

/// What a step took and what it made.
type Moved = (usize, usize);

// === impl Coding ===

impl Coding {
    /// As the headers of a message say.
    pub(crate) fn of(headers: &HeaderMap) -> Self {
        let mut steps = Vec::new();
        for value in headers.get_all(header::CONTENT_ENCODING) {
            let Ok(names) = value.to_str() else {
                return Self::Unreadable;
            };
            for name in names.split(',').map(str::trim) {
                if name.is_empty() || name.eq_ignore_ascii_case("identity") {
                    continue;
                }
                let Some(step) = Step::named(name).filter(|_| steps.len() < MOST) else {
                    return Self::Unreadable;
                };
                steps.insert(0, step);
            }
        }
        if steps.is_empty() {
            return Self::Plain;
        }
        Self::Known(Decoder {
            steps,
            taken: 0,
            made: 0,
        })
    }

    /// Whether the bytes are not those that are meant.
    pub(crate) fn is_coded(&self) -> bool {
        !matches!(self, Self::Plain)
    }

    /// Whether nothing more can be read.
    pub(crate) fn is_unreadable(&self) -> bool {
        matches!(self, Self::Unreadable)
    }

    /// Shows what stands in the next bytes, as far as it can be read: [`is_unreadable`](Self::is_unreadable) tells afterwards.
    pub(crate) fn show(&mut self, chunk: &[u8], mut see: impl FnMut(&[u8])) {
        match self {
            Self::Plain => see(chunk),
            Self::Known(decoder) => {
                if decoder.feed(chunk, &mut see).is_err() {
                    *self = Self::Unreadable;
                }
            }
            Self::Unreadable => {}
        }
    }
}

// === impl Decoder ===

impl Decoder {
    fn feed(&mut self, chunk: &[u8], see: &mut dyn FnMut(&[u8])) -> Result<(), Undecodable> {
        self.taken = self.taken.saturating_add(chunk.len() as u64);
        let most = FREE.max(self.taken.saturating_mul(RATIO));
        decode(
            &mut self.steps,
            chunk,
            &mut |made| {
                self.made = self.made.saturating_add(made);
                self.made <= most
            },
            see,
        )
    }
}

/// Undoes these steps, one after the other. `may` is told how much each made, and says whether to go on.
fn decode(
    steps: &mut [Step],
    mut input: &[u8],
    may: &mut dyn FnMut(u64) -> bool,
    see: &mut dyn FnMut(&[u8]),
) -> Result<(), Undecodable> {
    let Some((step, inner)) = steps.split_first_mut() else {
        see(input);
        return Ok(());
    };
    let mut piece = [0; PIECE];
    loop {
        let (took, made) = step.run(input, &mut piece)?;
        input = input.get(took..).unwrap_or_default();
        if made > 0 {
            if !may(made as u64) {
                return Err(Undecodable);
            }
            decode(inner, piece.get(..made).unwrap_or_default(), may, see)?;
        } else if took == 0 {
            return if input.is_empty() {
                Ok(())
            } else {
                Err(Undecodable)
            };
        }
    }
}

// === impl Step ===

impl Step {
    fn named(name: &str) -> Option<Self> {
        let is = |other: &str| name.eq_ignore_ascii_case(other);
        if is("gzip") || is("x-gzip") {
            Some(Self::Gzip(None))
        } else if is("deflate") {
            Some(Self::Deflate(None))
        } else if is("br") {
            Some(Self::Brotli(None))
        } else if is("zstd") {
            Some(Self::Zstd(None))
        } else {
            None
        }
    }

    fn run(&mut self, input: &[u8], output: &mut [u8]) -> Result<Moved, Undecodable> {
        match self {
            Self::Gzip(inflate) => {
                let inflate =
                    inflate.get_or_insert_with(|| Box::new(Decompress::new_gzip(GZIP_WINDOW)));
                let (moved, over) = inflated(inflate, input, output)?;
                if over {
                    *self = Self::Between;
                }
                Ok(moved)
            }
            Self::Between => {
                *self = match input.first() {
                    None => return Ok((0, 0)),
                    Some(&GZIP_MAGIC) => Self::Gzip(None),
                    Some(_) => Self::Over,
                };
                self.run(input, output)
            }
            Self::Deflate(first) => {
                let Some(byte) = input.first() else {
                    return Ok((0, 0));
                };
                let Some(first) = *first else {
                    *first = Some(*byte);
                    return Ok((1, 0));
                };
                let mut inflate = Box::new(Decompress::new(is_zlib(first, *byte)));
                let (moved, _) = inflated(&mut inflate, &[first, *byte], output)?;
                *self = Self::Inflating(inflate);
                // Two bytes hold no block.
                if moved.0 == 2 {
                    Ok((1, moved.1))
                } else {
                    Err(Undecodable)
                }
            }
            Self::Inflating(inflate) => {
                let (moved, over) = inflated(inflate, input, output)?;
                if over {
                    *self = Self::Over;
                }
                Ok(moved)
            }
            Self::Brotli(state) => {
                let alloc = StandardAlloc::default;
                let state = state.get_or_insert_with(|| {
                    Box::new(BrotliState::new_strict(alloc(), alloc(), alloc()))
                });
                let (moved, over) = unbrotlied(state, input, output)?;
                if over {
                    *self = Self::Over;
                }
                Ok(moved)
            }
            Self::Zstd(state) => {
                if state.is_none() {
                    let mut new = Zstd::new().map_err(|_| Undecodable)?;
                    new.set_parameter(DParameter::WindowLogMax(ZSTD_WINDOW))
                        .map_err(|_| Undecodable)?;
                    *state = Some(new);
                }
                let state = state.as_mut().ok_or(Undecodable)?;
                let status = state
                    .run_on_buffers(input, output)
                    .map_err(|_| Undecodable)?;
                Ok((status.bytes_read, status.bytes_written))
            }
            Self::Over => Ok((input.len(), 0)),
        }
    }
}

impl fmt::Debug for Step {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Gzip(_) | Self::Between => "Gzip",
            Self::Deflate(_) | Self::Inflating(_) => "Deflate",
            Self::Brotli(_) => "Brotli",
            Self::Zstd(_) => "Zstd",
            Self::Over => "Over",
        })
    }
}

/// Whether these two bytes begin the zlib format (RFC 1950 section 2.2).
fn is_zlib(first: u8, second: u8) -> bool {
    first & 0x0f == 8 && first >> 4 <= 7 && u16::from_be_bytes([first, second]).is_multiple_of(31)
}

fn inflated(
    inflate: &mut Decompress,
    input: &[u8],
    output: &mut [u8],
) -> Result<(Moved, bool), Undecodable> {
    let before = (inflate.total_in(), inflate.total_out());
    let status = inflate
        .decompress(input, output, FlushDecompress::Sync)
        .map_err(|_| Undecodable)?;
    let moved = |now: u64, before: u64| usize::try_from(now - before).unwrap_or(0);
    let moved = (
        moved(inflate.total_in(), before.0),
        moved(inflate.total_out(), before.1),
    );
    Ok((moved, status == Status::StreamEnd))
}

fn unbrotlied(
    state: &mut Brotli,
    input: &[u8],
    output: &mut [u8],
) -> Result<(Moved, bool), Undecodable> {
    let (mut left, mut took) = (input.len(), 0);
    let (mut room, mut made, mut total) = (output.len(), 0, 0);
    let result = BrotliDecompressStream(
        &mut left, &mut took, input, &mut room, &mut made, output, &mut total, state,
    );
    match result {
        BrotliResult::ResultFailure => Err(Undecodable),
        BrotliResult::ResultSuccess => Ok(((took, made), true)),
        BrotliResult::NeedsMoreInput | BrotliResult::NeedsMoreOutput => Ok(((took, made), false)),
    }
}

#[cfg(test)]
mod tests;
