//! Tables after openzipkin/b3-propagation's README.

use super::*;

const TRACE: &str = "80f198ee56343ba864fe8b2a57d3eff7";
const SPAN: &str = "e457b5a2e4d86bd1";
const PARENT_ID: &str = "05e3ac9a4f6e3b90";

fn headers(all: &[(&'static str, &str)]) -> HeaderMap {
    let mut headers = HeaderMap::new();
    for (name, value) in all {
        headers.append(*name, HeaderValue::from_str(value).unwrap());
    }
    headers
}

/// (trace, span, parent, sampled, debug) in words, `-` for what is absent.
fn told(extracted: Option<Extracted>) -> String {
    match extracted {
        None => "nothing".into(),
        Some(Extracted {
            context: Some(c), ..
        }) => {
            let parent = c.parent.map_or_else(|| "-".into(), |p| p.to_string());
            format!(
                "{} {} {parent} {:?} {}",
                c.trace_id, c.span_id, c.sampled, c.debug
            )
        }
        Some(e) => format!("{:?} {}", e.sampled, e.debug),
    }
}

#[test]
fn single_table() {
    for (sent, expected) in [
        (
            format!("{TRACE}-{SPAN}"),
            format!("{TRACE} {SPAN} - None false"),
        ),
        (
            format!("{TRACE}-{SPAN}-1"),
            format!("{TRACE} {SPAN} - Some(true) false"),
        ),
        (
            format!("{TRACE}-{SPAN}-0"),
            format!("{TRACE} {SPAN} - Some(false) false"),
        ),
        (
            format!("{TRACE}-{SPAN}-d"),
            format!("{TRACE} {SPAN} - Some(true) true"),
        ),
        (
            format!("{TRACE}-{SPAN}-1-{PARENT_ID}"),
            format!("{TRACE} {SPAN} {PARENT_ID} Some(true) false"),
        ),
        (
            format!("{}-{SPAN}-1", &TRACE[16..]),
            format!("{} {SPAN} - Some(true) false", &TRACE[16..]),
        ),
        ("0".into(), "Some(false) false".into()),
        ("1".into(), "Some(true) false".into()),
        ("d".into(), "Some(true) true".into()),
        ("2".into(), "nothing".into()),
        (String::new(), "nothing".into()),
        (TRACE.into(), "nothing".into()),
        (format!("{TRACE}-"), "nothing".into()),
        (format!("{TRACE}-{SPAN}-"), "nothing".into()),
        (format!("{TRACE}-{SPAN}-2"), "nothing".into()),
        (format!("{TRACE}-{SPAN}-1-x"), "nothing".into()),
        (format!("{TRACE}-{SPAN}-1-{PARENT_ID}-"), "nothing".into()),
        (format!("{TRACE}-{SPAN}-{PARENT_ID}"), "nothing".into()),
        (format!("{}-{SPAN}-1", &TRACE[1..]), "nothing".into()),
        (format!("{}-{SPAN}-1", "0".repeat(32)), "nothing".into()),
        (format!("{}-{SPAN}-1", "0".repeat(16)), "nothing".into()),
        (format!("{TRACE}-{}-1", "0".repeat(16)), "nothing".into()),
        (format!("+{}-{SPAN}-1", &TRACE[1..]), "nothing".into()),
    ] {
        let all = headers(&[("b3", &sent)]);
        assert_eq!(told(extract_single(&all)), expected, "{sent}");
    }
}

#[test]
fn multi_table() {
    type Sent<'a> = &'a [(&'static str, &'a str)];
    let ids = [("x-b3-traceid", TRACE), ("x-b3-spanid", SPAN)];
    let cases: &[(Sent<'_>, &str)] = &[
        (&[], "None false"),
        (&[("x-b3-sampled", "1")], "Some(true) false"),
        (&[("x-b3-sampled", "0")], "Some(false) false"),
        (&[("x-b3-sampled", "true")], "Some(true) false"),
        (&[("x-b3-sampled", "False")], "Some(false) false"),
        (&[("x-b3-sampled", "yes")], "None false"),
        (&[("x-b3-sampled", "d")], "None false"),
        (&[("x-b3-flags", "1")], "Some(true) true"),
        (&[("x-b3-flags", "0")], "None false"),
        (
            &[("x-b3-flags", "1"), ("x-b3-sampled", "0")],
            "Some(true) true",
        ),
        (
            &[("x-b3-sampled", "0"), ("x-b3-sampled", "1")],
            "Some(false) false",
        ),
        (&[("x-b3-parentspanid", "x")], "None false"),
    ];
    for (more, expected) in cases {
        let with_ids = headers(&[&ids[..], more].concat());
        assert_eq!(
            told(extract_multi(&with_ids)),
            format!("{TRACE} {SPAN} - {expected}"),
            "{more:?}"
        );
        let alone = match *expected {
            "None false" => "nothing",
            decided => decided,
        };
        assert_eq!(told(extract_multi(&headers(more))), alone, "{more:?}");
    }
    let all = headers(&[&ids[..], &[("x-b3-parentspanid", PARENT_ID)]].concat());
    assert_eq!(
        told(extract_multi(&all)),
        format!("{TRACE} {SPAN} {PARENT_ID} None false")
    );
    for half in [&ids[..1], &ids[1..]] {
        assert_eq!(told(extract_multi(&headers(half))), "nothing");
    }
    let upper = TRACE.to_uppercase();
    let all = headers(&[("x-b3-traceid", &upper), ids[1]]);
    assert_eq!(
        told(extract_multi(&all)),
        format!("{TRACE} {SPAN} - None false")
    );
}

#[test]
fn what_goes_out_is_what_came_in() {
    let child = |state: &str| format!("{TRACE}-{SPAN}{state}");
    for state in ["", "-0", "-1", "-d"] {
        let context = extract_single(&headers(&[("b3", &child(state))]));
        let mut context = context.unwrap().context.unwrap();
        let mut out = HeaderMap::new();
        inject_single(&context, &mut out);
        assert_eq!(out["b3"], child(state));

        context.parent = SpanId::new(1);
        inject_multi(&context, &Ids::of(&context), &mut out);
        assert_eq!(out["x-b3-traceid"], TRACE);
        assert_eq!(out["x-b3-spanid"], SPAN);
        assert_eq!(out["x-b3-parentspanid"], "0000000000000001");
        let decision = match state {
            "-0" => (Some("0"), None),
            "-1" => (Some("1"), None),
            "-d" => (None, Some("1")),
            _ => (None, None),
        };
        let text = |name: HeaderName| out.get(name).map(|v| v.to_str().unwrap());
        assert_eq!((text(SAMPLED), text(FLAGS)), decision, "{state}");
    }
}

#[test]
fn a_short_trace_id_stays_short() {
    let sent = headers(&[("x-b3-traceid", "00000000000000ff"), ("x-b3-spanid", SPAN)]);
    let context = extract_multi(&sent).unwrap().context.unwrap();
    let mut out = HeaderMap::new();
    inject_multi(&context, &Ids::of(&context), &mut out);
    inject_single(&context, &mut out);
    assert_eq!(out["x-b3-traceid"], "00000000000000ff");
    assert_eq!(out["b3"], format!("00000000000000ff-{SPAN}"));
}
