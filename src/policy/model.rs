//! What a policy says, as values: its grants and its meta-policy. Nothing is decided here.

use std::{fmt, str::FromStr};

use super::{DomainPattern, ParseError, PortSet, parse_error::by_name};

/// The meaning of one policy file: what a host allows.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Policy {
    /// The `site-control` element. Without one, Flash Player applies
    /// [`MetaPolicy::All`] (rule book 2.4 \[SPEC\]).
    pub meta: Option<MetaPolicy>,
    /// The `allow-access-from` elements, in the order of the file. One that
    /// matches is enough: there is no deny (rule book 4.2 \[FL8\]).
    pub grants: Vec<Grant>,
}

/// One `allow-access-from` element.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Grant {
    /// The domain whose content may connect.
    pub domain: DomainPattern,
    /// The ports of this host that it may connect to.
    pub ports: PortSet,
    /// Whether only content loaded over HTTPS may use the grant. In a socket
    /// policy the default is `false` (rule book 2.11 \[SPEC, LS\]).
    pub secure: bool,
}

/// Which policies of the host count besides the master (rule book 2.4 and 4.4).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum MetaPolicy {
    /// Policies from other ports add their grants.
    All,
    /// Only the master's own grants count.
    MasterOnly,
    /// No grant counts, not even the master's (rule book 2.5 \[SPEC, LS\]).
    None,
}

impl MetaPolicy {
    pub(super) const NAMES: [(&'static str, MetaPolicy); 3] = [
        ("all", MetaPolicy::All),
        ("master-only", MetaPolicy::MasterOnly),
        ("none", MetaPolicy::None),
    ];
}

impl fmt::Display for MetaPolicy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            MetaPolicy::All => "all",
            MetaPolicy::MasterOnly => "master-only",
            MetaPolicy::None => "none",
        })
    }
}

impl FromStr for MetaPolicy {
    type Err = ParseError;

    fn from_str(text: &str) -> Result<Self, ParseError> {
        let otherwise = "write `all`, `master-only` or `none`";
        by_name(text, &MetaPolicy::NAMES, "meta-policy", otherwise)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_meta_policy_is_read_as_it_is_written() {
        for (name, meta) in MetaPolicy::NAMES {
            assert_eq!(name.parse(), Ok(meta));
            assert_eq!(meta.to_string(), name);
        }
    }

    #[test]
    fn a_mistyped_meta_policy_is_named_and_corrected() {
        let fault = "masteronly".parse::<MetaPolicy>().unwrap_err();
        assert_eq!(
            fault.to_string(),
            "`masteronly` is no meta-policy; did you mean `master-only`?"
        );
        let fault = "\u{1b}[2J".parse::<MetaPolicy>().unwrap_err();
        assert!(!fault.to_string().contains('\u{1b}'));
    }
}
