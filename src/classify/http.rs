//! Classification: http.
