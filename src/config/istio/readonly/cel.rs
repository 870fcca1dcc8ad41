//! The grammar of CEL expressions, as far as to tell whether one is whole: names and types are not looked at.

/// A piece of an expression.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Token<'a> {
    /// A name, number or string.
    Value,
    Sign(&'a str),
}

/// The signs of more than one character, and those of one.
const SIGNS: [&str; 24] = [
    "&&", "||", "==", "!=", "<=", ">=", "<", ">", "+", "-", "*", "/", "%", "!", "?", ":", ".", ",",
    "(", ")", "[", "]", "{", "}",
];

/// The signs between two values.
const BETWEEN: [&str; 16] = [
    "&&", "||", "==", "!=", "<=", ">=", "<", ">", "+", "-", "*", "/", "%", "?", ":", "in",
];

/// Tells what is wrong with an expression.
///
/// # Errors
/// What is wrong, for people.
pub(super) fn check(text: &str) -> Result<(), &'static str> {
    let tokens = tokens(text)?;
    let mut open: Vec<&str> = Vec::new();
    // Whether the next token begins a value.
    let mut wanted = true;
    let mut previous = None;
    for token in &tokens {
        match *token {
            Token::Value if wanted => wanted = false,
            Token::Value => return Err("two values stand side by side"),
            Token::Sign("!" | "-") if wanted => {}
            Token::Sign(sign @ ("(" | "[" | "{")) => {
                if sign == "{" && !wanted && previous != Some(Token::Value) {
                    return Err("a bracket stands where none can");
                }
                open.push(sign);
                wanted = true;
            }
            Token::Sign(sign @ (")" | "]" | "}")) => {
                let pair = match sign {
                    ")" => "(",
                    "]" => "[",
                    _ => "{",
                };
                let empty = previous == Some(Token::Sign(pair));
                if open.pop() != Some(pair) || (wanted && !empty) {
                    return Err("a bracket is closed where it cannot be");
                }
                wanted = false;
            }
            Token::Sign(".") if !wanted => wanted = true,
            Token::Sign(",") if !wanted && !open.is_empty() => wanted = true,
            Token::Sign(sign) if !wanted && BETWEEN.contains(&sign) => wanted = true,
            Token::Sign(_) => return Err("an operator stands where a value is wanted"),
        }
        previous = Some(*token);
    }
    if !open.is_empty() {
        return Err("a bracket is not closed");
    }
    if wanted {
        return Err("a value is missing at the end");
    }
    Ok(())
}

fn tokens(text: &str) -> Result<Vec<Token<'_>>, &'static str> {
    let mut tokens = Vec::new();
    let mut rest = text.trim_start();
    while let Some(first) = rest.chars().next() {
        let word = |c: char| c.is_ascii_alphanumeric() || c == '_';
        let end = if matches!(first, '"' | '\'') {
            tokens.push(Token::Value);
            string_end(rest, first)?
        } else if word(first) {
            let number = first.is_ascii_digit();
            let end = rest
                .find(|c| !(word(c) || (number && c == '.')))
                .unwrap_or(rest.len());
            let is_in = &rest[..end] == "in";
            tokens.push(if is_in {
                Token::Sign("in")
            } else {
                Token::Value
            });
            end
        } else {
            let sign = SIGNS.iter().find(|sign| rest.starts_with(**sign));
            let sign = sign.ok_or("a character has no meaning")?;
            tokens.push(Token::Sign(sign));
            sign.len()
        };
        rest = rest[end..].trim_start();
    }
    Ok(tokens)
}

/// Where the string at the beginning of `text` ends.
fn string_end(text: &str, quote: char) -> Result<usize, &'static str> {
    let mut escaped = false;
    for (at, c) in text.char_indices().skip(1) {
        match c {
            _ if escaped => escaped = false,
            '\\' => escaped = true,
            _ if c == quote => return Ok(at + 1),
            _ => {}
        }
    }
    Err("a string is not closed")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn expressions() {
        for good in [
            "true",
            "response.code >= 400",
            "response.code >= 400 && (connection.mtls || request.url_path.contains('v1beta3'))",
            "!has(request.headers['x-a']) ? -1 : 2.5",
            "'a' in [\"b\", 'it\\'s']",
            "{'a': 1}['a'] == 1",
        ] {
            assert_eq!(check(good), Ok(()), "{good}");
        }
        for bad in [
            "",
            "response.code >=",
            "&& a",
            "a b",
            "(a",
            "a)",
            "a[1)",
            "'a",
            "a # b",
            "f(,)",
            "a ||",
            "1 == == 2",
        ] {
            assert!(check(bad).is_err(), "{bad}");
        }
    }
}
