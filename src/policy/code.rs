//! A code, in one definition: what `help CODE` says of it, and its severity wherever it is found.
//! Those of policies are in `policy/findings.rs`, of configurations in `config/mistakes.rs`, of a probe
//! in `player/probe/classes.rs`. It finds nothing.

use super::diagnostic::Severity;

/// All that is known of a code.
#[derive(Debug)]
pub struct CodeDefinition {
    /// The stable name, in kebab-case: scripts rely on it.
    pub name: &'static str,
    /// Each code has one.
    pub severity: Severity,
    /// One sentence on what it means, in Markdown.
    pub meaning: &'static str,
    /// Something that has it. What begins with `<` or a backslash is a policy, with `\0` and `\u{feff}`
    /// for what a terminal does not show. What begins with `listen =` or `allow =` is a configuration,
    /// ` / ` standing for a line end. A test runs `check` on both.
    pub example: &'static str,
    /// What cures it in general, in Markdown. The cure of a finding is its own, with what stands there.
    pub general_cure: &'static str,
    /// Who says so, or where it was observed.
    pub source: &'static str,
}

/// An enum of codes, each with its definition; where a field is missing, the compiler names the line.
#[macro_export]
macro_rules! codes {
    (
        $(#[$about:meta])* $codes:ident
        $($severity:ident {
            $($code:ident $name:literal $meaning:literal,
                example: $example:literal,
                general_cure: $cure:literal,
                source: $source:literal;)+
        })+
    ) => {
        $(#[$about])*
        #[derive(Debug, Clone, Copy, PartialEq, Eq)]
        pub enum $codes {
            $($(#[doc = $meaning] $code,)+)+
        }

        impl $codes {
            /// Every one, errors first.
            pub fn all() -> &'static [$codes] {
                &[$($($codes::$code,)+)+]
            }

            /// All that is known of it.
            pub fn definition(self) -> &'static $crate::code::CodeDefinition {
                match self {
                    $($($codes::$code => &$crate::code::CodeDefinition {
                        name: $name,
                        severity: $crate::diagnostic::Severity::$severity,
                        meaning: $meaning,
                        example: $example,
                        general_cure: $cure,
                        source: $source,
                    },)+)+
                }
            }

            /// The stable name, in kebab-case.
            pub fn as_str(self) -> &'static str {
                self.definition().name
            }

            /// Each code has one severity.
            pub fn severity(self) -> $crate::diagnostic::Severity {
                self.definition().severity
            }
        }
    };
}
