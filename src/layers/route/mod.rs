//! Which route serves a request, and which of its weighted destinations.
//!
//! A [`Table`] holds virtual hosts; each has an ordered list of routes, of which the first that matches wins. The
//! decision is a pure function of the [`RequestView`], so that it can be tested, listed and dispatched on without a
//! service. [`Route`] is the tower service around it: it decides once per request, draws the destination once, applies
//! rewrites and header operations, and answers redirects and direct responses itself. It stands outside retries, so that
//! all attempts of a request keep the destination they were given.
//!
//! Matching follows Istio's `VirtualService` as Envoy carries it out, see [`matcher`].
//!
//! # Examples
//! ```
//! use llmesh::route::{Outcome, RequestView, Table, params::*};
//!
//! # fn main() -> Result<(), http::Error> {
//! let chat = Forward::new(vec![
//!     Destination::new("outbound|8080|v1|llm", 95),
//!     Destination::new("outbound|8080|v2|llm", 5),
//! ]);
//! let table = Table::builder()
//!     .virtual_host("llm:8080", ["llm", "*.llm"], [8080], vec![Route::new(
//!         "chat",
//!         Action::Forward(Box::new(chat)),
//!     )])
//!     .build();
//!
//! let request = http::Request::get("/v1/chat").header("host", "llm:8080").body(())?;
//! let Outcome::Route(found) = table.find(&RequestView::new(&request)) else {
//!     panic!("the only route matches everything")
//! };
//! assert_eq!(&*found.route.name, "chat");
//! # Ok(())
//! # }
//! ```

mod builder;
mod future;
mod headers;
mod index;
mod layer;
pub mod matcher;
#[cfg(feature = "llm")]
pub mod model;
pub mod params;
#[cfg(feature = "regex")]
mod re2;
#[cfg(feature = "regex")]
mod regex;
pub mod rewrite;
mod scheme;
mod service;
mod table;
mod weighted;

#[cfg(feature = "llm")]
pub use self::model::{ModelLayer, ReadModel};
pub use self::{
    builder::TableBuilder,
    future::{ResponseBody, ResponseFuture},
    layer::RouteLayer,
    matcher::RequestView,
    service::{Route, Router},
    table::{Drawn, Found, Outcome, Table, named_models},
    weighted::Weighted,
};
