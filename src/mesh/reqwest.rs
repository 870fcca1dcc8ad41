//! The mesh behind reqwest's own types, so that code which builds requests with reqwest stays.

use http::uri::Scheme;

use reqwest::{Request, RequestBuilder, Response};
use tower::{ServiceBuilder, ServiceExt, util::BoxCloneSyncService};

use super::{
    client::{MeshClient, Way},
    handle::Mesh,
};
use crate::{
    base::{BoxError, time::Instant},
    body::Body,
    client::reqwest::{ReqwestClient, from_reqwest, to_response},
};

/// A reqwest client and a mesh: requests for hosts of the mesh go through the mesh, others through the client.
///
/// What belongs to the client itself does not come along to hosts of the mesh: its default headers, redirects, cookies,
/// proxies, timeouts. What the request says does, its own timeout included.
///
/// # Examples
/// ```no_run
/// # async fn run() -> Result<(), llmesh::base::BoxError> {
/// let mesh = llmesh::mesh::Mesh::from_path("mesh/").await?;
/// let client = mesh.reqwest(reqwest::Client::new());
/// let request = client.get_ref().post("http://llm-service/api/llm/chat").body("{}");
/// let answer = client.send(request).await?.text().await?;
/// # drop(answer);
/// # Ok(())
/// # }
/// ```
#[derive(Clone, Debug)]
pub struct MeshReqwest {
    client: reqwest::Client,
    mesh: MeshClient,
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
            mesh: self
                .client()
                .with_passthrough(BoxCloneSyncService::new(through)),
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
        let (url, snapshot) = (request.url(), self.mesh.snapshot());
        let scheme = Scheme::try_from(url.scheme()).ok();
        let host = url.host_str().unwrap_or_default();
        match self.mesh.way(&snapshot, host, scheme.as_ref())? {
            Way::Mesh => self.mesh.execute(request).await,
            // As it is: reqwest knows more of it than the conversion keeps.
            Way::Through => Ok(self.client.execute(request).await?),
        }
    }

    /// Builds and sends a request.
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
