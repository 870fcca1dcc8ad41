//! The shape of the house: floor rules, room sizes, public types.

mod layering;
mod rooms;
mod source;
mod types;
