//! What each file of the crate takes from each other file, read from its text.
//!
//! Paths are followed to the file that defines what they name: through `self::`, `super::` and `crate::`, through
//! groups and other names, and through any number of re-exports. A re-export alone is a signpost, no import. What is
//! compiled for tests only is skipped.

use std::collections::{BTreeMap, BTreeSet};

/// Who takes what from whom: file, file, names.
pub type Imports = BTreeMap<String, BTreeMap<String, BTreeSet<String>>>;

/// One `use` leaf, or a module's other name for it.
struct Use {
    path: Vec<String>,
    public: bool,
}

/// One module: a file, or a part of a file in braces.
#[derive(Default)]
struct Module {
    file: String,
    children: BTreeSet<String>,
    defined: BTreeSet<String>,
    uses: BTreeMap<String, Vec<Use>>,
    globs: Vec<Use>,
    /// Paths of two names or more outside `use`.
    paths: BTreeSet<Vec<String>>,
    /// Every name outside `use`.
    words: BTreeSet<String>,
}

type Modules = BTreeMap<Vec<String>, Module>;

/// The imports among `files` (path below `src`, whole text).
pub fn imports<'a>(files: impl IntoIterator<Item = (&'a str, &'a str)>) -> Imports {
    let mut modules = Modules::new();
    for (file, text) in files {
        let mut tokens = tokens(text);
        drop_tests(&mut tokens);
        read(file, &tokens, &mut modules);
    }
    let mut out = Imports::new();
    for (at, module) in &modules {
        let named = module.uses.iter().flat_map(|(name, all)| {
            all.iter()
                .filter(|u| !u.public || module.words.contains(name))
                .map(|u| &u.path)
        });
        let globs = module.globs.iter().filter(|u| !u.public).map(|u| &u.path);
        for path in named.chain(globs.clone()).chain(&module.paths) {
            let Some((holder, name)) = resolve(&modules, at, path, 0) else {
                continue;
            };
            // A module that is named is not yet made use of; one that is taken whole is.
            let Some(name) = name.or_else(|| globs.clone().any(|g| g == path).then(|| "*".into()))
            else {
                continue;
            };
            let to = &modules[&holder].file;
            if *to != module.file {
                let from = out.entry(module.file.clone()).or_default();
                from.entry(to.clone()).or_default().insert(name);
            }
        }
    }
    out
}

/// The module that defines what `path` means in the module `at`, and the name there; no name where it is a module.
/// Nothing for what is not of this crate.
fn resolve(
    modules: &Modules,
    at: &[String],
    path: &[String],
    depth: usize,
) -> Option<(Vec<String>, Option<String>)> {
    if depth > 16 {
        return None;
    }
    let mut rest = path.iter();
    let mut here = at.to_vec();
    let mut first = true;
    while let Some(name) = rest.next() {
        match name.as_str() {
            "crate" => here.clear(),
            "self" => {}
            "super" => drop(here.pop()),
            _ => {
                let module = modules.get(&here)?;
                let deeper = [here.as_slice(), std::slice::from_ref(name)].concat();
                // A name may be that of a module and of something in it: the last of a path is the latter.
                let both = rest.len() == 0 && module.uses.contains_key(name);
                if modules.contains_key(&deeper) && module.children.contains(name) && !both {
                    here = deeper;
                } else if module.defined.contains(name) {
                    return Some((here, Some(name.clone())));
                } else {
                    // Another name for something: follow it, with what is left of the path.
                    let aliases = module.uses.get(name).into_iter().flatten();
                    let globs = module.globs.iter();
                    let left: Vec<String> = rest.cloned().collect();
                    let tail = |u: &Use, own: &[String]| [&u.path[..], own, &left[..]].concat();
                    let own = [name.clone()];
                    return aliases
                        .filter(|u| u.path != path)
                        .map(|u| tail(u, &[]))
                        .chain(globs.map(|u| tail(u, &own)))
                        .find_map(|p| resolve(modules, &here, &p, depth + 1))
                        // Made by a macro, perhaps: if the path says that it is here, it is.
                        .or_else(|| (!first).then(|| (here, Some(name.clone()))));
                }
            }
        }
        first = false;
    }
    modules.contains_key(&here).then_some((here, None))
}

