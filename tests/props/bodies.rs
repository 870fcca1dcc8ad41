//! Body wrappers neither lose, repeat nor reorder bytes, whatever the chunking.

#![cfg(feature = "test-util")]

use std::ops::ControlFlow;

use bytes::Bytes;
use http_body::Body;
use http_body_util::BodyExt;
use llmesh::{
    base::{Error, Kind, error},
    body::{Peek, RequestBody, peek::Stopped, read_prefix},
    testing::body::{Script, drain},
};
use proptest::{collection::vec, prelude::*};
use tokio_test::block_on;

/// A body: chunks (an empty one also yields once), trailers or not, a failure at the end or not, sized or not.
#[derive(Clone, Debug)]
struct Plan {
    chunks: Vec<Vec<u8>>,
    trailers: bool,
    fails: bool,
    sized: bool,
}

impl Plan {
    fn script(&self) -> Script {
        let mut script = Script::new();
        for chunk in &self.chunks {
            if chunk.is_empty() {
                script = script.yield_once();
            }
            script = script.data(chunk.clone());
        }
        if self.fails {
            script = script.fail("broken");
        } else if self.trailers {
            script = script.trailer("x-end", "1");
        }
        if self.sized { script.sized() } else { script }
    }

    fn bytes(&self) -> Vec<u8> {
        self.chunks.concat()
    }
}

fn plan() -> impl Strategy<Value = Plan> {
    let size = prop_oneof![4 => 0..8_usize, 2 => 0..600_usize, 1 => 4000..6000_usize];
    let fails = prop::bool::weighted(0.2);
    (vec(size, 0..40), any::<bool>(), fails, any::<bool>()).prop_map(
        |(sizes, trailers, fails, sized)| {
            // 251 is prime, so no cut and no chunk size hides a shift.
            let mut bytes = (0..251_u8).cycle();
            Plan {
                chunks: sizes
                    .iter()
                    .map(|n| bytes.by_ref().take(*n).collect())
                    .collect(),
                trailers,
                fails,
                sized,
            }
        },
    )
}

proptest! {
    /// Each reader sees a prefix of the original, up to where it is dropped; one that reads to the end sees all of it.
    #[test]
    fn replay_gives_the_original_for_any_chunking_and_any_drop_point(
        plan in plan(),
        drops in vec(0..30_usize, 0..5),
        spare in any::<bool>(),
    ) {
        let original = plan.bytes();
        block_on(async {
            let keep = RequestBody::new(plan.script().body(), original.len());
            let mut failed = false;
            for stop in drops {
                let mut reader = keep.clone();
                let mut at = 0;
                for _ in 0..stop {
                    if plan.sized && !failed {
                        prop_assert_eq!(reader.size_hint().exact(), Some((original.len() - at) as u64));
                    }
                    let Some(frame) = reader.frame().await else { break };
                    let Ok(frame) = frame else { failed = true; break };
                    let Ok(chunk) = frame.into_data() else { break };
                    prop_assert_eq!(&chunk[..], &original[at..at + chunk.len()]);
                    at += chunk.len();
                }
                prop_assert!(!reader.is_end_stream() || at == original.len());
            }
            prop_assert_eq!(keep.can_replay(), !failed);
            if spare {
                prop_assert_eq!(drain(keep.clone()).await.data, original.clone());
            }
            let last = drain(keep).await;
            prop_assert_eq!(last.data, original);
            prop_assert_eq!(last.trailers.is_some(), plan.trailers && !plan.fails);
            prop_assert_eq!(last.error.is_some(), plan.fails);
            Ok(())
        })?;
    }

    /// Over the cap a later reader fails; it never sees wrong bytes, and the reader at work sees all of them.
    #[test]
    fn a_capped_replay_is_right_or_fails(plan in plan(), cap in 0..8000_usize, stop in 0..30_usize) {
        let original = plan.bytes();
        block_on(async {
            let keep = RequestBody::new(plan.script().body(), cap);
            let mut first = keep.clone();
            let mut seen = Vec::new();
            for _ in 0..stop {
                let Some(Ok(frame)) = first.frame().await else { break };
                seen.extend_from_slice(frame.data_ref().unwrap_or(&Bytes::new()));
            }
            let known = plan.sized && original.len() > cap && !original.is_empty();
            prop_assert_eq!(keep.is_capped(), known || seen.len() > cap);
            if keep.is_capped() && !seen.is_empty() {
                let error = drain(keep).await.error;
                let kind = error.and_then(|e| error::find(&*e).map(Error::kind));
                prop_assert_eq!(kind, Some(Kind::BodyTooLarge));
                seen.extend(drain(first).await.data);
                prop_assert_eq!(seen, original);
            } else {
                drop(first);
                prop_assert_eq!(drain(keep).await.data, original);
            }
            Ok(())
        })?;
    }

    #[test]
    fn peek_gives_back_every_frame_in_its_bounds(plan in plan(), limit in 0..8000_usize, stop in 0..30_usize) {
        block_on(async {
            let mut peek = Peek::with_limit(plan.script().body(), limit);
            let mut left = stop;
            let stopped = peek.until(|_| {
                left = left.saturating_sub(1);
                if left == 0 { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
            }).await;
            let longest = plan.chunks.iter().map(Vec::len).max().unwrap_or(0);
            prop_assert!(peek.held_bytes() <= limit + longest);
            prop_assert_eq!(stopped == Stopped::Failed, peek.error().is_some());
            let mut body = peek.into_body();
            if plan.sized {
                // A failure that was met takes back what was promised of the length.
                let whole = (stopped != Stopped::Failed).then_some(plan.bytes().len() as u64);
                prop_assert_eq!(body.size_hint().exact(), whole);
            }
            for chunk in &plan.chunks {
                let frame = body.frame().await.and_then(Result::ok).and_then(|f| f.into_data().ok());
                prop_assert_eq!(frame.as_deref(), Some(&chunk[..]));
            }
            let rest = drain(body).await;
            prop_assert!(rest.data.is_empty());
            prop_assert_eq!(rest.trailers.is_some(), plan.trailers && !plan.fails);
            prop_assert_eq!(rest.error.is_some(), plan.fails);
            Ok(())
        })?;
    }

    #[test]
    fn prefix_is_the_first_bytes_and_the_body_is_complete(plan in plan(), max in 0..8000_usize) {
        let original = plan.bytes();
        block_on(async {
            let (prefix, body) = read_prefix(plan.script().body(), max).await;
            prop_assert_eq!(&prefix.bytes[..], &original[..original.len().min(max)]);
            prop_assert!(!prefix.whole || (original.len() <= max && !plan.fails));
            prop_assert!(prefix.whole || original.len() >= max || plan.fails);
            let rest = drain(body).await;
            prop_assert_eq!(rest.data, original);
            prop_assert_eq!(rest.trailers.is_some(), plan.trailers && !plan.fails);
            prop_assert_eq!(rest.error.is_some(), plan.fails);
            Ok(())
        })?;
    }
}
