//! `localityLbSetting` and `warmup` of a load balancer (Istio semantics 2.3).

use super::format::NOT_EMPTY;
use crate::config::decode::{
    Field,
    shape::{Fields, Rule, Shape, UINT32},
};

pub(super) static LOCALITY: Shape = Shape::Object(&Fields {
    fields: &[
        ("enabled", Shape::Bool),
        ("distribute", Shape::List(&DISTRIBUTE)),
        ("failover", Shape::List(&FAILOVER)),
        ("failoverPriority", Shape::List(&Shape::Str)),
    ],
    rules: &[
        Rule::AtMostOne(&["distribute", "failover"]),
        Rule::Check(check_priority),
        Rule::Check(|setting| {
            let from = setting.items("distribute");
            let from: Vec<_> = from
                .iter()
                .filter_map(|entry| entry.step("from"))
                .filter_map(|from| Some((from.str_quietly()?, from)))
                .collect();
            check_localities(&from);
        }),
    ],
});

pub(super) static WARMUP: Shape = Shape::Object(&Fields {
    fields: &[
        ("duration", Shape::Duration),
        ("minimumPercent", Shape::Number(0.0, 100.0)),
        ("aggression", Shape::Number(1.0, f64::MAX)),
    ],
    rules: &[Rule::All(&["duration"])],
});

static DISTRIBUTE: Shape = Shape::Object(&Fields {
    fields: &[
        ("from", Shape::Str),
        ("to", Shape::Map(&NOT_EMPTY, &UINT32)),
    ],
    rules: &[Rule::Check(check_shares)],
});

static FAILOVER: Shape = Shape::Object(&Fields {
    fields: &[("from", Shape::Str), ("to", Shape::Str)],
    rules: &[Rule::Check(check_failover)],
});

/// Shares go from 1 to 100 and sum to 100.
fn check_shares(entry: &Field<'_>) {
    let Some(to) = entry.step("to").filter(|to| !to.is_null()) else {
        let message = "the shares of localities sum to 0, not 100";
        entry.error("locality-shares", message, "add `to`");
        return;
    };
    let shares = to.entries_of();
    let mut sum = 0_i64;
    for (_, share) in &shares {
        let value = share.int_quietly().unwrap_or_default();
        if !(1..=100).contains(&value) {
            share.error("locality-shares", "a share is between 1 and 100", "");
            return;
        }
        sum += value;
    }
    if sum != 100 {
        let message = format!("the shares of localities sum to {sum}, not 100");
        to.error("locality-shares", message, "");
    }
    check_localities(&shares);
}

/// Localities are `region/zone/subzone`, with a wildcard at the end or not, and none covers another.
fn check_localities(localities: &[(&str, Field<'_>)]) {
    let wrong = |field: &Field<'_>, why: &str| {
        let hint = "region/zone/subzone, `*` for what follows";
        field.error("bad-locality", why, hint);
    };
    let mut seen: Vec<Vec<&str>> = Vec::new();
    for (text, field) in localities {
        if text.contains('*') && text.find('*') != Some(text.len() - 1) {
            wrong(field, "a wildcard stands at the end, once");
            continue;
        }
        let parts: Vec<_> = text.splitn(3, '/').collect();
        if parts.iter().any(|part| part.is_empty()) {
            wrong(field, "a part of the locality is empty");
            continue;
        }
        // A region alone stands for all that is in it.
        let bare: Vec<_> = parts.into_iter().filter(|part| *part != "*").collect();
        if seen
            .iter()
            .any(|other| other.starts_with(&bare) || bare.starts_with(other))
        {
            wrong(field, "it overlaps one that was given before");
        }
        seen.push(bare);
    }
}

fn check_failover(entry: &Field<'_>) {
    let from = entry.peek_str(&["from"]).unwrap_or_default();
    let to = entry.peek_str(&["to"]).unwrap_or_default();
    if from == to {
        entry.error("bad-locality", "a region does not stand in for itself", "");
    } else if [from, to].iter().any(|region| region.contains(['/', '*'])) {
        let hint = "only the region: no zones and no wildcards";
        entry.error("bad-locality", "failover is between regions", hint);
    }
}

fn check_priority(setting: &Field<'_>) {
    const TOPOLOGY: [&str; 3] = [
        "topology.kubernetes.io/region",
        "topology.kubernetes.io/zone",
        "topology.istio.io/subzone",
    ];
    if setting.given("failover").is_none() {
        return;
    }
    for (text, field) in setting.texts("failoverPriority") {
        if TOPOLOGY.contains(&text) {
            let message = format!("{text} and `failover` exclude each other");
            field.error("one-of", message, "keep one of them");
        }
    }
}