/// The module path of a file below `src`.
fn module_of(file: &str) -> Vec<String> {
    let mut path: Vec<String> = file
        .trim_end_matches(".rs")
        .split('/')
        .map(str::to_owned)
        .collect();
    if path.last().is_some_and(|l| l == "mod") || path == ["lib"] {
        path.pop();
    }
    path
}

/// Puts the modules of one file into `modules`.
fn read(file: &str, tokens: &[String], modules: &mut Modules) {
    let begin = || Module {
        file: file.to_owned(),
        ..Module::default()
    };
    // Modules around what is read, with the depth of braces in each.
    let mut around = Vec::new();
    let (mut path, mut module, mut floor) = (module_of(file), begin(), 0);
    let (mut depth, mut at) = (0_usize, 0);
    while let Some(token) = tokens.get(at) {
        let next = |n: usize| tokens.get(at + n).map_or("", String::as_str);
        match token.as_str() {
            "{" => depth += 1,
            "}" => {
                depth = depth.saturating_sub(1);
                if depth < floor
                    && let Some(outer) = around.pop()
                {
                    let (outer_path, outer_module, outer_floor) = outer;
                    modules.insert(path, module);
                    (path, module, floor) = (outer_path, outer_module, outer_floor);
                }
            }
            "use" => {
                let public = at > 0 && (tokens[at - 1] == "pub" || tokens[at - 1] == ")");
                let mut leaves = Vec::new();
                // `use ::http::…` is another crate's, whatever stands here under its name.
                let foreign = next(1) == "::";
                at = tree(tokens, at + 1, &mut Vec::new(), &mut leaves);
                for (path, name) in leaves.into_iter().filter(|_| !foreign) {
                    let leaf = Use { path, public };
                    match name {
                        Some(name) => module.uses.entry(name).or_default().push(leaf),
                        None => module.globs.push(leaf),
                    }
                }
                continue;
            }
            "mod" => {
                module.children.insert(next(1).to_owned());
                if next(2) == "{" {
                    depth += 1;
                    let inner = [path.as_slice(), &[next(1).to_owned()]].concat();
                    around.push((path, module, floor));
                    (path, module, floor) = (inner, begin(), depth);
                }
                at += 3;
                continue;
            }
            "struct" | "enum" | "union" | "trait" | "fn" | "type" | "const" | "static"
                if depth == floor =>
            {
                module.defined.insert(next(1).to_owned());
            }
            "macro_rules" => {
                module.defined.insert(next(2).to_owned());
            }
            word if is_word(word) => {
                module.words.insert(word.to_owned());
                if at == 0 || !matches!(tokens[at - 1].as_str(), "::" | ".") {
                    let mut path = vec![word.to_owned()];
                    while next(2 * path.len() - 1) == "::" && is_word(next(2 * path.len())) {
                        path.push(next(2 * path.len()).to_owned());
                    }
                    if path.len() > 1 {
                        module.words.extend(path.iter().cloned());
                        at += 2 * (path.len() - 1);
                        module.paths.insert(path);
                    }
                }
            }
            _ => {}
        }
        at += 1;
    }
    modules.insert(path, module);
}

type Leaf = (Vec<String>, Option<String>);

/// Reads one `use` tree: its leaves with the name that each has here (none: all of it). Returns where it ends.
fn tree(tokens: &[String], mut at: usize, prefix: &mut Vec<String>, out: &mut Vec<Leaf>) -> usize {
    let token = |at: usize| tokens.get(at).map_or("", String::as_str);
    let depth = prefix.len();
    loop {
        match token(at) {
            "::" => {}
            "{" => {
                at += 1;
                while !matches!(token(at), "}" | "") {
                    at = tree(tokens, at, prefix, out);
                    at += usize::from(token(at) == ",");
                }
                prefix.truncate(depth);
                return at + 1;
            }
            "*" => {
                out.push((prefix.clone(), None));
                prefix.truncate(depth);
                return at + 1;
            }
            // `a::{self, b}`: the module itself.
            "self" if depth > 0 && prefix.len() == depth => {}
            word if is_word(word) => prefix.push(word.to_owned()),
            _ => return at + 1,
        }
        at += 1;
        if token(at) != "::" && token(at - 1) != "::" {
            let mut name = prefix.last().cloned();
            if token(at) == "as" {
                name = Some(token(at + 1).to_owned());
                at += 2;
            }
            out.push((prefix.clone(), name));
            prefix.truncate(depth);
            return at;
        }
    }
}

