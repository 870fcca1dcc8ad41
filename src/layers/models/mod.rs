//! Models by other names: which one a caller's word stands for, and the list of all that may be asked for.
//!
//! [`AliasLayer`] asks for another model than the caller named, in the path or the body, and changes no other byte.
//! [`ListLayer`] answers the lists of models that SDKs ask for, in the shape of their API.
//!
//! Aliases stand behind the route and the reading of the call, and before limits and fallbacks: routes see what callers say,
//! targets what is meant. The answer's `model` stays as the provider says it.

mod alias;
mod list;
mod shape;

pub use self::{
    alias::{Alias, AliasLayer},
    list::{List, ListLayer, ResponseBody},
};
