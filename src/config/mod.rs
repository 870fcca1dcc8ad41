//! Floor 4: Istio and Kubernetes YAML to the model.