fn is_word(token: &str) -> bool {
    token.starts_with(|c: char| c.is_alphabetic() || c == '_')
}

/// Takes out every item below `#[cfg(test)]` or `#[cfg(all(test, …))]`.
fn drop_tests(tokens: &mut Vec<String>) {
    let mut out = Vec::with_capacity(tokens.len());
    let mut at = 0;
    while at < tokens.len() {
        let is = |words: &[&str]| {
            let here = tokens[at..].iter().map(String::as_str);
            here.take(words.len()).eq(words.iter().copied())
        };
        if is(&["#", "[", "cfg", "(", "test", ")"])
            || is(&["#", "[", "cfg", "(", "all", "(", "test"])
        {
            at = after_item(tokens, at);
        } else {
            out.push(tokens[at].clone());
            at += 1;
        }
    }
    *tokens = out;
}

/// Where the item ends that begins, with its attributes, at `at`.
fn after_item(tokens: &[String], mut at: usize) -> usize {
    let (mut depth, mut in_use, mut started) = (0_usize, false, false);
    while let Some(token) = tokens.get(at) {
        at += 1;
        match token.as_str() {
            "#" if !started => {}
            "(" | "[" | "{" => depth += 1,
            ")" | "]" | "}" => {
                depth = depth.saturating_sub(1);
                if depth == 0 && token == "}" && !in_use {
                    return at;
                }
            }
            ";" if depth == 0 => return at,
            word if depth == 0 && is_word(word) => {
                started = true;
                in_use |= word == "use";
            }
            _ => {}
        }
    }
    at
}

/// Words, `::`, and single signs; no comments, no text in quotes, no lifetimes.
fn tokens(text: &str) -> Vec<String> {
    let mut out = Vec::new();
    let mut rest = text;
    while let Some(c) = rest.chars().next() {
        let taken = if rest.starts_with("//") {
            rest.find('\n').unwrap_or(rest.len())
        } else if rest.starts_with("/*") {
            rest.find("*/").map_or(rest.len(), |end| end + 2)
        } else if let Some(end) = quoted(rest) {
            end
        } else if rest.starts_with("::") {
            out.push("::".to_owned());
            2
        } else if c.is_alphanumeric() || c == '_' {
            let end = rest
                .find(|c: char| !c.is_alphanumeric() && c != '_')
                .unwrap_or(rest.len());
            out.push(rest[..end].to_owned());
            end
        } else {
            if !c.is_whitespace() {
                out.push(c.to_string());
            }
            c.len_utf8()
        };
        rest = &rest[taken..];
    }
    out
}

/// How long the text in quotes is that `rest` begins with, if it does: plain, raw, of bytes, one character, or a lifetime.
fn quoted(rest: &str) -> Option<usize> {
    let plain = rest.trim_start_matches(['b', 'c']);
    let prefix = rest.len() - plain.len();
    if prefix > 1 {
        return None;
    }
    let raw = plain
        .strip_prefix('r')
        .map(|r| (r, r.trim_start_matches('#')));
    if let Some((hashed, text)) = raw
        && text.starts_with('"')
    {
        let end = format!("\"{}", "#".repeat(hashed.len() - text.len()));
        let start = rest.len() - text.len() + 1;
        return Some(
            text[1..]
                .find(&end)
                .map_or(rest.len(), |at| start + at + end.len()),
        );
    }
    if let Some(quoted) = plain.strip_prefix('"') {
        let mut escaped = false;
        let end = quoted.char_indices().find(|&(_, c)| {
            let ends = c == '"' && !escaped;
            escaped = c == '\\' && !escaped;
            ends
        });
        return Some(end.map_or(rest.len(), |(at, _)| prefix + at + 2));
    }
    let inner = plain.strip_prefix('\'')?;
    let start = prefix + 1;
    if inner.starts_with('\\') {
        return inner[2..].find('\'').map(|at| start + 2 + at + 1);
    }
    let first = inner.chars().next()?.len_utf8();
    Some(if inner[first..].starts_with('\'') {
        start + first + 1
    } else {
        start
            + inner
                .find(|c: char| !c.is_alphanumeric() && c != '_')
                .unwrap_or(inner.len())
    })
}
