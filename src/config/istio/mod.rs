//! Istio's own kinds.

pub(super) mod client_tls;
pub(super) mod destination_rule;
mod export_to;
mod extras;
mod format;
mod headers;
pub(super) mod http_match;
mod http_route;
mod l4;
mod locality;
pub(super) mod mesh_config;
pub(super) mod outlier;
pub(super) mod pool;
mod readonly;
pub(super) mod retries;
mod retry_budget;
mod rewrite;
pub(super) mod rule;
pub(super) mod service_entry;
pub(super) mod traffic_policy;
pub(super) mod virtual_service;
pub(super) mod workload;

pub(super) use self::readonly::{check as check_read_only, check_annotations};
