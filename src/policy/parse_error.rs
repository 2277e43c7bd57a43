//! Why a value could not be understood, and the value with a name.

use std::{error, fmt};

use crate::text::{did_you_mean, quote};

/// Why a value could not be understood, and what to write instead.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ParseError {
    /// The cause, with the value; printable on one line.
    pub cause: String,
    /// The cure.
    pub cure: String,
}

impl ParseError {
    /// A fault with this cause and this cure.
    pub fn new(cause: impl Into<String>, cure: impl Into<String>) -> Self {
        ParseError {
            cause: cause.into(),
            cure: cure.into(),
        }
    }
}

/// The value with this name. Where there is none, the fault says that it is no `what`, and names the
/// nearest name or `otherwise` as the cure.
pub(super) fn by_name<T: Copy>(
    name: &str,
    known: &[(&str, T)],
    what: &str,
    otherwise: &str,
) -> Result<T, ParseError> {
    let value = known.iter().find(|(known, _)| *known == name);
    value.map(|(_, value)| *value).ok_or_else(|| {
        let names: Vec<_> = known.iter().map(|(name, _)| *name).collect();
        let cure = did_you_mean(name, &names, "`");
        let cure = cure.unwrap_or_else(|| otherwise.into());
        ParseError::new(format!("{} is no {what}", quote(name)), cure)
    })
}

impl fmt::Display for ParseError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}; {}", self.cause, self.cure)
    }
}

impl error::Error for ParseError {}
