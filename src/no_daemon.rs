//! In the place of `daemon` on a system where nothing is served: its commands say where the server runs.

/// The commands about a server.
pub mod commands {
    use crate::config::Configured;
    use crate::output::exit::Exit;
    use crate::player::print::complain;

    /// Where the server runs, and what is here.
    pub const NOT_HERE: &str = "the server runs on Linux, in WSL or in Docker; what this system has is probe, \
         check, explain, policy and help";

    /// What can be done with a server in the background.
    #[derive(Clone, Copy, Debug, PartialEq, Eq)]
    #[allow(missing_docs)]
    pub enum Action {
        Start,
        Stop,
        Restart,
        Reload,
        Status { json: bool },
    }

    /// Does nothing.
    pub fn run(_: Action, _: &Configured) -> Exit {
        not_here()
    }

    fn not_here() -> Exit {
        complain(NOT_HERE);
        Exit::Usage
    }

    /// `serve`.
    pub mod serve {
        use super::{Configured, Exit, not_here};

        /// Serves nothing.
        pub fn run(_: &Configured, _detached: bool) -> Exit {
            not_here()
        }
    }

    /// `init`.
    pub mod init {
        use std::path::Path;

        use super::{Exit, not_here};

        /// The answers to its questions.
        #[derive(Clone, Debug, Default)]
        #[allow(missing_docs)]
        pub struct Answers {
            pub from: Option<String>,
            pub to: Option<String>,
            pub by: Option<String>,
        }

        /// Writes nothing.
        ///
        /// # Errors
        /// None.
        pub fn run(_: Option<&Path>, _: &Answers) -> Result<Exit, Exit> {
            Ok(not_here())
        }
    }
}

/// The files of a server.
pub mod own_files {
    use std::path::Path;

    use crate::config::Config;
    use crate::output::diagnostic::Diagnostic;

    /// Finds nothing: the files are on the server's host.
    pub fn own_files(_: &Config, _: Option<&Path>) -> Vec<Diagnostic> {
        Vec::new()
    }
}
