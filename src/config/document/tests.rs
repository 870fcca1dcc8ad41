use super::*;

fn root(text: &str) -> Node {
    let mut documents = parse(text);
    assert_eq!(documents.len(), 1, "{text}");
    let document = documents.remove(0);
    assert_eq!(document.problems, [], "{text}");
    document.root.expect("it has a root")
}

fn at<'n>(node: &'n Node, key: &str) -> &'n Node {
    let Value::Map(entries) = &node.value else {
        panic!("no mapping");
    };
    &entries
        .iter()
        .find(|(k, _)| k.text == key)
        .expect("it has the key")
        .1
}

fn text(value: &str) -> Value {
    Value::Str(value.to_owned())
}

#[test]
fn values_know_their_place() {
    let root = root("# c\na:\n  - b: 1\n    \"c\": 'x'\n");
    let Value::Seq(items) = &at(&root, "a").value else {
        panic!("no list");
    };
    let c = at(&items[0], "c");
    assert_eq!((&c.value, c.line, c.column), (&text("x"), 4, 10));
    let b = at(&items[0], "b");
    assert_eq!((&b.value, b.line, b.column), (&Value::Int(1), 3, 8));
}

#[test]
fn quoted_and_block_scalars_are_strings() {
    let root = root("a: \"1\"\nb: 'true'\nc: |\n  2\nd: >-\n  x\n  y\ne: !!str 3\nf: 4\n");
    for (key, value) in [
        ("a", text("1")),
        ("b", text("true")),
        ("c", text("2\n")),
        ("d", text("x y")),
        ("e", text("3")),
        ("f", Value::Int(4)),
    ] {
        assert_eq!(at(&root, key).value, value, "{key}");
    }
}

#[test]
fn documents_are_told_apart() {
    for (text, numbers) in [
        ("", vec![]),
        ("# nothing\n", vec![]),
        ("---\n---\n...\n", vec![]),
        ("a: 1\n", vec![1]),
        ("---\na: 1\n---\n\n---\nb: 2\n", vec![1, 4]),
        ("%YAML 1.2\n---\na: 1\n", vec![2]),
        ("# c\n--- # d\na: 1\n...\n---\nb: 1\n", vec![2, 5]),
        ("a: 1\r\n---\r\nb: 2\r\n", vec![0, 2]),
        ("a: |\n  ---\n  x\n", vec![1]),
        ("a: 1\n...\nb: 2\n", vec![1, 3]),
        ("a: 1\n...\n# c\n%YAML 1.1\n---\nb: 2\n", vec![1, 6]),
        ("%TAG ! tag:example.com,2000:\n--- # d\na: 1\n", vec![3]),
        ("%LATER x\n---\na: 1\n", vec![3]),
        ("a: 1\n---\n\u{feff}b: 2\n", vec![1, 3]),
    ] {
        let documents = parse(text);
        assert_eq!(documents.len(), numbers.len(), "{text:?}: {documents:?}");
        assert!(
            documents.iter().all(|d| d.problems.is_empty()),
            "{text:?}: {documents:?}"
        );
        for (number, document) in (1..).zip(&documents) {
            assert_eq!(document.number, number);
        }
    }
}

#[test]
fn lines_count_over_documents() {
    let documents = parse("a: 1\n---\nb: 2\n---\nc: [\n---\nd: 4\n");
    let lines: Vec<_> = documents
        .iter()
        .map(|d| {
            (
                d.root.as_ref().map(|n| n.line),
                d.problems.first().map(|p| p.line),
            )
        })
        .collect();
    assert_eq!(lines[0], (Some(1), None));
    assert_eq!(lines[1], (Some(3), None));
    assert_eq!(lines[2].0, None);
    assert!(lines[2].1.is_some_and(|line| line >= 5));
    assert_eq!(lines[3], (Some(7), None));
}

#[test]
fn aliases_are_copied() {
    let root = root("a: &x {b: 1}\nc: *x\nd: &s e\n*s : f\n");
    assert_eq!(at(at(&root, "c"), "b").value, Value::Int(1));
    assert_eq!(at(&root, "e").value, text("f"));
}

#[test]
fn anchors_end_with_their_document() {
    let documents = parse("a: &x 1\n---\nb: *x\n");
    assert_eq!(documents[1].problems[0].rule, "yaml-unknown-alias");
}

#[test]
fn the_first_of_two_equal_keys_is_kept() {
    let documents = parse("a: 1\nb: 2\na: 3\n\"a\": 4\n");
    let root = documents[0].root.as_ref().expect("a root");
    assert_eq!(at(root, "a").value, Value::Int(1));
    let lines: Vec<_> = documents[0]
        .problems
        .iter()
        .map(|p| (p.rule, p.line))
        .collect();
    assert_eq!(lines, [("duplicate-key", 3), ("duplicate-key", 4)]);
    assert!(documents[0].problems[0].message.contains("line 1"));
}

