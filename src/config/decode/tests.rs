use std::{sync::Arc, time::Duration};

use super::*;
use crate::config::{
    diagnostic::{Diagnostic, Origin, Report, Severity},
    document,
};

/// Reads a document with `read`; gives what was reported.
fn findings(text: &str, read: impl FnOnce(Object<'_>)) -> Vec<Diagnostic> {
    let documents = document::parse(text);
    let node = documents[0].root.as_ref().expect("it parses");
    let report = Report::default();
    let cx = Cx {
        report: &report,
        origin: Arc::new(Origin::default()),
    };
    read(Field::root(cx, node).object().expect("a mapping"));
    report.into_sorted()
}

fn rules(found: &[Diagnostic]) -> Vec<(&str, &str, u32)> {
    found
        .iter()
        .map(|d| (d.rule, d.path.as_str(), d.line))
        .collect()
}

#[test]
fn what_is_not_asked_for_is_unknown() {
    let found = findings("a: 1\nper_try: 2\nother: {x: 1}\n", |object| {
        assert_eq!(object.get("a").and_then(|a| a.u32()), Some(1));
        assert!(object.get("perTry").is_none());
    });
    assert_eq!(
        rules(&found),
        [
            ("unknown-field", "per_try", 2),
            ("unknown-field", "other", 3)
        ]
    );
    assert_eq!(found[0].hint, "did you mean `perTry`?");
    assert_eq!(found[1].hint, "");
}

#[test]
fn lenient_objects_accept_anything() {
    let found = findings("a: 1\nb:\n", |object| {
        let object = object.lenient();
        assert!(object.get("b").is_none());
    });
    assert_eq!(found, []);
}

#[test]
fn null_is_absent_with_a_warning() {
    let found = findings("a:\nb: ~\n", |object| {
        assert!(object.get("a").is_none());
        assert!(object.raw("b").is_some_and(|b| b.is_null()));
    });
    assert_eq!(rules(&found), [("null-value", "a", 1)]);
    assert_eq!(found[0].severity, Severity::Warning);
}

#[test]
fn types_and_ranges() {
    let text = "s: 1\ni: \"1\"\nf: 1.5\nw: 2.0\nb: \"true\"\np: 70000\nl: x\nm: []\nd: 5\nn: -1\n";
    let found = findings(text, |o| {
        assert_eq!(o.get("s").and_then(|v| v.str()), None);
        assert_eq!(o.get("i").and_then(|v| v.u32()), None);
        assert_eq!(o.get("f").and_then(|v| v.u32()), None);
        assert_eq!(o.get("w").and_then(|v| v.u32()), Some(2));
        assert_eq!(o.get("b").and_then(|v| v.bool()), None);
        assert_eq!(o.get("p").and_then(|v| v.port()), None);
        assert!(o.list("l").is_empty());
        assert!(o.object("m").is_none());
        assert_eq!(o.get("d").and_then(|v| v.duration(Least::Zero)), None);
        assert_eq!(o.get("n").and_then(|v| v.count()), None);
    });
    assert_eq!(
        rules(&found),
        [
            ("wrong-type", "s", 1),
            ("wrong-type", "i", 2),
            ("wrong-type", "f", 3),
            ("wrong-type", "b", 5),
            ("out-of-range", "p", 6),
            ("wrong-type", "l", 7),
            ("wrong-type", "m", 8),
            ("bad-duration", "d", 9),
            ("out-of-range", "n", 10),
        ]
    );
    assert_eq!(found[1].hint, "remove the quotes: 1");
}

#[test]
fn durations_of_istio() {
    let read = |text: &str, least| {
        let mut value = None;
        let found = findings(&format!("d: {text}\n"), |o| {
            value = o.get("d").and_then(|d| d.duration(least));
        });
        assert_eq!(value.is_none(), !found.is_empty(), "{text}");
        value
    };
    let ms = Duration::from_millis;
    assert_eq!(read("1ms", Least::Millisecond), Some(ms(1)));
    assert_eq!(read("0s", Least::Millisecond), None);
    assert_eq!(read("0s", Least::Zero), Some(Duration::ZERO));
    assert_eq!(read("500us", Least::Zero), None);
    assert_eq!(read("1.5ms", Least::Millisecond), None);
    assert_eq!(read("1h0.5s", Least::Millisecond), Some(ms(3_600_500)));
}

#[test]
fn percentages() {
    for (text, value) in [
        ("0", Some(0.0)),
        ("50.5", Some(50.5)),
        ("100", Some(100.0)),
        ("100.1", None),
        ("0.00001", None),
        ("-1", None),
        (".nan", None),
        ("\"5\"", None),
    ] {
        findings(&format!("p: {text}\n"), |o| {
            assert_eq!(o.get("p").and_then(|p| p.percent()), value, "{text}");
        });
    }
}

#[test]
fn exclusive_fields() {
    let found = findings("a: 1\nb: 2\n", |o| {
        assert_eq!(o.one_of(&["b", "a"]), Some("b"));
        assert_eq!(o.one_of(&["c"]), None);
    });
    assert_eq!(rules(&found), [("one-of", "", 1)]);
}

#[test]
fn paths_are_written_as_people_write_them() {
    let found = findings("a:\n- b: {x.y: [1]}\n", |o| {
        let item = o.list("a")[0].object().expect("a mapping");
        for (_, list) in item.get("b").expect("b").entries() {
            list.list()[0].error("x", "here", "");
        }
    });
    assert_eq!(rules(&found), [("x", "a[0].b[\"x.y\"][0]", 2)]);
}

#[test]
fn the_nearest_name() {
    let names = ["timeout", "retries", "perTryTimeout", "match"];
    for (text, near) in [
        ("timout", Some("timeout")),
        ("Timeout", Some("timeout")),
        ("per_try_timeout", Some("perTryTimeout")),
        ("retires", Some("retries")),
        ("matches", Some("match")),
        ("x", None),
    ] {
        assert_eq!(nearest(text, names), near, "{text}");
    }
    assert_eq!(nearest(&"x".repeat(1000), names), None);
}
