use ::http::Request;
use http_body_util::BodyExt;

use super::*;
use crate::testing::body::Script;

fn naming(kind: &str) -> Naming {
    let request = Request::post("/v1/x").header("content-type", kind);
    Naming::of(&request.body(()).unwrap().into_parts().0).unwrap()
}

/// What is read of a body that comes in pieces of this size.
fn read(kind: &str, body: &[u8], piece: usize) -> Named {
    let mut naming = naming(kind);
    body.chunks(piece).for_each(|bytes| naming.push(bytes));
    naming.named().clone()
}

fn model(body: &str) -> Option<String> {
    let whole = read("application/json", body.as_bytes(), usize::MAX);
    for piece in [1, 2, 3, 7] {
        assert_eq!(
            read("application/json", body.as_bytes(), piece),
            whole,
            "{body}"
        );
    }
    whole.model().map(|m| m.to_string())
}

#[test]
fn a_model_is_read_where_it_stands_at_the_top() {
    let late = format!(
        r#"{{"messages":["{}"],"model":"m"}}"#,
        "x".repeat(2_000_000)
    );
    for (body, expected) in [
        (r#"{"model":"m"}"#, Some("m")),
        ("\n {\t\"model\" :\r\n\"m\" , \"x\" : 1}", Some("m")),
        ("\u{feff}{\"model\":\"m\"}", Some("m")),
        (
            r#"{"messages":[{"model":"in","x":"}]\\\"{"}],"n":-1.5e3,"t":true,"model":"m"}"#,
            Some("m"),
        ),
        (r#"{"\u006dodel":"m"}"#, Some("m")),
        (r#"{"\u006D\u006f\u0064\u0065\u006c":"m"}"#, Some("m")),
        (r#"{"Model":"m"}"#, Some("m")),
        (r#"{"model":"a\/b\u00e9\""}"#, Some("a/bé\"")),
        (r#"{"model":"m""#, Some("m")),
        (r#"{"x":{"model":"in"}}"#, None),
        (r#"{"x":"model","y":"m"}"#, None),
        (r#"{"model\\":"m"}"#, None),
        (r#"{"xmodel":"m","modelx":"m","":"m"}"#, None),
        (r#"{"model":""}"#, None),
        (r#"{"model":"a\nb"}"#, None),
        (r#"{"model":"\ud800"}"#, None),
        (r#"{"model":null}"#, None),
        (r#"{"model":7,"x":1}"#, None),
        (r#"{"model":{"model":"in"}}"#, None),
        (r#"{"model":["m"]}"#, None),
        (r#"[{"model":"m"}]"#, None),
        (r#""model""#, None),
        (r#"{}{"model":"m"}"#, None),
        (r#"{"model""#, None),
        (r#"{"model":"m"#, None),
        (r#"{'model':'m'}"#, None),
        ("no JSON", None),
        ("", None),
    ] {
        assert_eq!(model(body).as_deref(), expected, "{body}");
    }
    assert_eq!(
        read("application/json", late.as_bytes(), 4096)
            .model()
            .map(|m| &**m),
        Some("m")
    );
    let long = format!(r#"{{"model":"{}"}}"#, "m".repeat(512));
    assert_eq!(model(&long).map(|m| m.len()), Some(512));
    let longer = format!(r#"{{"model":"{}"}}"#, "m".repeat(513));
    assert_eq!(model(&longer), None);
    let longest = format!(r#"{{"model":"{}"}}"#, "m".repeat(100_000));
    assert_eq!(model(&longest), None);
    let escaped = format!(r#"{{"model":"{}"}}"#, "\\u006d".repeat(512));
    assert_eq!(model(&escaped).map(|m| m.len()), Some(512));
}

#[test]
fn a_second_name_is_noticed_whichever_parser_would_take_it() {
    for (body, again, differs) in [
        (r#"{"model":"a","model":"a"}"#, true, false),
        (
            r#"{"model":"a","x":{"model":"b"},"y":["model","b"]}"#,
            false,
            false,
        ),
        (r#"{"model":"a","model":"b"}"#, true, true),
        (r#"{"model":"a","mode\u006c":"b"}"#, true, true),
        (r#"{"model":"a","MODEL":"b"}"#, true, true),
        (r#"{"model":"a","model":null}"#, true, true),
        (r#"{"model":null,"model":"a"}"#, true, true),
        (r#"{"model":1,"model":2}"#, true, false),
    ] {
        for piece in [1, 5, 1000] {
            let named = read("application/json", body.as_bytes(), piece);
            assert_eq!((named.again, named.differs), (again, differs), "{body}");
        }
    }
}

#[test]
fn a_model_is_where_a_tree_would_have_it() {
    use proptest::prelude::*;
    let leaf = prop_oneof![
        Just("null".to_owned()),
        Just("-1.5e+3".to_owned()),
        r#""[a-z{}\[\],:]{0,6}""#.prop_map(|s| s),
        Just(r#""\"\\\u0041""#.to_owned()),
    ];
    let value = leaf.prop_recursive(3, 24, 4, |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..4).prop_map(|v| format!("[{}]", v.join(" ,"))),
            prop::collection::vec((r"[a-c]|model", inner), 0..3).prop_map(|v| {
                let members: Vec<_> = v.iter().map(|(k, v)| format!("\"{k}\":{v}")).collect();
                format!("{{{}}}", members.join(","))
            }),
        ]
    });
    let members = prop::collection::vec((r"[a-c]|model|\\u006dodel", value), 0..5);
    proptest!(|(members in members, piece in 1..40_usize)| {
        let members: Vec<_> = members.iter().map(|(k, v)| format!("\"{k}\": {v}")).collect();
        let body = format!("{{{}}}", members.join(", "));
        let tree: serde_json::Value = serde_json::from_str(&body).unwrap();
        let named = read("application/json", body.as_bytes(), piece);
        prop_assert_eq!(named.first.is_some(), tree.get("model").is_some());
        if !named.differs {
            let last = tree.get("model").and_then(|m| m.as_str()).filter(|m| !m.is_empty());
            prop_assert_eq!(named.model().map(|m| &**m), last);
        }
        if let Some((Some(name), place)) = named.first {
            let raw = &body[place.start as usize..place.end as usize];
            let name = name.to_string();
            prop_assert_eq!(serde_json::from_str::<String>(raw).unwrap(), name);
        }
    });
}

/// A form of these parts.
fn form(parts: &[(&str, &[u8])]) -> Vec<u8> {
    let mut body = Vec::new();
    for (head, content) in parts {
        body.extend_from_slice(b"--b0\r\n");
        body.extend_from_slice(head.as_bytes());
        body.extend_from_slice(b"\r\n\r\n");
        body.extend_from_slice(content);
        body.extend_from_slice(b"\r\n");
    }
    body.extend_from_slice(b"--b0--\r\n");
    body
}

#[test]
fn a_form_names_its_model_in_a_field() {
    const MODEL: &str = "Content-Disposition: form-data; name=\"model\"";
    const FILE: &str = "content-disposition: form-data; name=\"file\"; filename=\"model\"\r\ncontent-type: audio/wav";
    let sound = [b"RIFF\r\n--b\r\r\n\0\xff\r".as_slice(), &[b'-'; 9000]].concat();
    for (parts, expected, differs) in [
        (
            &[(MODEL, b"whisper-1".as_slice())][..],
            Some("whisper-1"),
            false,
        ),
        (
            &[(FILE, sound.as_slice()), (MODEL, b"whisper-1")],
            Some("whisper-1"),
            false,
        ),
        (
            &[(MODEL, b"whisper-1"), (FILE, &sound)],
            Some("whisper-1"),
            false,
        ),
        (
            &[(MODEL, b"a"), (FILE, &sound), (MODEL, b"b")],
            Some("a"),
            true,
        ),
        (&[(FILE, &sound)], None, false),
        (&[(MODEL, b"")], None, false),
        (&[(MODEL, &[b'm'; 5000])], None, false),
        (&[("x: y", b"model"), ("name=model", b"m")], None, false),
        (
            &[("content-disposition: form-data; name=model", b"m")],
            Some("m"),
            false,
        ),
        (&[], None, false),
    ] {
        let body = form(parts);
        for piece in [1, 3, 100, usize::MAX] {
            let named = read("multipart/form-data; boundary=b0", &body, piece);
            assert_eq!(named.model().map(|m| &**m), expected, "{piece}");
            assert_eq!(named.differs, differs);
        }
    }
}

#[test]
fn what_is_no_json_and_no_form_is_not_read() {
    let of = |method: &str, headers: &[(&str, &str)]| {
        let mut request = Request::builder().method(method);
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        Naming::of(&request.body(()).unwrap().into_parts().0).is_some()
    };
    let json = ("content-type", "application/json; charset=utf-8");
    assert!(
        of("POST", &[json])
            && of("POST", &[])
            && of("POST", &[json, ("content-encoding", "identity")])
    );
    assert!(of(
        "POST",
        &[("content-type", "application/x-www-form-urlencoded")]
    ));
    assert!(of("POST", &[("content-type", "application/vnd.api+json")]));
    assert!(!of("GET", &[json]) && !of("PUT", &[json]));
    assert!(!of("POST", &[json, ("content-encoding", "gzip")]));
    for kind in [
        "application/grpc",
        "application/grpc+json",
        "application/octet-stream",
        "application/x-ndjson",
        "audio/wav",
        "multipart/form-data",
        "multipart/mixed; boundary=x",
    ] {
        assert!(!of("POST", &[("content-type", kind)]), "{kind}");
    }
}

async fn whole(frames: &[&str], repeats: bool) -> Result<String, Kind> {
    let script = frames.iter().fold(Script::new(), |script, frame| {
        script.data(frame.to_string())
    });
    let (naming, body) = find(naming("application/json"), Whole::new(script.body())).await;
    let body = naming.watch(body, repeats).map_err(|e| e.kind())?;
    match body.collect().await {
        Ok(bytes) => Ok(String::from_utf8(bytes.to_bytes().to_vec()).unwrap()),
        Err(error) => Err(crate::base::error::find(&*error).unwrap().kind()),
    }
}

#[tokio::test]
async fn what_follows_the_name_is_watched_as_it_passes() {
    let bad = Err(Kind::BadRequest);
    for (frames, repeats, expected) in [
        (
            &[r#"{"model":"a","#, r#""x":1}"#][..],
            true,
            Ok(r#"{"model":"a","x":1}"#.to_owned()),
        ),
        (&[r#"{"model":"a","#, r#""model":"b"}"#], true, bad.clone()),
        (
            &[r#"{"model":"a","#, r#""mo"#, r#"del":"b""#, "}"],
            true,
            bad.clone(),
        ),
        (&[r#"{"model":"a","model":"b"}"#], true, bad.clone()),
        (
            &[r#"{"model":"a","#, r#""model":"a"}"#],
            true,
            Ok(r#"{"model":"a","model":"a"}"#.to_owned()),
        ),
        (&[r#"{"model":"a","#, r#""model":"a"}"#], false, bad.clone()),
        (&["[1", ",2]"], true, Ok("[1,2]".to_owned())),
    ] {
        assert_eq!(whole(frames, repeats).await, expected, "{frames:?}");
    }
}