#[test]
fn json_with_tabs_is_yaml() {
    let root = root("{\n\t\"a\": [1, 2.5, null, true, \"\\u00e9\"]\n}\n");
    let Value::Seq(items) = &at(&root, "a").value else {
        panic!("no list");
    };
    let values: Vec<_> = items.iter().map(|n| n.value.clone()).collect();
    let expected = [
        Value::Int(1),
        Value::Float(2.5),
        Value::Null,
        Value::Bool(true),
        text("é"),
    ];
    assert_eq!(values, expected);
}

#[test]
fn a_byte_order_mark_is_skipped() {
    assert_eq!(at(&root("\u{feff}a: 1\n"), "a").value, Value::Int(1));
}

#[test]
fn merge_keys_add_what_is_missing() {
    let text = "base: &b {x: 1, y: 1}\nmore: &m {y: 2, z: 2}\none:\n  <<: *b\n  x: 0\nlist:\n  <<: [*m, *b]\n  w: 3\ntwice:\n  <<: *b\n  <<: *m\n";
    let root = root(text);
    let int = |of: &str, key: &str| at(at(&root, of), key).value.clone();
    for (of, key, value) in [
        ("one", "x", 0),
        ("one", "y", 1),
        ("list", "w", 3),
        ("list", "y", 2),
        ("list", "x", 1),
        ("twice", "y", 1),
        ("twice", "z", 2),
    ] {
        assert_eq!(int(of, key), Value::Int(value), "{of}.{key}");
    }
    let Value::Map(entries) = &at(&root, "one").value else {
        panic!("no mapping");
    };
    assert_eq!(entries.len(), 2);
    // What is no mapping cannot be merged, and is left to be reported.
    let kept = super::parse("<<: 1\na: 2\n");
    assert!(
        kept[0]
            .root
            .as_ref()
            .is_some_and(|root| root.get("<<").is_some())
    );
}

#[test]
fn indentation_does_not_matter_inside_of_brackets_and_quotes() {
    for (source, key, value) in [
        ("a:\n  h: [\n    x\n  ]\n  k: v\n", "k", "v"),
        ("a:\n    h: [\n    x,\n  y\n]\n    k: v\n", "k", "v"),
        ("a: {\n\"k\": \"v\",\n\"h\": [\n1\n]\n}\n", "k", "v"),
        ("a:\n  h:\n  - [\n  x\n  ]\n  k: v\n", "k", "v"),
        ("a:\n  k: \"v\nw\"\n", "k", "v w"),
        ("a:\n  k: 'v\n\n\nw'\n", "k", "v\n\nw"),
        ("a:\r\n  h: {\r\nx: 1\r\n}\r\n  k: v\r\n", "k", "v"),
    ] {
        let root = root(source);
        assert_eq!(at(at(&root, "a"), key).value, text(value), "{source:?}");
    }
    // Places are those of the text as it is written.
    let root = root("a: {\nk: v,\n  l: w}\n");
    let (k, l) = (at(at(&root, "a"), "k"), at(at(&root, "a"), "l"));
    assert_eq!((k.line, k.column, l.line, l.column), (2, 4, 3, 6));
}

#[test]
fn a_tab_after_a_colon_is_a_blank() {
    let root = root("a:\t1\nb:\n-\tx\nc: 2\t\n\t\n");
    assert_eq!(at(&root, "a").value, Value::Int(1));
    assert_eq!(at(&root, "c").value, Value::Int(2));
}

#[test]
fn long_brackets_are_read_whole() {
    let mut source = String::from("spec: {\n");
    for n in 0..5000 {
        source.push_str(&format!(
            "\"k{n}\": [\n1, # it's }} one\n'a [b',\ndon't\n],\n"
        ));
    }
    source.push_str("}\nafter: [x]\n");
    let root = root(&source);
    let Value::Map(entries) = &at(&root, "spec").value else {
        panic!("no mapping");
    };
    assert_eq!(entries.len(), 5000);
    assert!(matches!(&at(&root, "after").value, Value::Seq(items) if items.len() == 1));
    let text = format!("a:\n  k: \"{}\"\n  l: v\n", "w \\\" x\n".repeat(5000));
    let root = super::parse(&text).remove(0).root.expect("it is read");
    assert_eq!(
        at(at(&root, "a"), "l").value,
        super::Value::Str("v".to_owned())
    );
}

#[test]
fn text_that_is_read_again_is_bounded() {
    // Each is mended on its own.
    let source = "a: {\nb: 1}\n".repeat(20_000);
    assert_eq!(parse(&source).len(), 1);
}

#[test]
fn a_document_says_what_its_text_shows() {
    let all =
        parse("apiVersion: networking.istio.io/v1\nkind: [\n---\na: {{ .Values.x }}\n---\na: [\n");
    let shown: Vec<_> = all.iter().map(|d| (d.names_mesh, d.template)).collect();
    assert_eq!(shown, [(true, false), (false, true), (false, false)]);
}
