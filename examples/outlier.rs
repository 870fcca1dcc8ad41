//! Three clients of one service, kept by the program itself; the one that keeps failing is taken out for a while.
//!
//! `cargo run --example outlier`

use std::time::Duration;

use bytes::Bytes;
use http::{Request, Response, StatusCode};
use http_body_util::{BodyExt, Empty};
use llmesh::{
    base::{
        BoxError, Error, Kind, error,
        time::{Instant, sleep},
    },
    outlier::{Group, Params},
};
use tower::{Layer, ServiceExt, service_fn};

// The clock jumps over sleeps.
#[tokio::main(flavor = "current_thread", start_paused = true)]
async fn main() -> Result<(), BoxError> {
    // One of three is 33 %: with the default of 10 % nothing could ever be ejected.
    let params = Params::default()
        .with_consecutive_5xx(3)
        .with_interval(Duration::from_secs(5))
        .with_base_ejection(Duration::from_secs(20))
        .with_max_ejection_percent(50);
    let group = Group::new(params);
    let members = [("a", 200), ("b", 500), ("c", 200)].map(|(name, status)| {
        let upstream = service_fn(move |_: Request<()>| async move {
            let mut response = Response::new(Empty::<Bytes>::new());
            *response.status_mut() = StatusCode::from_u16(status)?;
            Ok::<_, BoxError>(response)
        });
        (name, group.layer(name).layer(upstream))
    });

    let begin = Instant::now();
    for wait in [0, 1, 1, 1, 12, 11] {
        sleep(Duration::from_secs(wait)).await;
        print!("{:>3} s ", begin.elapsed().as_secs());
        for (name, client) in &members {
            let answer = match client.clone().oneshot(Request::new(())).await {
                Ok(response) => {
                    let status = response.status().as_u16();
                    response.into_body().collect().await?;
                    status.to_string()
                }
                Err(e) => {
                    let kind = error::find(&*e).map(Error::kind);
                    kind.map_or("unknown", Kind::as_str).to_owned()
                }
            };
            print!("  {name}: {answer:<18}");
        }
        println!("  ejected: {}", group.ejections_active());
    }
    Ok(())
}
