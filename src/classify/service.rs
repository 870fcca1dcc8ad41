//! Classification: service.
