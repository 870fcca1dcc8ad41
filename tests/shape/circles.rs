//! No file imports one that imports it, directly or round several.

use std::collections::{BTreeMap, BTreeSet};

use crate::{
    modules::{Imports, imports},
    source,
};

/// Circles that stand until their rooms are rebuilt: the files of each. One that is untied is struck from here.
const EXCUSED: [&[&str]; 4] = [
    &[
        "layers/deadline/body.rs",
        "layers/deadline/future.rs",
        "layers/deadline/service.rs",
    ],
    &[
        "layers/limit/learned/bucket.rs",
        "layers/limit/learned/mod.rs",
        "layers/limit/learned/read.rs",
    ],
    &[
        "layers/outlier/future.rs",
        "layers/outlier/group.rs",
        "layers/outlier/layer.rs",
        "layers/outlier/service.rs",
    ],
    &[
        "layers/stream/body.rs",
        "layers/stream/call.rs",
        "layers/stream/hold.rs",
        "layers/stream/open.rs",
    ],
];

/// The circles among files: each a set of files of which every one reaches every other.
fn circles(imports: &Imports) -> Vec<BTreeSet<&str>> {
    let mut above: BTreeMap<&str, BTreeSet<&str>> = imports
        .iter()
        .map(|(from, to)| (from.as_str(), to.keys().map(String::as_str).collect()))
        .collect();
    // What imports nothing that is left is in no circle.
    let mut left = usize::MAX;
    while above.len() < left {
        left = above.len();
        let files: BTreeSet<&str> = above.keys().copied().collect();
        above.retain(|_, to| {
            to.retain(|file| files.contains(file));
            !to.is_empty()
        });
    }
    let reach = |start: &str| {
        let (mut seen, mut next) = (BTreeSet::new(), vec![start]);
        while let Some(file) = next.pop() {
            for to in above.get(file).into_iter().flatten() {
                if seen.insert(*to) {
                    next.push(to);
                }
            }
        }
        seen
    };
    let mut out: Vec<BTreeSet<&str>> = Vec::new();
    for file in above.keys() {
        if out.iter().any(|circle| circle.contains(file)) {
            continue;
        }
        let there = reach(file);
        if there.contains(file) {
            let back = |other: &&str| reach(other).contains(file);
            out.push(there.into_iter().filter(back).collect());
        }
    }
    out
}

/// A circle in words: what ties it.
fn told(circle: &BTreeSet<&str>, imports: &Imports) -> String {
    let mut lines = format!("a circle of {} files:", circle.len());
    for from in circle {
        for (to, names) in imports.get(*from).into_iter().flatten() {
            if circle.contains(to.as_str()) {
                let names: Vec<&str> = names.iter().map(String::as_str).collect();
                lines += &format!("\n  {from} -> {to}: {}", names.join(", "));
            }
        }
    }
    lines
}

#[test]
fn files_form_no_circle() {
    let files = source::texts();
    let imports = imports(files.iter().map(|(path, text)| (&**path, &**text)));
    let found = circles(&imports);
    let excuses =
        |files: &[&str], circle: &BTreeSet<&str>| circle.iter().all(|file| files.contains(file));
    let bad: Vec<String> = found
        .iter()
        .filter(|circle| !EXCUSED.iter().any(|files| excuses(files, circle)))
        .map(|circle| told(circle, &imports))
        .collect();
    assert!(
        bad.is_empty(),
        "move what both sides need to a file below them:\n{}",
        bad.join("\n")
    );
    for files in EXCUSED {
        assert!(
            found.iter().any(|circle| excuses(files, circle)),
            "this circle is gone, strike it from the list: {files:?}"
        );
    }
}

/// The circles of made-up files, each as its paths in order.
fn of(files: &[(&str, &str)]) -> Vec<Vec<String>> {
    let imports = imports(files.iter().copied());
    let files = |circle: &BTreeSet<&str>| circle.iter().map(|file| (*file).to_owned()).collect();
    circles(&imports).iter().map(files).collect()
}

const ROOT: (&str, &str) = ("lib.rs", "pub mod a; pub use crate::a as short;");
const A: (&str, &str) = ("a/mod.rs", "mod x;\nmod y;\nmod z;");

