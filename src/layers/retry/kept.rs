//! The head of a request that may be sent again.

use http::{
    Extensions, HeaderMap, HeaderName, HeaderValue, Method, Request, Uri, Version, request::Parts,
};

/// What is kept of a head. Its headers are a list: it is one allocation, and is hashed again only where the request is sent again.
pub(super) struct Kept {
    method: Method,
    uri: Uri,
    version: Version,
    headers: Vec<(HeaderName, HeaderValue)>,
    extensions: Extensions,
}

// === impl Kept ===

impl Kept {
    pub(super) fn of(head: &Parts) -> Self {
        let headers = head.headers.iter();
        Self {
            method: head.method.clone(),
            uri: head.uri.clone(),
            version: head.version,
            headers: headers.map(|(n, v)| (n.clone(), v.clone())).collect(),
            extensions: head.extensions.clone(),
        }
    }

    /// The head once more.
    pub(super) fn head(&self) -> Parts {
        let mut headers = HeaderMap::with_capacity(self.headers.len());
        for (name, value) in &self.headers {
            headers.append(name, value.clone());
        }
        let (mut head, ()) = Request::new(()).into_parts();
        head.method = self.method.clone();
        head.uri = self.uri.clone();
        head.version = self.version;
        head.headers = headers;
        head.extensions = self.extensions.clone();
        head
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_head_comes_back_as_it_was() {
        let mut request = Request::post("http://a/b?c")
            .version(Version::HTTP_2)
            .header("x-b", "1")
            .header("x-a", "1")
            .header("x-b", "2")
            .body(())
            .unwrap();
        let mut secret = HeaderValue::from_static("k");
        secret.set_sensitive(true);
        request.headers_mut().insert("authorization", secret);
        request.extensions_mut().insert(7_u8);
        let (head, ()) = request.into_parts();
        let again = Kept::of(&head).head();
        assert_eq!(again.method, head.method);
        assert_eq!(again.uri, head.uri);
        assert_eq!(again.version, head.version);
        assert_eq!(again.headers, head.headers);
        assert!(
            again.headers.iter().eq(head.headers.iter()),
            "in their order"
        );
        assert!(again.headers["authorization"].is_sensitive());
        assert_eq!(again.extensions.get::<u8>(), Some(&7));
    }
}
