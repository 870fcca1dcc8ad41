//! Rules of one's own for retries: what was never answered is sent again, each time 10 ms later.

use std::time::Duration;

use bytes::Bytes;
use http::{Request, Response};
use http_body_util::Empty;
use llmesh::{
    base::{BoxError, Error, Kind, SharedRng, error::ConnectFailure},
    classify::{Class, Signal},
    retry::policy::{Attempt, Decision, Policy, Reason},
    retry::{Params, RetryBudget, RetryLayer},
};
use tower::{Layer, ServiceExt, service_fn};

#[derive(Debug)]
struct Unanswered;

impl Policy for Unanswered {
    #[rustfmt::skip]
    fn decide(&self, at: &Attempt, class: &Class, _: Option<&RetryBudget>, _: &SharedRng) -> Decision {
        let after = Duration::from_millis(10) * at.number;
        match class.signal {
            Signal::Error(_) => Decision::Retry { after, hinted: false },
            Signal::Response { .. } => Decision::Stop(Reason::NotListed),
        }
    }
}

#[tokio::main(flavor = "current_thread")]
async fn main() {
    let retries = RetryLayer::new(Params::default().with_retries(3)).with_policy(Unanswered);
    let client = retries.layer(service_fn(|_| async {
        println!("asked");
        let refused = Error::new(Kind::Connect(ConnectFailure::Refused));
        Err::<Response<Empty<Bytes>>, BoxError>(refused.into())
    }));
    let answer = client.oneshot(Request::new(Empty::<Bytes>::new())).await;
    println!("{:?}", answer.map(|_| ()));
}
