//! Classification: transport.
