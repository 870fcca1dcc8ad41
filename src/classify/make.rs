//! Where the classifier of an attempt comes from.

use ::http::{Extensions, HeaderMap, Method, Uri};

use super::Classifier;
use crate::body::Context;

/// Makes a [`Classifier`] for each attempt.
pub trait MakeClassifier {
    /// The classifier of one attempt.
    type Classifier: Classifier;

    /// A classifier for the response to this request.
    fn classifier(
        &self,
        method: &Method,
        uri: &Uri,
        headers: &HeaderMap,
        extensions: &Extensions,
    ) -> Self::Classifier;

    /// The same where it also matters which attempt it is.
    fn for_attempt(
        &self,
        _attempt: Option<&Context>,
        method: &Method,
        uri: &Uri,
        headers: &HeaderMap,
        extensions: &Extensions,
    ) -> Self::Classifier {
        self.classifier(method, uri, headers, extensions)
    }
}
