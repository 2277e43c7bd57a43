//! A finding in a policy's text while its place is still a range of bytes. It judges nothing.

use std::ops::Range;

use super::findings::Code;

/// A finding whose place is still a range of bytes in the text.
pub(super) struct Note {
    pub code: Code,
    pub range: Range<usize>,
    pub cause: String,
    pub cure: String,
}

impl Note {
    pub fn new(
        code: Code,
        range: Range<usize>,
        cause: impl Into<String>,
        cure: impl Into<String>,
    ) -> Self {
        Note {
            code,
            range,
            cause: cause.into(),
            cure: cure.into(),
        }
    }
}
