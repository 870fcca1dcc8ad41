//! Trace context propagation.
