//! Reading trees: every value knows its path, and every problem is reported rather than the first.
//!
//! An [`Object`] remembers which fields were asked for; when it is dropped it reports the others as unknown, with the
//! nearest name it was asked for. Null counts as absent. Readers return `None` where the value is absent or wrong; what
//! was wrong has been reported by then.

mod field;
mod forms;
mod nearest;
mod object;
mod scalars;
pub(super) mod shape;

pub(super) use self::{
    field::{Cx, Field},
    nearest::nearest,
    object::Object,
    scalars::Least,
};

#[cfg(test)]
mod tests;
