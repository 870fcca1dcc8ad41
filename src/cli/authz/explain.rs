//! One request, and the rule that decides.

use std::process::ExitCode;

use http::{Request, header::HOST, request::Parts};
use serde_json::json;

use super::known::{Known, labels, named, place};
use crate::{
    authz::{Decision, Engine, Fact, Facts, RuleRef, params::Mode},
    cli::{
        args::{ExplainArgs, Output},
        cannot_run, err, out,
        table::Table,
    },
    mesh,
    model::Workload,
};

/// The answer for one workload of the service.
struct Answer<'a> {
    workload: &'a Workload,
    mode: Mode,
    /// `None` where the connection is closed before any policy is asked.
    decision: Option<Decision>,
    rules: Vec<(RuleRef, Option<String>)>,
}

pub(super) fn run(args: &ExplainArgs) -> ExitCode {
    let known = match Known::load(&args.input, &args.overlay) {
        Ok(known) => known,
        Err(error) => return cannot_run(format_args!("llmesh: {error}")),
    };
    known.tell_left_out();
    let workloads = called(&known, &args.to);
    let Some(first) = workloads.first() else {
        return cannot_run(format_args!(
            "llmesh: no workload of {} is known: load its Deployment, ServiceEntry or WorkloadEntry too, so that it is known which policies select it",
            args.to
        ));
    };
    let head = match head(args, &known, &first.host) {
        Ok(head) => head,
        Err(why) => return cannot_run(format_args!("llmesh: {why}")),
    };
    let peer = args.from.as_deref().map(|from| peer(&known, first, from));
    let mut answers: Vec<Answer<'_>> = Vec::new();
    for workload in workloads {
        let answer = answer(args, &known, workload, &head, peer.as_deref());
        let same =
            |other: &Answer<'_>| other.decision == answer.decision && other.mode == answer.mode;
        if !answers.iter().any(same) {
            answers.push(answer);
        }
    }
    match args.output {
        Output::Json => out(format_args!(
            "{:#}",
            to_json(&answers, peer.as_deref(), &head)
        )),
        Output::Text => {
            for answer in &answers {
                text(answer, args, peer.as_deref(), &head);
            }
        }
    }
    let allowed = |answer: &Answer<'_>| answer.decision.as_ref().is_some_and(|d| d.allowed);
    if answers.iter().all(allowed) {
        ExitCode::SUCCESS
    } else {
        ExitCode::from(1)
    }
}

/// The workloads of a service, by its full name or a short one.
fn called<'k>(known: &'k Known, to: &str) -> Vec<&'k Workload> {
    let to = to.to_ascii_lowercase();
    let is = |workload: &&Workload| {
        let host = &*workload.host;
        let short = host
            .strip_prefix(&*to)
            .is_some_and(|rest| rest.starts_with('.'));
        !host.is_empty() && (host == to || short)
    };
    known.model.security.workloads.iter().filter(is).collect()
}

/// The request as policies see it.
fn head(args: &ExplainArgs, known: &Known, host: &str) -> Result<Parts, String> {
    let path = if args.path.starts_with('/') {
        args.path.clone()
    } else {
        format!("/{}", args.path)
    };
    let mut request = Request::builder()
        .method(&args.method)
        .uri(&path)
        .body(())
        .map_err(|_| format!("{path:?} is no path"))?;
    let headers = request.headers_mut();
    for (name, value) in &args.headers {
        headers.append(name, value.clone());
    }
    if !headers.contains_key(HOST) {
        let host = host.parse().map_err(|_| format!("{host:?} is no host"))?;
        headers.insert(HOST, host);
    }
    let (mut head, ()) = request.into_parts();
    let form = known.model.settings.normalization;
    mesh::canonical(&mut head, usize::MAX, form).map_err(|refusal| {
        let text = refusal.text();
        format!(
            "no policy is asked, the request is answered {}: {text}",
            refusal.status
        )
    })?;
    Ok(head)
}

fn peer(known: &Known, to: &Workload, from: &str) -> String {
    if from.contains("://") {
        return from.to_owned();
    }
    match from.split_once('/') {
        Some((namespace, account)) if !account.contains('/') => known.identity(namespace, account),
        Some(_) => format!("spiffe://{from}"),
        None => known.identity(&to.namespace, from),
    }
}

