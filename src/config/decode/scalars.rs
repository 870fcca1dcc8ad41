//! Scalars: strings, numbers, durations, words.

use std::time::Duration;

use super::{field::Field, nearest::nearest};
use crate::config::{document::Value, scalar};

/// The least a duration may be, and in what steps it goes.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(in crate::config) enum Least {
    /// Zero has a meaning.
    Zero,
    /// Istio refuses less than a millisecond.
    Millisecond,
}

impl<'a> Field<'a> {
    pub(in crate::config) fn str(&self) -> Option<&'a str> {
        match &self.node.value {
            Value::Str(text) => return Some(text),
            Value::Bool(_) | Value::Int(_) | Value::Float(_) => {
                self.wrong("a string", "put it in quotes");
            }
            Value::Null | Value::Seq(_) | Value::Map(_) => self.wrong("a string", ""),
        }
        None
    }

    /// The string if it is one, without a word if it is not.
    pub(in crate::config) fn str_quietly(&self) -> Option<&'a str> {
        match &self.node.value {
            Value::Str(text) => Some(text),
            _ => None,
        }
    }

    /// The whole number if it is one, without a word if it is not.
    pub(in crate::config) fn int_quietly(&self) -> Option<i64> {
        match self.node.value {
            Value::Int(value) => Some(value),
            _ => None,
        }
    }

    /// The number if it is one, without a word if it is not.
    pub(in crate::config) fn number_quietly(&self) -> Option<f64> {
        #[expect(clippy::cast_precision_loss, reason = "shares and rates are small")]
        match self.node.value {
            Value::Int(value) => Some(value as f64),
            Value::Float(value) => Some(value),
            _ => None,
        }
    }

    /// The boolean if it is one, without a word if it is not.
    pub(in crate::config) fn bool_quietly(&self) -> Option<bool> {
        match self.node.value {
            Value::Bool(value) => Some(value),
            _ => None,
        }
    }

    pub(in crate::config) fn bool(&self) -> Option<bool> {
        match &self.node.value {
            Value::Bool(value) => return Some(*value),
            Value::Str(text) if matches!(text.as_str(), "true" | "false") => {
                self.wrong("a boolean", "remove the quotes");
            }
            _ => self.wrong("a boolean", "write true or false"),
        }
        None
    }

    /// An integer within a range.
    pub(in crate::config) fn int(&self, min: i64, max: i64) -> Option<i64> {
        let value = match &self.node.value {
            Value::Int(value) => *value,
            #[expect(
                clippy::cast_possible_truncation,
                reason = "checked to be a whole number in range"
            )]
            Value::Float(value) if value.fract() == 0.0 && value.abs() < 9.0e15 => *value as i64,
            Value::Str(text) if text.parse::<i64>().is_ok() => {
                self.wrong("an integer", format!("remove the quotes: {text}"));
                return None;
            }
            _ => {
                self.wrong("an integer", "");
                return None;
            }
        };
        if (min..=max).contains(&value) {
            return Some(value);
        }
        self.error(
            "out-of-range",
            format!("{value} is not between {min} and {max}"),
            "",
        );
        None
    }

    /// A number within a range.
    pub(in crate::config) fn number(&self, min: f64, max: f64) -> Option<f64> {
        #[expect(
            clippy::cast_precision_loss,
            reason = "what is not exact is out of any range in use"
        )]
        let value = match self.node.value {
            Value::Int(value) => value as f64,
            Value::Float(value) => value,
            _ => {
                self.wrong("a number", "write it without quotes and without a unit");
                return None;
            }
        };
        if (min..=max).contains(&value) {
            return Some(value);
        }
        let message = format!("{value} is not between {min} and {max}");
        self.error("out-of-range", message, "");
        None
    }

    pub(in crate::config) fn u32(&self) -> Option<u32> {
        self.int(0, i64::from(u32::MAX))
            .and_then(|n| u32::try_from(n).ok())
    }

    /// A non-negative `int32`, as most counts of Istio are.
    pub(in crate::config) fn count(&self) -> Option<u32> {
        self.int(0, i64::from(i32::MAX))
            .and_then(|n| u32::try_from(n).ok())
    }

    /// A port number.
    pub(in crate::config) fn port(&self) -> Option<u16> {
        self.int(1, 65_535).and_then(|n| u16::try_from(n).ok())
    }

    pub(in crate::config) fn percent(&self) -> Option<f64> {
        #[expect(clippy::cast_precision_loss, reason = "checked to be small")]
        let value = match self.node.value {
            Value::Int(value) => value as f64,
            Value::Float(value) => value,
            _ => {
                self.wrong("a number", "write percent as a number, such as 12.5");
                return None;
            }
        };
        if value == 0.0 || (0.0001..=100.0).contains(&value) {
            return Some(value);
        }
        self.error(
            "out-of-range",
            format!("{value} is no percentage"),
            "0, or between 0.0001 and 100",
        );
        None
    }

    /// A Go duration.
    pub(in crate::config) fn duration(&self, least: Least) -> Option<Duration> {
        let text = match &self.node.value {
            Value::Str(text) => text,
            Value::Int(n) => {
                self.error(
                    "bad-duration",
                    format!("{n} has no unit"),
                    format!("write \"{n}s\" for seconds or \"{n}ms\" for milliseconds"),
                );
                return None;
            }
            _ => {
                self.wrong("a duration", "such as 30s, 1.5s or 250ms");
                return None;
            }
        };
        let value = match scalar::duration(text) {
            Ok(value) => value,
            Err(why) => {
                let hint = "numbers with a unit: ns, us, ms, s, m or h, such as 30s or 1h30m";
                self.error("bad-duration", format!("{text:?}: {why}"), hint);
                return None;
            }
        };
        if value.is_zero() && least == Least::Zero {
            return Some(value);
        }
        if value < Duration::from_millis(1) {
            self.error("bad-duration", format!("{text:?} is less than 1ms"), "");
            return None;
        }
        if value.subsec_nanos() % 1_000_000 != 0 {
            let message = format!("{text:?} is finer than a millisecond");
            self.error("bad-duration", message, "round it to whole milliseconds");
            return None;
        }
        Some(value)
    }

    /// One of some upper-case words.
    pub(in crate::config) fn word<T: Copy>(&self, words: &[(&'static str, T)]) -> Option<T> {
        let text = self.str()?;
        let found = words.iter().find(|(word, _)| *word == text);
        if found.is_none() {
            let all: Vec<_> = words.iter().map(|(word, _)| *word).collect();
            let hint = nearest(text, all.iter().copied()).map_or_else(
                || format!("one of {}", all.join(", ")),
                |near| format!("did you mean {near}?"),
            );
            self.error("unknown-value", format!("{text:?} is not known here"), hint);
        }
        found.map(|(_, value)| *value)
    }
}
