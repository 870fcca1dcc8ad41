//! One operator, between its percent signs.

use super::{
    table::{ABSENT, PLAIN},
    terms::{Field, Operator, ParseError},
};

/// An operator as it was written.
pub(super) struct Written<'a> {
    pub(super) text: &'a str,
    name: &'a str,
    arguments: Option<&'a str>,
    pub(super) max: Option<usize>,
}

/// Reads `NAME`, `NAME(arguments)`, both with `:length`, up to the percent sign.
pub(super) fn written(text: &str) -> Option<Written<'_>> {
    let is_name = |c: char| c.is_ascii_uppercase() || c.is_ascii_digit() || c == '_';
    let name = &text[..text.find(|c| !is_name(c)).unwrap_or(text.len())];
    if name.is_empty() {
        return None;
    }
    let whole = |end: usize, arguments, max| Written {
        text: &text[..end],
        name,
        arguments,
        max,
    };
    if let Some(inside) = text[name.len()..].strip_prefix('(') {
        let start = name.len() + 1;
        // The first bracket that a length or the percent sign follows.
        let ends = inside.match_indices(')').map(|(at, _)| start + at);
        return ends
            .filter_map(|at| {
                let (end, max) = tail(&text[at + 1..])?;
                Some(whole(at + 1 + end, Some(&text[start..at]), max))
            })
            .next();
    }
    let (end, max) = tail(&text[name.len()..])?;
    Some(whole(name.len() + end, None, max))
}

/// `:length` or nothing, up to a percent sign: how long it is, and the length.
fn tail(text: &str) -> Option<(usize, Option<usize>)> {
    let end = text.find('%')?;
    match &text[..end] {
        "" => Some((0, None)),
        length => {
            let digits = length.strip_prefix(':')?;
            let all = !digits.is_empty() && digits.bytes().all(|b| b.is_ascii_digit());
            all.then(|| (end, Some(digits.parse().unwrap_or(usize::MAX))))
        }
    }
}

// === impl Written ===

impl Written<'_> {
    pub(super) fn operator(&self) -> Result<Operator, ParseError> {
        let bad = |why| ParseError::Arguments {
            operator: self.text.to_owned(),
            why,
        };
        if let Some((_, plain)) = PLAIN.iter().find(|(name, _)| *name == self.name) {
            return match (self.arguments, self.max) {
                (None, None) => Ok(Operator::Plain(*plain)),
                (Some(_), _) => Err(bad("takes no arguments")),
                (None, Some(_)) => Err(bad("takes no length")),
            };
        }
        let fields = || {
            let arguments = self.arguments.ok_or("needs the name of a field");
            arguments.and_then(fields).map_err(bad)
        };
        match self.name {
            "REQ" => fields().map(|(first, other)| Operator::Request(first, other)),
            "RESP" => fields().map(|(first, other)| Operator::Response(first, other)),
            "REQ_WITHOUT_QUERY" => {
                fields().map(|(first, other)| Operator::WithoutQuery(first, other))
            }
            "PATH" => match self.arguments {
                None | Some("" | "WQ" | "WQ:ORIG_OR_PATH" | "WQ:PATH") => {
                    Ok(Operator::Request(Field::Path, None))
                }
                Some("NQ" | "NQ:ORIG_OR_PATH" | "NQ:PATH") => {
                    Ok(Operator::WithoutQuery(Field::Path, None))
                }
                Some(_) => Err(bad("takes WQ or NQ")),
            },
            "QUERY_PARAM" => match self.arguments {
                Some(name) if !name.is_empty() => Ok(Operator::QueryParameter(name.to_owned())),
                _ => Err(bad("needs the name of a parameter")),
            },
            "START_TIME" => Ok(Operator::StartTime(
                self.arguments.filter(|a| !a.is_empty()).map(str::to_owned),
            )),
            name => match ABSENT.split(' ').find(|known| *known == name) {
                Some(name) => Ok(Operator::Absent(name)),
                None => Err(ParseError::Unknown(self.text.to_owned())),
            },
        }
    }
}

/// `X` or `X?Y`.
fn fields(arguments: &str) -> Result<(Field, Option<Field>), &'static str> {
    let mut names = arguments.split('?');
    let first = names.next().unwrap_or_default();
    let other = names.next();
    if names.next().is_some() {
        return Err("takes one alternative at most");
    }
    let field = |name: &str| Field::parse(name).ok_or("names no field");
    Ok((field(first)?, other.map(field).transpose()?))
}
