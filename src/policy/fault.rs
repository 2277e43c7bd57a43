//! Why a value could not be understood. It parses nothing itself.

use std::{error, fmt};

/// Why a value could not be understood, and what to write instead.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Fault {
    /// The cause, with the value; printable on one line.
    pub cause: String,
    /// The cure.
    pub cure: String,
}

impl Fault {
    pub(super) fn new(cause: impl Into<String>, cure: impl Into<String>) -> Self {
        Fault {
            cause: cause.into(),
            cure: cure.into(),
        }
    }
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}; {}", self.cause, self.cure)
    }
}

impl error::Error for Fault {}
