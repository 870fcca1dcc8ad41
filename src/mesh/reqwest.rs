//! The mesh behind reqwest's own types, so that code which builds requests with reqwest stays.

use std::{fmt::Display, time::Duration};

use reqwest::{
    IntoUrl, Method, Request, RequestBuilder, Response,
    header::{HeaderMap, HeaderName, HeaderValue},
};
use tower::{ServiceBuilder, ServiceExt};

use super::{
    client::{MeshClient, Way},
    handle::Mesh,
};
use crate::{
    base::{BoxError, time::Instant},
    body::Body,
    client::reqwest::{ReqwestClient, from_reqwest, to_response},
    stack::Boxed,
};

/// A reqwest client and a mesh: requests for hosts of the mesh go through the mesh, others through the client as it is.
///
/// URLs stay as they are: `https://` and `http://` both reach a host of the mesh that speaks TLS (see [`MeshClient`]), and
/// the client's own TLS settings hold for the hosts that the mesh does not know.
///
/// What belongs to the client itself does not come along to hosts of the mesh: its default headers, redirects, cookies,
/// proxies, certificates, timeouts. What the request says does, its own timeout included.
///
/// # Examples
/// ```no_run
/// # async fn run() -> Result<(), llmesh::base::BoxError> {
/// let mesh = llmesh::mesh::Mesh::from_path("mesh/").await?;
/// let client = mesh.reqwest(reqwest::Client::new());
/// let answer = client.post("http://llm-service/api/llm/chat").body("{}").send().await?.text().await?;
/// # drop(answer);
/// # Ok(())
/// # }
/// ```
#[derive(Clone, Debug)]
pub struct MeshReqwest {
    client: reqwest::Client,
    mesh: MeshClient,
}

/// A request under construction whose [`send`](Self::send) goes the way of its [`MeshReqwest`].
#[derive(Debug)]
#[must_use = "nothing is sent before send()"]
pub struct MeshRequest {
    client: MeshReqwest,
    builder: RequestBuilder,
}

// === impl Mesh ===

impl Mesh {
    /// A client that takes reqwest's requests. `client` builds them, and reaches the hosts that the mesh does not know.
    #[must_use]
    pub fn reqwest(&self, client: reqwest::Client) -> MeshReqwest {
        let through = ServiceBuilder::new()
            .map_response(|response: http::Response<_>| response.map(Body::new))
            .service(ReqwestClient::new(client.clone()));
        MeshReqwest {
            client,
            mesh: self.client().with_passthrough(Boxed::new(through)),
        }
    }
}

// === impl MeshClient ===

impl MeshClient {
    /// Sends a request that was built with reqwest. Its timeout is a deadline.
    ///
    /// # Errors
    /// As the service's: an [`Error`](crate::base::Error) in a [`BoxError`].
    ///
    /// # Cancel safety
    /// As the service's.
    pub async fn execute(&self, request: Request) -> Result<Response, BoxError> {
        let url = request.url().clone();
        let request = from_reqwest(request, Instant::now())?;
        let response = self.clone().oneshot(request).await?;
        Ok(to_response(response, url))
    }
}

// === impl MeshReqwest ===

impl MeshReqwest {
    /// Begins a `GET`.
    pub fn get(&self, url: impl IntoUrl) -> MeshRequest {
        self.request(Method::GET, url)
    }

    /// Begins a `POST`.
    pub fn post(&self, url: impl IntoUrl) -> MeshRequest {
        self.request(Method::POST, url)
    }

    /// Begins a `PUT`.
    pub fn put(&self, url: impl IntoUrl) -> MeshRequest {
        self.request(Method::PUT, url)
    }

    /// Begins a `PATCH`.
    pub fn patch(&self, url: impl IntoUrl) -> MeshRequest {
        self.request(Method::PATCH, url)
    }

    /// Begins a `DELETE`.
    pub fn delete(&self, url: impl IntoUrl) -> MeshRequest {
        self.request(Method::DELETE, url)
    }

    /// Begins a `HEAD`.
    pub fn head(&self, url: impl IntoUrl) -> MeshRequest {
        self.request(Method::HEAD, url)
    }

    /// Begins a request of this method.
    pub fn request(&self, method: Method, url: impl IntoUrl) -> MeshRequest {
        MeshRequest {
            client: self.clone(),
            builder: self.client.request(method, url),
        }
    }

    /// The reqwest client, to build requests with. What it sends itself does not go through the mesh.
    #[must_use]
    pub const fn get_ref(&self) -> &reqwest::Client {
        &self.client
    }

    /// The mesh client, for `http::Request`s. It reaches unknown hosts through the reqwest client.
    #[must_use]
    pub const fn mesh(&self) -> &MeshClient {
        &self.mesh
    }

    /// Sends a request.
    ///
    /// # Errors
    /// As [`MeshClient`]'s for hosts of the mesh, reqwest's own for others.
    ///
    /// # Cancel safety
    /// As [`MeshClient`]'s.
    pub async fn execute(&self, request: Request) -> Result<Response, BoxError> {
        let host = request.url().host_str().unwrap_or_default();
        match self.mesh.way(&self.mesh.snapshot(), host)? {
            Way::Mesh => self.mesh.execute(request).await,
            // As it is: reqwest knows more of it than the conversion keeps.
            Way::Through => Ok(self.client.execute(request).await?),
        }
    }

    /// Sends what was built with reqwest's own builder, whose `send` would not go through the mesh.
    ///
    /// # Errors
    /// As [`execute`](Self::execute), and reqwest's if it cannot be built.
    ///
    /// # Cancel safety
    /// As [`MeshClient`]'s.
    pub async fn send(&self, request: RequestBuilder) -> Result<Response, BoxError> {
        self.execute(request.build()?).await
    }
}

// === impl MeshRequest ===

impl MeshRequest {
    /// Adds a header.
    pub fn header<K, V>(self, name: K, value: V) -> Self
    where
        HeaderName: TryFrom<K>,
        <HeaderName as TryFrom<K>>::Error: Into<http::Error>,
        HeaderValue: TryFrom<V>,
        <HeaderValue as TryFrom<V>>::Error: Into<http::Error>,
    {
        self.with(|builder| builder.header(name, value))
    }

    /// Sets these headers, in place of those of the same names.
    pub fn headers(self, headers: HeaderMap) -> Self {
        self.with(|builder| builder.headers(headers))
    }

    /// Sets `Authorization: Bearer`.
    pub fn bearer_auth(self, token: impl Display) -> Self {
        self.with(|builder| builder.bearer_auth(token))
    }

    /// Sets the body.
    pub fn body(self, body: impl Into<reqwest::Body>) -> Self {
        self.with(|builder| builder.body(body))
    }

    /// Sets the body, as JSON, and its content type.
    pub fn json(self, body: &(impl serde::Serialize + ?Sized)) -> Self {
        self.with(|builder| builder.json(body))
    }

    /// Sets the limit over all attempts and the response body.
    pub fn timeout(self, timeout: Duration) -> Self {
        self.with(|builder| builder.timeout(timeout))
    }

    /// Goes on with reqwest's own builder, for all that it can (queries, forms, multipart bodies).
    pub fn with(mut self, edit: impl FnOnce(RequestBuilder) -> RequestBuilder) -> Self {
        self.builder = edit(self.builder);
        self
    }

    /// Sends it.
    ///
    /// # Errors
    /// As [`MeshReqwest::execute`], and reqwest's if the request cannot be built.
    ///
    /// # Cancel safety
    /// As [`MeshClient`]'s.
    pub async fn send(self) -> Result<Response, BoxError> {
        self.client.send(self.builder).await
    }
}
