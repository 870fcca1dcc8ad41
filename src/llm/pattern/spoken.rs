//! Text and codes as phrases are compared with them.

use super::phrases::FAMILIES;

/// Names under which a quotation is the message of an error inside an error, as gateways hand on what they got.
const MESSAGES: &[&str] = &["message", "msg", "error", "detail", "details", "reason"];

/// Names under which a quoted word is the code of such an error.
const CODES: &[&str] = &["code", "type"];

/// A message in lower case and without its quotations of several words, and of words that mean something in themselves: those
/// are the caller's, unless one is the message or the code of an error that a gateway hands on, or the whole.
pub(super) fn spoken(message: &str) -> String {
    let text = message.trim().to_lowercase();
    let mut out = String::with_capacity(text.len());
    let mut rest = text.as_str();
    while let Some((before, quote, after)) = next_quote(rest) {
        out.push_str(before);
        let close = match quote {
            '“' => '”',
            '‘' => '’',
            other => other,
        };
        let opens = !before.ends_with(char::is_alphanumeric);
        let end = opens.then(|| closing(after, close)).flatten();
        let Some((quoted, behind)) = end else {
            out.push(quote);
            rest = after;
            continue;
        };
        let whole = out.is_empty() && behind.is_empty();
        let name = !quoted.contains(char::is_whitespace) && (!means(quoted) || is_code(&out));
        if whole || name || is_message(&out) {
            out.push(quote);
            out.push_str(quoted);
            out.push(close);
        } else {
            out.push(' ');
        }
        rest = behind;
    }
    out.push_str(rest);
    out
}

/// A code as words: `exceeded_current_quota_error`, `Throttling.RateQuota` and `TPMLimitExceeded` in lower case, with blanks.
pub(crate) fn spelled(code: &str) -> String {
    let mut out = String::with_capacity(code.len() + 8);
    let mut chars = code.chars().peekable();
    let mut last = ' ';
    while let Some(c) = chars.next() {
        if !c.is_alphanumeric() {
            out.push(' ');
        } else if c.is_uppercase() {
            let begins = chars.peek().is_some_and(|next| next.is_lowercase());
            if last.is_lowercase() || last.is_numeric() || (last.is_uppercase() && begins) {
                out.push(' ');
            }
            out.extend(c.to_lowercase());
        } else {
            out.push(c);
        }
        last = c;
    }
    out
}

fn next_quote(text: &str) -> Option<(&str, char, &str)> {
    let (at, quote) = text
        .char_indices()
        .find(|(_, c)| matches!(c, '\'' | '"' | '`' | '“' | '‘'))?;
    Some((text.get(..at)?, quote, text.get(at + quote.len_utf8()..)?))
}

/// The quotation and what comes behind it. An apostrophe within a word ends none.
fn closing(text: &str, quote: char) -> Option<(&str, &str)> {
    text.match_indices(quote).find_map(|(at, found)| {
        let behind = text.get(at + found.len()..)?;
        let ends = !behind.starts_with(char::is_alphanumeric);
        ends.then(|| text.get(..at).map(|quoted| (quoted, behind)))
            .flatten()
    })
}

/// Whether a word alone has a meaning.
fn means(word: &str) -> bool {
    FAMILIES.iter().any(|family| family.is_meant(word))
}

/// Whether what was written last names a message: `"message": ` or `msg=`.
fn is_message(before: &str) -> bool {
    key(before).is_some_and(|key| MESSAGES.iter().any(|name| key.ends_with(name)))
}

/// Whether what was written last names a code within an object: `{"code": `.
fn is_code(before: &str) -> bool {
    let opens = |before: &str| {
        before
            .trim_end_matches([' ', '\\', '"', '\''])
            .ends_with(['{', ','])
    };
    key(before).is_some_and(|key| {
        CODES
            .iter()
            .any(|name| key.strip_suffix(name).is_some_and(opens))
    })
}

/// What ends with the key whose value comes next.
fn key(before: &str) -> Option<&str> {
    let before = before.trim_end_matches([' ', '\\', 'b']);
    let key = before.strip_suffix([':', '='])?;
    Some(key.trim_end_matches([' ', '\\', '"', '\'']))
}
