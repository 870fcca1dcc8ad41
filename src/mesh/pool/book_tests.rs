use std::time::Duration;

use tokio::sync::oneshot::Receiver;

use super::*;
use crate::base::{Error, Kind, error::ConnectFailure};

type Numbers = Book<u32, &'static str>;

fn book() -> (Numbers, u64, u64, Instant) {
    let mut book = Book::default();
    let (a, b) = (book.add("a"), book.add("b"));
    (book, a, b, Instant::now())
}

fn free(now: Instant, max: u64) -> Free {
    Free {
        now,
        max,
        keep: true,
    }
}

fn got(grant: &mut Receiver<Grant<u32>>) -> Option<u32> {
    grant.try_recv().ok().and_then(Result::ok)
}

/// A lane with `n` connections in use, numbered from `first`.
fn in_use(book: &mut Numbers, lane: u64, n: usize, max: u64) {
    for _ in 0..n {
        let (ticket, _grant) = book.wait(lane);
        assert_eq!(book.dials(max).len(), 1);
        book.dialled(lane);
        book.leave(lane, ticket);
    }
}

#[test]
fn dials_one_for_each_waiting_request_up_to_the_ceiling() {
    let (mut book, a, _, _) = book();
    let _grants: Vec<_> = (0..5).map(|_| book.wait(a)).collect();
    assert_eq!(book.dials(3), ["a", "a", "a"]);
    assert!(book.dials(3).is_empty() && book.is_short(a));
    assert_eq!(book.dials(10), ["a", "a"]);
    assert!(book.dials(10).is_empty() && !book.is_short(a));
}

#[test]
fn what_comes_first_serves_the_longest_waiting() {
    let (mut book, a, _, now) = book();
    in_use(&mut book, a, 1, 9);
    let (_, mut first) = book.wait(a);
    let (_, mut second) = book.wait(a);
    assert_eq!(book.dials(9).len(), 2);
    // Given back by a request that ended, before either dial is done.
    assert_eq!(book.put(a, 1, 1, free(now, 9)), Put::Handed);
    book.dialled(a);
    assert_eq!(book.put(a, 2, 2, free(now, 9)), Put::Handed);
    book.dialled(a);
    assert_eq!(book.put(a, 3, 3, free(now, 9)), Put::Stored);
    assert_eq!((got(&mut first), got(&mut second)), (Some(1), Some(2)));
    assert_eq!(book.take_idle(a), Some(3));
}

#[test]
fn a_request_that_was_given_up_is_passed_over() {
    let (mut book, a, _, now) = book();
    let (ticket, gone) = book.wait(a);
    let (_, dropped) = book.wait(a);
    let (_, mut third) = book.wait(a);
    book.leave(a, ticket);
    // This one's owner has not left the queue yet.
    drop((gone, dropped));
    assert_eq!(book.put(a, 1, 7, free(now, 9)), Put::Handed);
    assert_eq!(got(&mut third), Some(7));
}

#[test]
fn idle_connections_are_taken_last_in_first_out_and_end_by_age() {
    let (mut book, a, _, now) = book();
    let later = now + Duration::from_secs(10);
    assert_eq!(book.put(a, 1, 1, free(now, 9)), Put::Stored);
    assert_eq!(book.put(a, 2, 2, free(later, 9)), Put::Stored);
    assert_eq!(book.rest(a, 2, Some(now)), Rest::Since(later));
    assert_eq!(book.rest(a, 1, Some(now)), Rest::Close(1));
    assert_eq!(book.rest(a, 1, Some(later)), Rest::Busy);
    assert_eq!((book.take_idle(a), book.take_idle(a)), (Some(2), None));
}

#[test]
fn a_connection_that_is_not_kept_serves_who_waits_and_is_closed_else() {
    let (mut book, a, _, now) = book();
    let (_, mut grant) = book.wait(a);
    let how = Free {
        keep: false,
        ..free(now, 9)
    };
    assert_eq!(book.put(a, 1, 1, how), Put::Handed);
    assert_eq!(book.put(a, 2, 2, how), Put::Close(2));
    assert_eq!(got(&mut grant), Some(1));
}

#[test]
fn at_the_ceiling_another_endpoints_idle_connection_makes_room() {
    let (mut book, a, b, now) = book();
    in_use(&mut book, a, 2, 2);
    assert_eq!(book.put(a, 1, 1, free(now, 2)), Put::Stored);
    let (_, _grant) = book.wait(b);
    assert!(book.dials(2).is_empty());
    assert_eq!(book.evict(b, 2), Some(1));
    book.closed(a);
    assert_eq!(book.dials(2), ["b"]);
    assert_eq!(book.evict(b, 2), None, "nobody is short any more");
}

#[test]
fn an_endpoint_without_connections_gets_the_next_that_comes_free() {
    let (mut book, a, b, now) = book();
    in_use(&mut book, a, 2, 2);
    let (_, mut own) = book.wait(a);
    let (_, _other) = book.wait(b);
    // Two are open here and none there: the place goes there, although this lane's request came first.
    assert_eq!(book.put(a, 1, 1, free(now, 2)), Put::Close(1));
    book.closed(a);
    assert_eq!(book.dials(2), ["b"]);
    assert_eq!(book.put(a, 2, 2, free(now, 2)), Put::Handed);
    assert_eq!(got(&mut own), Some(2));
}

#[test]
fn the_only_connection_goes_to_whoever_came_first() {
    for b_is_first in [true, false] {
        let (mut book, a, b, now) = book();
        in_use(&mut book, a, 1, 1);
        let lanes = if b_is_first { [b, a] } else { [a, b] };
        let _grants = lanes.map(|lane| book.wait(lane));
        let put = book.put(a, 1, 1, free(now, 1));
        assert_eq!(
            put,
            if b_is_first {
                Put::Close(1)
            } else {
                Put::Handed
            }
        );
    }
}

#[test]
fn a_failed_dial_fails_all_who_wait_there_and_frees_its_place_once() {
    let (mut book, a, b, _) = book();
    let failure = DialFailure::new(&Error::new(Kind::Connect(ConnectFailure::Refused)));
    let (_, mut first) = book.wait(a);
    let (_, mut second) = book.wait(a);
    let (_, mut other) = book.wait(b);
    assert_eq!(book.dials(1), ["a"]);
    assert_eq!(book.dial_failed(a, &failure), 2);
    assert!(matches!(first.try_recv(), Ok(Err(_))) && matches!(second.try_recv(), Ok(Err(_))));
    assert!(other.try_recv().is_err());
    assert!(book.dials(1).is_empty(), "the socket is not closed yet");
    book.closed(a);
    assert_eq!(book.dials(1), ["b"]);
}
