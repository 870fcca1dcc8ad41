//! The shape of the house: floor rules and public types.
