//! `outlierDetection`.

use std::collections::BTreeSet;

use crate::{
    config::{
        decode::{Field, Least, Object},
        diagnostic::Place,
    },
    layers::outlier::params::Params,
};

/// An `outlierDetection`.
#[derive(Clone, Debug)]
pub(in crate::config) struct OutlierBlock {
    pub(in crate::config) place: Place,
    pub(in crate::config) params: Params,
    /// The panic threshold in percent.
    pub(in crate::config) min_health_percent: u32,
    /// The settings it gives.
    pub(in crate::config) given: Vec<String>,
}

/// Reads an `outlierDetection`.
pub(super) fn read(field: &Field<'_>) -> Option<OutlierBlock> {
    let object = field.object()?;
    let mut params = Params::default();
    let count = |name| object.get(name).and_then(|f: Field<'_>| f.u32());
    if let Some(errors) = count("consecutive5xxErrors") {
        params.consecutive_5xx = errors;
    }
    if let Some(old) = object.get("consecutiveErrors") {
        let hint = "use `consecutiveGatewayErrors`, which is what it means";
        old.warn("deprecated", "`consecutiveErrors` is deprecated", hint);
        params.consecutive_gateway = old.u32().unwrap_or_default();
    }
    if let Some(gateway) = object.get("consecutiveGatewayErrors")
        && let Some(errors) = gateway.u32()
    {
        params.consecutive_gateway = errors;
        warn_of_no_effect(&gateway, errors, params.consecutive_5xx);
    }
    local_origin(&object, &mut params);
    let time = |name| {
        object
            .get(name)
            .and_then(|f: Field<'_>| f.duration(Least::Millisecond))
    };
    if let Some(interval) = time("interval") {
        params.interval = interval;
    }
    if let Some(base) = time("baseEjectionTime") {
        params = params.with_base_ejection(base);
    }
    let percent = |name| {
        let percent = object.get(name)?.int(0, 100)?;
        u32::try_from(percent).ok()
    };
    if let Some(max) = percent("maxEjectionPercent") {
        params.max_ejection_percent = max;
    }
    params.error_statuses = error_statuses(&object);
    Some(OutlierBlock {
        place: field.place(),
        params,
        min_health_percent: percent("minHealthPercent").unwrap_or_default(),
        given: object.names().map(str::to_owned).collect(),
    })
}

fn warn_of_no_effect(field: &Field<'_>, gateway: u32, any: u32) {
    if gateway > 0 && any > 0 && gateway >= any {
        field.warn(
            "gateway-errors-without-effect",
            format!(
                "`consecutiveGatewayErrors: {gateway}` adds nothing: every gateway error is a 5xx too, and {any} of those in a row eject already"
            ),
            "lower it, or set `consecutive5xxErrors: 0` to eject on gateway errors only",
        );
    }
}

fn local_origin(object: &Object<'_>, params: &mut Params) {
    params.split_local = object
        .bool("splitExternalLocalOriginErrors")
        .unwrap_or_default();
    if let Some(field) = object.get("consecutiveLocalOriginFailures")
        && let Some(failures) = field.u32()
    {
        params.consecutive_local = failures;
        if failures > 0 && !params.split_local {
            field.error(
                "local-failures-without-split",
                "it counts only where local failures are counted apart",
                "add `splitExternalLocalOriginErrors: true`",
            );
        }
    }
}

fn error_statuses(object: &Object<'_>) -> BTreeSet<u16> {
    object
        .list("outlierDetectionHttpErrorCodes")
        .iter()
        .filter_map(|code| u16::try_from(code.int(100, 599)?).ok())
        .collect()
}
