//! Istio YAML and requests to expected decisions.
