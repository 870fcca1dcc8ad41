//! Asks one target after the other until one answers.

use bytes::Bytes;
use http::{Request, Response, StatusCode};
use http_body::Body as HttpBody;
use tower::Service;

use super::{
    cut::Continuation,
    first::First,
    health::Pass,
    resume::{Resumed, Splice},
    run::{Run, note, watched},
};
use crate::{
    base::{BoxError, hops, time::Instant},
    body::Body,
    classify::{Class, Outcome, class_of_result},
};

impl<S, R> Run<S>
where
    S: Service<Request<Body>, Response = Response<R>> + Clone + Send + Sync + 'static,
    S::Error: Into<BoxError>,
    S::Future: Send,
    R: HttpBody<Data = Bytes> + Send + 'static,
    R::Error: Into<BoxError> + 'static,
{
    pub(super) async fn run(mut self) -> Result<Response<Body>, BoxError> {
        let (mut at, mut pass) = self.begin(Instant::now())?;
        if at > 0 {
            self.shared.stats.passed_over.inc();
        }
        loop {
            let result = self.send(at, pass.is_probe()).await;
            let class = class_of_result(&result);
            let result = match result {
                Ok(response) if class.is_success() => {
                    return Ok(self.answer(at, response, pass, class));
                }
                failure => failure,
            };
            self.ended = hops::ended(&result).or(self.ended);
            pass.finish(&class);
            self.asked.push((at, class));
            let Some((to, ticket)) = self.next(Instant::now()) else {
                return self.fail(at, result);
            };
            if self.first.is_none() {
                self.first = Some(First::keep(result, self.by(at)).await);
            }
            self.shared.stats.fallbacks.inc();
            (at, pass) = (to, ticket);
        }
    }

    /// Hands an answer on. Its target is judged at its end.
    fn answer(
        self,
        at: usize,
        mut response: Response<R>,
        pass: Pass,
        class: Class,
    ) -> Response<Body> {
        if self.first.is_some() {
            self.shared.stats.rescued.inc();
        }
        let by = self.by(at);
        note(self.record.as_ref(), &by);
        response.extensions_mut().insert(by);
        let splice = self.splice(&response);
        let (head, body) = watched(response, pass, class).into_parts();
        let body = match splice {
            Some(splice) => Body::new(Resumed::new(
                body,
                splice,
                Box::new(Continuation { run: self, at }),
            )),
            None => body,
        };
        Response::from_parts(head, body)
    }

    /// How the answer can be joined with another one, if it is a stream and that is wanted.
    fn splice(&self, response: &Response<R>) -> Option<Splice> {
        let wanted = self.resumes() && response.status() == StatusCode::OK;
        let dialect = wanted.then(|| self.dialect())??;
        Splice::of(dialect, response)
    }

    /// All that were asked failed. The first error is shown, unless the last target's answer is a verdict in place of an
    /// answer, which says more.
    fn fail(
        mut self,
        at: usize,
        result: Result<Response<R>, BoxError>,
    ) -> Result<Response<Body>, BoxError> {
        let last = self.asked.last().map(|(_, class)| class.outcome);
        let verdict = matches!(last, Some(Outcome::ContentFilter | Outcome::OutputInvalid))
            && result.as_ref().is_ok_and(|r| r.status().is_success());
        let (mut result, by) = match self.first.take() {
            Some(first) if !verdict => {
                self.shared.stats.exhausted.inc();
                (first.result, first.by)
            }
            _ => (result.map(|r| r.map(Body::new)), self.by(at)),
        };
        note(self.record.as_ref(), &by);
        if let Some(why) = self.ended {
            hops::end(&mut result, why);
        }
        result.map(|mut response| {
            response.extensions_mut().insert(by);
            response
        })
    }
}
