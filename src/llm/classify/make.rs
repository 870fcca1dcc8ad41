//! What makes a classifier for each attempt.

use ::http::{Extensions, HeaderMap, Method, Uri};

use super::{Attempt, Mode};
use crate::{
    body::Context,
    classify::{HttpClassifier, MakeClassifier},
    llm::{
        account::Account,
        coding::Coding,
        dialect::{Api, DialectMode},
    },
};

/// Makes a classifier for each attempt at an LLM service, or at any service under [`DialectMode::Auto`].
///
/// # Examples
/// ```
/// use llmesh::classify::ClassifyLayer;
/// use llmesh::llm::{DialectMode, LlmClassifier};
///
/// let layer = ClassifyLayer::new(LlmClassifier::new(DialectMode::Auto));
/// # let _ = layer;
/// ```
#[derive(Clone, Copy, Debug, Default)]
pub struct LlmClassifier {
    setting: DialectMode,
}

// === impl LlmClassifier ===

impl LlmClassifier {
    /// A maker with this setting.
    #[must_use]
    pub const fn new(setting: DialectMode) -> Self {
        Self { setting }
    }

    /// The classifier of one attempt, outside of any service.
    #[must_use]
    pub fn attempt(&self, method: &Method, uri: &Uri, headers: &HeaderMap) -> Attempt {
        self.attempt_of(Api::of(self.setting, method, uri, headers))
    }

    fn attempt_of(self, api: Api) -> Attempt {
        let mode = match self.setting {
            DialectMode::StatusOnly => Mode::Http(HttpClassifier::default()),
            DialectMode::Auto | DialectMode::Fixed(_) => Mode::Pass,
        };
        Attempt {
            api,
            head: None,
            mode,
            whole: false,
            coding: Coding::Plain,
            buffer: Vec::new(),
            seen: 0,
            usage: None,
            model: None,
            account: None,
        }
    }
}

impl MakeClassifier for LlmClassifier {
    type Classifier = Attempt;

    /// A [`DialectMode`] in the extensions is the route's, and goes before the one given here.
    fn classifier(
        &self,
        method: &Method,
        uri: &Uri,
        headers: &HeaderMap,
        extensions: &Extensions,
    ) -> Attempt {
        self.for_attempt(None, method, uri, headers, extensions)
    }

    fn for_attempt(
        &self,
        context: Option<&Context>,
        method: &Method,
        uri: &Uri,
        headers: &HeaderMap,
        extensions: &Extensions,
    ) -> Attempt {
        let setting = extensions.get::<DialectMode>();
        let setting = setting.copied().unwrap_or(self.setting);
        let api = Api::of_parts(setting, method, uri, headers, extensions);
        let mut attempt = Self::new(setting).attempt_of(api);
        if attempt.api.counts {
            attempt.account = Account::of(context, extensions);
        }
        attempt
    }
}
