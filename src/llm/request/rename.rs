//! A request that asks for another model: its body or path, and all that was noted of them.

use ::http::{HeaderValue, request::Parts};
use bytes::{Bytes, BytesMut};
use http_body::Body as _;
use std::sync::Arc;

use super::{
    Call, Unwritable,
    named::{Naming, find},
    rewrite::{quoted, with_model, with_model_in_path},
    sealed::{set_length, without_sums},
};
use crate::{
    base::{
        Error,
        ext::{Buffered, MODEL_HEADER, RequestedModel},
    },
    body::Body,
    llm::Dialect,
};

/// The request with another model, where its whole body is at hand; the body as it is sent then.
///
/// # Errors
/// [`Unwritable`] if there is no place for the model; the head is as it was.
pub(crate) fn rename(
    head: &mut Parts,
    dialect: Dialect,
    body: &Bytes,
    model: &Arc<str>,
) -> Result<Bytes, Unwritable> {
    let (uri, bytes) = with_model(dialect, &head.uri, body, model)?;
    head.uri = uri;
    if bytes != *body {
        without_sums(&mut head.headers);
    }
    set_length(&mut head.headers, bytes.len());
    if let Some(call) = head.extensions.get_mut::<Call>() {
        call.model = Some(Arc::clone(model));
    }
    if let Some(buffered) = head.extensions.get_mut::<Buffered>() {
        buffered.0 = bytes.clone();
    }
    say(head, model);
    Ok(bytes)
}

/// The same where the body is not at hand: it is read until it names its model, and `choose` says which one to ask for instead,
/// if another. The rest streams on as it comes.
///
/// Of a body that names its model again only the first place could be renamed: it fails.
///
/// # Errors
/// [`Kind::BadRequest`](crate::base::Kind::BadRequest) for such a body, where that shows at once.
pub(crate) async fn rename_named(
    head: &mut Parts,
    body: Body,
    choose: impl FnOnce(&str) -> Option<Arc<str>>,
) -> Result<Body, Error> {
    let Some(naming @ Naming::Json(_)) = Naming::of(head).filter(|_| !body.is_end_stream()) else {
        return Ok(body);
    };
    let (naming, mut held) = find(naming, body).await;
    let chosen = naming.named().first.clone();
    let chosen = chosen.and_then(|(name, place)| Some((choose(&name?)?, place)));
    let Some((model, place)) = chosen else {
        return Ok(Body::new(held));
    };
    let (whole, name) = (held.join(), quoted(&model));
    let at = |at: u64| usize::try_from(at).unwrap_or(whole.len()).min(whole.len());
    let (before, after) = (whole.slice(..at(place.start)), whole.slice(at(place.end)..));
    let mut bytes = BytesMut::with_capacity(before.len() + name.len() + after.len());
    for part in [&before[..], name.as_bytes(), &after[..]] {
        bytes.extend_from_slice(part);
    }
    let length = head.headers.get(::http::header::CONTENT_LENGTH);
    let length = length.and_then(|length| length.to_str().ok()?.parse::<usize>().ok());
    if let Some(length) = length {
        let all = (length + bytes.len()).saturating_sub(whole.len());
        set_length(&mut head.headers, all);
    }
    without_sums(&mut head.headers);
    say(head, &model);
    held.replace(bytes.freeze());
    naming.watch(held, false)
}

/// The same for a path that names a model.
pub(crate) fn rename_path(head: &mut Parts, model: &Arc<str>) -> Option<()> {
    head.uri = with_model_in_path(&head.uri, model)?;
    say(head, model);
    Some(())
}

/// Notes which model is asked for.
fn say(head: &mut Parts, model: &Arc<str>) {
    if head.extensions.get::<RequestedModel>().is_some() || head.extensions.get::<Call>().is_some()
    {
        head.extensions.insert(RequestedModel(Arc::clone(model)));
    }
    if head.headers.contains_key(MODEL_HEADER) {
        match HeaderValue::from_bytes(model.as_bytes()) {
            Ok(value) => head.headers.insert(MODEL_HEADER, value),
            Err(_) => head.headers.remove(MODEL_HEADER),
        };
    }
}
