//! Why a configuration was not put in force.

use std::{error::Error as StdError, fmt};

use crate::config::{self, Diagnostic, Severity};

/// Why there is no configuration.
///
/// `Debug` prints what `Display` does, a line or two for each problem: it is what `fn main() -> Result<(), LoadError>` shows.
pub enum LoadError {
    /// A path could not be read.
    Read(config::ReadError),
    /// The resources have errors.
    Invalid(Vec<Diagnostic>),
    /// Certificates or a key that the program gave cannot be used. Says why, never what a key is.
    Certificates(String),
}

// === impl LoadError ===

impl fmt::Display for LoadError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Read(error) => error.fmt(f),
            Self::Certificates(why) => f.write_str(why),
            Self::Invalid(diagnostics) => {
                let errors = diagnostics.iter().filter(|d| d.severity == Severity::Error);
                for (i, d) in errors.enumerate() {
                    if i > 0 {
                        f.write_str("\n")?;
                    }
                    write!(f, "{d}")?;
                }
                Ok(())
            }
        }
    }
}

impl fmt::Debug for LoadError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if matches!(self, Self::Invalid(_)) {
            f.write_str("the configuration has errors\n")?;
        }
        fmt::Display::fmt(self, f)
    }
}

impl StdError for LoadError {
    fn source(&self) -> Option<&(dyn StdError + 'static)> {
        match self {
            // Its text is this error's own.
            Self::Read(error) => error.source(),
            Self::Invalid(_) | Self::Certificates(_) => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use std::{io, path::PathBuf};

    use super::*;

    #[test]
    fn what_the_system_said_of_a_path_is_the_source() {
        let error = config::read_paths(&[PathBuf::from("/nowhere/mesh")], &[]).unwrap_err();
        let error = LoadError::Read(error);
        let source = error.source().and_then(|e| e.downcast_ref::<io::Error>());
        assert_eq!(source.map(io::Error::kind), Some(io::ErrorKind::NotFound));
    }
}