fn answer<'k>(
    args: &ExplainArgs,
    known: &Known,
    workload: &'k Workload,
    head: &Parts,
    peer: Option<&str>,
) -> Answer<'k> {
    let mut ports = workload.ports.values();
    let only = ports.next().copied().filter(|_| ports.next().is_none());
    let port = args.port.or(only);
    let mode = known.mode(workload, port.unwrap_or_default());
    let engine: Engine = known.engine(workload);
    let mut facts = Facts::of_head(head);
    // Plain text proves nothing.
    facts.peer = Fact::known(peer.filter(|_| mode != Mode::Disable));
    facts.sni = Fact::Unknown;
    facts.source_ip = Fact::perhaps(args.from_ip);
    facts.remote_ip = Fact::perhaps(args.from_ip);
    facts.port = Fact::perhaps(port);
    let closed = mode == Mode::Strict && peer.is_none();
    Answer {
        workload,
        mode,
        decision: (!closed).then(|| engine.decide(&facts)),
        rules: engine.explain(&facts),
    }
}

fn text(answer: &Answer<'_>, args: &ExplainArgs, peer: Option<&str>, head: &Parts) {
    out(format_args!(
        "{} -> {} [{}], mTLS {}: {} {}",
        peer.unwrap_or("a caller without a certificate"),
        answer.workload.host,
        labels(answer.workload),
        answer.mode.as_str(),
        args.method,
        head.uri,
    ));
    let Some(decision) = &answer.decision else {
        out(format_args!(
            "REFUSED: plain text to a STRICT port is closed without an answer\n"
        ));
        return;
    };
    let verdict = if decision.allowed {
        "ALLOWED"
    } else {
        "REFUSED"
    };
    match &decision.by {
        Some(rule) => out(format_args!(
            "{verdict} by {} at {}",
            named(rule),
            place(rule)
        )),
        None if decision.allowed => out(format_args!(
            "{verdict}: no ALLOW policy is for it, and nothing denies it"
        )),
        None => out(format_args!(
            "{verdict}: no rule of its ALLOW policies matches"
        )),
    }
    if let Some(would) = decision.tried {
        let would = if would { "allow" } else { "refuse" };
        out(format_args!(
            "policies that are only tried out would {would} it"
        ));
    }
    if !answer.rules.is_empty() {
        let mut table = Table::new(&["RULE", "AT", "MATCHES"]);
        for (rule, failing) in &answer.rules {
            let matches = match failing {
                None => "yes".to_owned(),
                Some(failing) => format!("no: {failing}"),
            };
            table.row([named(rule), place(rule), matches]);
        }
        out(format_args!("\n{table}"));
    }
    if answer
        .rules
        .iter()
        .any(|(rule, _)| rule.policy.closed.is_some())
    {
        err(format_args!(
            "a policy that cannot be understood refuses everything that it may be for"
        ));
    }
}

fn to_json(answers: &[Answer<'_>], peer: Option<&str>, head: &Parts) -> serde_json::Value {
    let rule = |rule: &RuleRef| {
        json!({
            "action": rule.policy.action.as_str(),
            "policy": format!("{}/{}", rule.policy.namespace, rule.policy.name),
            "rule": rule.rule,
            "file": &*rule.policy.file,
            "line": rule.line,
            "closed": rule.policy.closed,
        })
    };
    let each = answers.iter().map(|answer| {
        let rules = answer.rules.iter().map(|(known, failing)| {
            let mut value = rule(known);
            value["failing"] = json!(failing);
            value
        });
        json!({
            "to": &*answer.workload.host,
            "labels": answer.workload.labels,
            "mtls": answer.mode.as_str(),
            "allowed": answer.decision.as_ref().is_some_and(|d| d.allowed),
            "details": match &answer.decision {
                Some(decision) if !decision.allowed => Some(decision.details()),
                _ => None,
            },
            "by": answer.decision.as_ref().and_then(|d| d.by.as_ref()).map(rule),
            "rules": rules.collect::<Vec<_>>(),
        })
    });
    json!({
        "from": peer,
        "method": head.method.as_str(),
        "path": head.uri.to_string(),
        "answers": each.collect::<Vec<_>>(),
    })
}