#[test]
fn two_files_that_name_each_other_are_a_circle() {
    for back in [
        "use crate::a::x::X; fn y(_: X) {}",
        "use super::x::X; fn y(_: X) {}",
        "use self::super::x::X as Other; fn y(_: Other) {}",
        "use crate::{a::{x::{self, X}, z::Z}}; fn y(_: X, _: Z) {}",
        "use super::x; fn y(_: x::X) {}",
        "fn y(_: super::x::X) {}",
        "fn y(_: crate::short::x::X) {}",
        "use super::x::*; fn y(_: X) {}",
        "fn y() { use super::x::X; let _ = X::new(); }",
    ] {
        let files = [
            ROOT,
            A,
            ("a/x.rs", "use super::y::y; pub struct X;"),
            ("a/y.rs", back),
            ("a/z.rs", "pub struct Z;"),
        ];
        assert_eq!(of(&files), [["a/x.rs", "a/y.rs"]], "{back}");
    }
}

#[test]
fn a_circle_may_go_round_several() {
    let files = [
        ROOT,
        A,
        ("a/x.rs", "pub struct X(super::y::Y);"),
        ("a/y.rs", "use super::z::Z; pub struct Y(Z);"),
        ("a/z.rs", "use crate::a::x::X; pub struct Z(Box<X>);"),
    ];
    assert_eq!(of(&files), [["a/x.rs", "a/y.rs", "a/z.rs"]]);
}

#[test]
fn a_name_that_is_handed_on_is_of_the_file_that_defines_it() {
    // Both import through `a`, which only hands names on; and its own type is below both.
    let signpost = "mod x; mod y; pub use self::{x::X, y::Y as Other}; pub struct Own;";
    let straight = [
        ROOT,
        ("a/mod.rs", signpost),
        (
            "a/x.rs",
            "use super::{Other, Own}; pub struct X(Other, Own);",
        ),
        ("a/y.rs", "use crate::a::Own; pub struct Y(Own);"),
    ];
    assert!(of(&straight).is_empty(), "{:?}", of(&straight));
    let back = ("a/y.rs", "use crate::short::X; pub struct Y(Box<X>);");
    let tied = [straight[0], straight[1], straight[2], back];
    assert_eq!(of(&tied), [["a/x.rs", "a/y.rs"]]);
    // What it makes use of itself it does import.
    let own = "mod x; mod y; pub use self::x::X; pub struct Own; fn make() -> X { X }";
    let upward = [
        ROOT,
        ("a/mod.rs", own),
        ("a/x.rs", "use super::Own; pub struct X(Own);"),
        ("a/y.rs", ""),
    ];
    assert_eq!(of(&upward), [["a/mod.rs", "a/x.rs"]]);
}

#[test]
fn tests_comments_texts_and_other_crates_tie_nothing() {
    for back in [
        "#[cfg(test)] mod tests { use crate::a::x::X; }",
        "#[cfg(test)]\nuse super::x::{X, self};",
        "#[cfg(all(test, feature = \"f\"))]\n#[allow(unused)]\nfn t(_: super::x::X) -> [u8; 2] { [0, 1] }",
        "// use super::x::X;\n/* super::x::X */",
        "/// See [`X`](super::x::X).\npub struct Y;",
        "const T: &str = \"super::x::X\"; const R: &str = r#\"\" super::x::X \"#; const C: char = '\"';",
        "use ::a::x::X;",
        "fn y<'a>(text: &'a str) -> &'a str { text } // super::x::X",
    ] {
        let files = [
            ROOT,
            A,
            ("a/x.rs", "use super::y::Y;"),
            ("a/y.rs", back),
            ("a/z.rs", ""),
        ];
        assert!(of(&files).is_empty(), "{back}");
    }
    // What stands behind them is read.
    let back = "#[cfg(test)] mod tests { fn t() {} }\nconst C: char = '\\'';\nuse super::x::X;";
    let files = [
        ROOT,
        A,
        ("a/x.rs", "use super::y::C; pub struct X;"),
        ("a/y.rs", back),
        ("a/z.rs", ""),
    ];
    assert_eq!(of(&files), [["a/x.rs", "a/y.rs"]]);
}
