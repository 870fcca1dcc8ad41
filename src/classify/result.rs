//! The class of an attempt: the one its response carries, or what its head or error alone tells.

use http::Response;

use crate::{
    base::{BoxError, time::wall_now},
    classify::{
        Class, Classified, Outcome, Signal,
        hint::asked,
        http::{RATELIMITED, grpc_outcome, grpc_status, status_outcome},
        transport::class_of_error,
    },
};

/// What an attempt came to.
#[must_use]
pub fn class_of_result<R>(result: &Result<Response<R>, BoxError>) -> Class {
    match result {
        Ok(response) => class_of_response(response),
        Err(error) => class_of_error(error),
    }
}

/// What an attempt that was answered came to.
pub(crate) fn class_of_response<R>(response: &Response<R>) -> Class {
    let classified = response.extensions().get::<Classified>();
    classified
        .and_then(Classified::head)
        .cloned()
        .unwrap_or_else(|| of_head(response))
}

/// With no classifier below: the status, and the wait that the headers ask for.
fn of_head<R>(response: &Response<R>) -> Class {
    let (status, headers) = (response.status(), response.headers());
    let grpc_status = grpc_status(headers);
    let outcome = match (status_outcome(status), grpc_status) {
        (Outcome::Success, Some(code)) => grpc_outcome(code),
        (outcome, _) => outcome,
    };
    let mut class = Class::new(
        outcome,
        Signal::Response {
            status,
            grpc_status,
            ratelimited: headers.contains_key(RATELIMITED),
        },
    );
    class.status_only = true;
    if !class.is_success() {
        class.hint = asked(headers, wall_now());
    }
    class
}
