//! The W3C trace-context test suite's single-request cases, by parser; `tests/layers/trace.rs` has those over several.

use super::*;

const TRACE: &str = "12345678901234567890123456789012";
const SPAN: &str = "1234567890123456";

fn headers(all: &[(&'static str, &str)]) -> HeaderMap {
    let mut headers = HeaderMap::new();
    for (name, value) in all {
        headers.append(*name, HeaderValue::from_bytes(value.as_bytes()).unwrap());
    }
    headers
}

fn parent(text: &str) -> Option<Context> {
    extract(&headers(&[("traceparent", text)]))?.context
}

fn state(values: &[&str]) -> Option<String> {
    let valid = format!("00-{TRACE}-{SPAN}-00");
    let mut all = vec![("traceparent", valid.as_str())];
    all.extend(values.iter().map(|v| ("tracestate", *v)));
    let context = extract(&headers(&all)).unwrap().context.unwrap();
    let state = context.state?;
    Some(state.to_str().unwrap().to_owned())
}

#[test]
fn traceparent_table() {
    let t = TRACE;
    let s = SPAN;
    let cases = [
        ("as it should be", format!("00-{t}-{s}-01"), true),
        ("blank before", format!(" 00-{t}-{s}-01"), true),
        ("tab before", format!("\t00-{t}-{s}-01"), true),
        ("blank after", format!("00-{t}-{s}-01 "), true),
        ("tab after", format!("00-{t}-{s}-01\t"), true),
        ("both around", format!("\t 00-{t}-{s}-01 \t"), true),
        ("empty", String::new(), false),
        ("version 00, text after", format!("00-{t}-{s}-01."), false),
        (
            "version 00, a field after",
            format!("00-{t}-{s}-01-what-the-future-will-be-like"),
            false,
        ),
        (
            "version 00, a hyphen after",
            format!("00-{t}-{s}-01-"),
            false,
        ),
        ("later version", format!("cc-{t}-{s}-01"), true),
        (
            "later version, fields after",
            format!("cc-{t}-{s}-01-what-the-future-will-be-like"),
            true,
        ),
        (
            "later version, text after",
            format!("cc-{t}-{s}-01.what-the-future-will-be-like"),
            false,
        ),
        ("version ff", format!("ff-{t}-{s}-01"), false),
        ("version .0", format!(".0-{t}-{s}-01"), false),
        ("version 0.", format!("0.-{t}-{s}-01"), false),
        ("upper-case version", format!("CC-{t}-{s}-01"), false),
        ("version of three", format!("000-{t}-{s}-01"), false),
        ("version of four", format!("0000-{t}-{s}-01"), false),
        ("version of one", format!("0-{t}-{s}-01"), false),
        (
            "trace id zero",
            format!("00-{}-{s}-01", "0".repeat(32)),
            false,
        ),
        (
            "trace id starts with .",
            format!("00-.{}-{s}-01", &t[1..]),
            false,
        ),
        (
            "trace id ends with .",
            format!("00-{}.-{s}-01", &t[1..]),
            false,
        ),
        ("trace id too long", format!("00-{t}3-{s}-01"), false),
        (
            "trace id too short",
            format!("00-{}-{s}-01", &t[1..]),
            false,
        ),
        (
            "upper-case trace id",
            format!("00-ABCDEF{}-{s}-01", &t[6..]),
            false,
        ),
        (
            "parent id zero",
            format!("00-{t}-{}-01", "0".repeat(16)),
            false,
        ),
        (
            "parent id starts with .",
            format!("00-{t}-.{}-01", &s[1..]),
            false,
        ),
        (
            "parent id ends with .",
            format!("00-{t}-{}.-01", &s[1..]),
            false,
        ),
        ("parent id too long", format!("00-{t}-{s}7-01"), false),
        (
            "parent id too short",
            format!("00-{t}-{}-01", &s[1..]),
            false,
        ),
        ("flags .0", format!("00-{t}-{s}-.0"), false),
        ("flags 0.", format!("00-{t}-{s}-0."), false),
        ("flags of three", format!("00-{t}-{s}-001"), false),
        ("flags of one", format!("00-{t}-{s}-1"), false),
        ("a sign is no digit", format!("00-{t}-{s}-+1"), false),
    ];
    for (what, text, valid) in cases {
        assert_eq!(parent(&text).is_some(), valid, "{what}: {text:?}");
    }
}

#[test]
fn flags_are_sampled_and_random() {
    for (flags, sampled, random) in [
        ("00", false, false),
        ("01", true, false),
        ("02", false, true),
        ("03", true, true),
        ("ff", true, true),
        ("fc", false, false),
    ] {
        let context = parent(&format!("00-{TRACE}-{SPAN}-{flags}")).unwrap();
        assert_eq!((context.sampled, context.random), (Some(sampled), random));
        let mut out = HeaderMap::new();
        inject(&context, &Ids::of(&context), &mut out);
        let known = u8::from(sampled) | (u8::from(random) << 1);
        assert_eq!(out["traceparent"], format!("00-{TRACE}-{SPAN}-{known:02x}"));
    }
}

#[test]
fn a_later_version_goes_on_as_00() {
    let context = parent(&format!("cc-{TRACE}-{SPAN}-01-more")).unwrap();
    let mut out = HeaderMap::new();
    inject(&context, &Ids::of(&context), &mut out);
    assert_eq!(out["traceparent"], format!("00-{TRACE}-{SPAN}-01"));
}

#[test]
fn several_traceparents_are_none() {
    let valid = format!("00-{TRACE}-{SPAN}-01");
    let twice = headers(&[("traceparent", &valid), ("traceparent", &valid)]);
    assert_eq!(extract(&twice), None);
}

#[test]
fn other_names_are_not_it() {
    let valid = format!("00-{TRACE}-{SPAN}-01");
    for name in ["trace-parent", "trace.parent"] {
        assert_eq!(extract(&headers(&[(name, &valid)])), None);
    }
    for name in ["trace-state", "trace.state"] {
        let all = headers(&[("traceparent", &valid), (name, "foo=1")]);
        assert_eq!(extract(&all).unwrap().context.unwrap().state, None);
    }
}

#[test]
fn tracestate_without_traceparent_is_not_looked_at() {
    assert_eq!(extract(&headers(&[("tracestate", "foo=1")])), None);
    let bad = headers(&[("traceparent", "00-1-2-3"), ("tracestate", "foo=1")]);
    assert_eq!(extract(&bad), None);
}

#[test]
fn tracestate_table() {
    let key = "abcdefghijklmnopqrstuvwxyz0123456789_-*/";
    let value: String = (0x20..=0x7e_u8)
        .filter(|b| !matches!(b, b',' | b'='))
        .map(char::from)
        .collect();
    let all_characters = format!("{key}={value}");
    let with_vendor = format!("{key}@a-z0-9_-*/={value}");
    let digit_first = "0foo=1,1t@v=2";
    let cases: &[(&str, &[&str], Option<&str>)] = &[
        ("two members", &["foo=1,bar=2"], Some("foo=1,bar=2")),
        ("empty", &[""], None),
        ("empty after", &["foo=1", ""], Some("foo=1")),
        ("empty before", &["", "foo=1"], Some("foo=1")),
        ("empty members", &["foo=1,,bar=2,"], Some("foo=1,bar=2")),
        (
            "several headers, in order",
            &["foo=1,bar=2", "rojo=1,congo=2", "baz=3"],
            Some("foo=1,bar=2,rojo=1,congo=2,baz=3"),
        ),
        ("a key twice", &["foo=1,foo=1"], Some("foo=1")),
        (
            "a key twice, other value",
            &["foo=1,bar=3,foo=2"],
            Some("foo=1,bar=3"),
        ),
        (
            "a key twice over headers",
            &["foo=1", "foo=1"],
            Some("foo=1"),
        ),
        (
            "a key twice over headers, other value",
            &["foo=1", "foo=2"],
            Some("foo=1"),
        ),
        ("a key twice, once with a bad value", &["foo=1,foo="], None),
        ("all characters", &[&all_characters], Some(&all_characters)),
        (
            "all characters, vendor",
            &[&with_vendor],
            Some(&with_vendor),
        ),
        ("digit first", &[digit_first], Some(digit_first)),
        (
            "blanks",
            &["foo=1 \t , \t bar=2, \t baz=3"],
            Some("foo=1,bar=2,baz=3"),
        ),
        (
            "tabs",
            &["foo=1\t \t,\t \tbar=2,\t \tbaz=3"],
            Some("foo=1,bar=2,baz=3"),
        ),
        ("blank before", &[" foo=1"], Some("foo=1")),
        ("tab before", &["\tfoo=1"], Some("foo=1")),
        ("blank after", &["foo=1 "], Some("foo=1")),
        ("tab after", &["foo=1\t"], Some("foo=1")),
        ("around", &["\t foo=1 \t"], Some("foo=1")),
        ("blank in the key", &["foo =1"], None),
        ("upper case", &["FOO=1"], None),
        ("dot in the key", &["foo.bar=1"], None),
        ("an at sign last", &["foo@=1,bar=2"], Some("foo@=1,bar=2")),
        ("an at sign first", &["@foo=1,bar=2"], None),
        ("two at signs", &["foo@@bar=1"], Some("foo@@bar=1")),
        ("three parts", &["foo@bar@baz=1"], Some("foo@bar@baz=1")),
        ("a digit behind an at sign", &["foo@1=1"], Some("foo@1=1")),
        ("an underscore first", &["_foo=1,bar=2"], None),
        ("a slash first", &["/foo=1,bar=2"], None),
        ("equals sign in the value", &["foo=bar=baz"], None),
        ("empty value", &["foo=,bar=3"], None),
        ("no value", &["foo"], None),
        ("control character", &["foo=a\tb"], None),
        ("no ASCII", &["foo=ä"], None),
    ];
    for (what, sent, expected) in cases {
        assert_eq!(state(sent).as_deref(), *expected, "{what}");
    }
}

#[test]
fn tracestate_limits() {
    let members = |n: usize| {
        let all: Vec<_> = (1..=n).map(|i| format!("bar{i:02}={i:02}")).collect();
        all.join(",")
    };
    assert_eq!(state(&[&members(32)]), Some(members(32)));
    assert_eq!(state(&[&members(33)]), None);
    let split = members(33).find("bar20").unwrap();
    let (front, back) = (&members(33)[..split], &members(33)[split..]);
    assert_eq!(state(&[front, back]), None);
    assert_eq!(state(&[front, &back[..back.len() - 9]]), Some(members(32)));
    let key = |n: usize| format!("{}=1", "z".repeat(n));
    assert_eq!(state(&["foo=1", &key(256)]).unwrap().len(), 5 + 1 + 258);
    assert_eq!(state(&["foo=1", &key(257)]), None);
    let pair = |t: usize, v: usize| format!("{}@{}=1", "t".repeat(t), "v".repeat(v));
    for (before, after) in [(241, 14), (242, 13), (1, 254)] {
        assert!(state(&["foo=1", &pair(before, after)]).is_some());
    }
    assert_eq!(state(&["foo=1", &pair(242, 14)]), None);
    // A repeated key is none more.
    let repeated = format!("{},bar01=33", members(32));
    assert_eq!(state(&[&repeated]), Some(members(32)));
    let value = |n: usize| format!("foo={}", "v".repeat(n));
    assert!(state(&[&value(256)]).is_some());
    assert_eq!(state(&[&value(257)]), None);
}

#[test]
fn of_more_than_512_characters_large_members_go_first_then_the_last() {
    let member = |key: &str, n: usize| format!("{key}={}", "v".repeat(n - key.len() - 1));
    // 100 + 200 + 100 + 110 and three commas: 513.
    let all = [
        member("a", 100),
        member("b", 200),
        member("c", 100),
        member("d", 110),
    ];
    let kept = [all[0].clone(), all[2].clone(), all[3].clone()].join(",");
    assert_eq!(state(&[&all.join(",")]), Some(kept));
    let small: Vec<_> = ["a", "b", "c", "d", "e"].map(|k| member(k, 120)).into();
    assert_eq!(state(&[&small.join(",")]), Some(small[..4].join(",")));
    let fits = [member("a", 255), member("b", 256)].join(",");
    assert_eq!(fits.len(), 512);
    assert_eq!(state(&[&fits]), Some(fits));
}
