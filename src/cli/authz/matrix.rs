//! Who may call what of which service.

use std::{collections::BTreeSet, process::ExitCode};

use serde_json::json;

use super::known::{Known, labels, named, place};
use crate::{
    authz::{Access, Extent, Fact, Facts, RuleRef, Subject, params::Mode},
    cli::{
        args::{MatrixArgs, Output},
        cannot_run, out,
        table::Table,
    },
    model::Workload,
};

/// What one caller may of one workload.
struct Cell {
    caller: Option<String>,
    host: String,
    labels: String,
    mode: Mode,
    access: Access,
}

pub(super) fn run(args: &MatrixArgs) -> ExitCode {
    let known = match Known::load(&args.input, &args.overlay) {
        Ok(known) => known,
        Err(error) => return cannot_run(format_args!("llmesh: {error}")),
    };
    known.tell_left_out();
    let cells = cells(&known);
    match args.output {
        Output::Json => {
            let all: Vec<_> = cells.iter().map(to_json).collect();
            out(format_args!("{:#}", json!(all)));
        }
        Output::Text => {
            let mut table = Table::new(&["CALLER", "SERVICE", "MTLS", "MAY CALL", "BY"]);
            for cell in &cells {
                let caller = cell.caller.as_deref().unwrap_or("(no certificate)");
                let rules = cell.access.by.iter().chain(&cell.access.except);
                let by: Vec<_> = rules
                    .map(|rule| format!("{} at {}", named(rule), place(rule)))
                    .collect();
                table.row([
                    caller.to_owned(),
                    cell.host.clone(),
                    cell.mode.as_str().to_owned(),
                    may(&cell.access),
                    by.join("; "),
                ]);
            }
            out(format_args!("{table}"));
        }
    }
    ExitCode::SUCCESS
}

/// Of workloads of a service for which all is alike, one is named.
fn cells(known: &Known) -> Vec<Cell> {
    let mut cells: Vec<Cell> = Vec::new();
    let callers = callers(known);
    for workload in &known.model.security.workloads {
        if workload.host.is_empty() {
            continue;
        }
        let engine = known.engine(workload);
        let port = workload.ports.values().next().copied().unwrap_or_default();
        let mode = known.mode(workload, port);
        for caller in &callers {
            let mut facts = Facts::unknown();
            let proved = caller.as_deref().filter(|_| mode != Mode::Disable);
            facts.peer = Fact::known(proved);
            facts.port = Fact::Is(port);
            facts.token = Fact::Absent;
            let mut access = engine.access(&facts);
            if mode == Mode::Strict && caller.is_none() {
                access.extent = Extent::Nothing;
                access.by.clear();
                access.except.clear();
            }
            let cell = Cell {
                caller: caller.clone(),
                host: workload.host.to_string(),
                labels: labels(workload),
                mode,
                access,
            };
            let same = |other: &Cell| {
                other.host == cell.host
                    && other.caller == cell.caller
                    && other.mode == cell.mode
                    && other.access == cell.access
            };
            if !cells.iter().any(same) {
                cells.push(cell);
            }
        }
    }
    cells.sort_by(|a, b| {
        (&a.host, a.caller.is_none(), &a.caller).cmp(&(&b.host, b.caller.is_none(), &b.caller))
    });
    name_apart(&mut cells);
    cells
}

/// Where workloads of one service differ, their labels tell them apart.
fn name_apart(cells: &mut [Cell]) {
    let count = |cells: &[Cell], cell: &Cell| {
        let same = |other: &&Cell| other.host == cell.host && other.caller == cell.caller;
        cells.iter().filter(same).count()
    };
    let several: Vec<bool> = cells.iter().map(|cell| count(cells, cell) > 1).collect();
    for (cell, several) in cells.iter_mut().zip(several) {
        if several {
            cell.host = format!("{} [{}]", cell.host, cell.labels);
        }
    }
}

/// The identities that the files name, and nobody.
fn callers(known: &Known) -> Vec<Option<String>> {
    let security = &known.model.security;
    let of = |workload: &Workload| known.identity(&workload.namespace, &workload.account);
    let mut all: BTreeSet<String> = security.workloads.iter().map(of).collect();
    for rule in security.policies.iter().flat_map(|policy| &policy.rules) {
        let conditions = rule.from.iter().flatten().chain(&rule.when);
        let principals = conditions.filter(|c| c.subject == Subject::Principal);
        let names = principals
            .flat_map(|c| &c.values)
            .filter(|v| !v.contains('*'));
        all.extend(names.map(|name| format!("spiffe://{name}")));
    }
    all.into_iter().map(Some).chain([None]).collect()
}

fn may(access: &Access) -> String {
    let what = |rules: &[RuleRef]| {
        let each = rules.iter().map(|rule| match &*rule.what {
            "" => "all that the rule's caller may",
            what => what,
        });
        each.collect::<Vec<_>>().join(", or ")
    };
    let mut text = match access.extent {
        Extent::Everything => return "everything".to_owned(),
        Extent::Nothing => return "nothing".to_owned(),
        Extent::Some if access.by.is_empty() => "everything".to_owned(),
        Extent::Some => what(&access.by),
    };
    if !access.except.is_empty() {
        text.push_str(&format!(" but not {}", what(&access.except)));
    }
    text
}

fn to_json(cell: &Cell) -> serde_json::Value {
    let rules = |rules: &[RuleRef]| {
        let each = rules.iter().map(|rule| {
            json!({
                "action": rule.policy.action.as_str(),
                "policy": format!("{}/{}", rule.policy.namespace, rule.policy.name),
                "rule": rule.rule,
                "file": &*rule.policy.file,
                "line": rule.line,
                "what": &*rule.what,
            })
        });
        each.collect::<Vec<_>>()
    };
    json!({
        "caller": cell.caller,
        "service": cell.host,
        "labels": cell.labels,
        "mtls": cell.mode.as_str(),
        "access": match cell.access.extent {
            Extent::Everything => "everything",
            Extent::Some => "some",
            Extent::Nothing => "nothing",
        },
        "may": may(&cell.access),
        "by": rules(&cell.access.by),
        "except": rules(&cell.access.except),
    })
}
