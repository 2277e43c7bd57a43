//! Finds and reads the configuration file. It parses no line.

use std::io::{self, Read};
use std::net::SocketAddr;
use std::path::{Path, PathBuf};

use super::draft::{Override, draft};
use super::keys::{Config, is_key};
use crate::output::diagnostic::{Diagnostic, Place};
use crate::output::text::reason;
use crate::system;

/// Where the configuration is looked for when no file is named, first match first.
pub const SEARCH_PATH: [&str; 2] = ["flashpolicy.conf", "/etc/flashpolicy.conf"];

/// The one device that is taken for a configuration, an empty one.
pub const EMPTY: &str = "/dev/null";

/// A larger file is no configuration.
const MAX_FILE_BYTES: u64 = 1024 * 1024;

/// A configuration and where it came from.
#[derive(Clone, Debug)]
pub struct Loaded {
    /// The configuration.
    pub config: Config,
    /// The file that was read; none: there was none, and the built-in defaults hold.
    pub file: Option<PathBuf>,
}

/// Which configuration a command is about.
#[derive(Clone, Debug)]
pub struct Configured {
    /// The file that was named.
    pub file: Option<PathBuf>,
    /// Options that win over the file.
    pub overrides: Vec<Override>,
    /// Where sockets listen that were inherited; the command line knows none.
    pub inherited: Vec<SocketAddr>,
}

impl Configured {
    /// Reads it: the named file, else the first of [`SEARCH_PATH`] that exists, else the built-in
    /// defaults; then the command line's values on top, and the addresses of inherited sockets.
    ///
    /// # Errors
    /// Every mistake of the file and of the command line, in their order.
    pub fn load(&self) -> Result<Loaded, Vec<Diagnostic>> {
        let mut searched = SEARCH_PATH.iter().map(PathBuf::from);
        // A file that exists and cannot be read is an error, not a reason to look further.
        let found = || searched.find(|path| path.symlink_metadata().is_ok());
        let file = self.file.clone().or_else(found);
        let text = match &file {
            Some(path) => read(path, self.file.is_none())?,
            None => String::new(),
        };
        let path = file.as_deref().unwrap_or(Path::new(""));
        let config = draft(&text, path, &self.overrides).finish(&self.inherited)?;
        Ok(Loaded { config, file })
    }
}

/// Reads the text of a configuration file; one that was found, and not named, has to be one that
/// root may take.
fn read(path: &Path, found: bool) -> Result<String, Vec<Diagnostic>> {
    if path == Path::new(EMPTY) {
        return Ok(String::new());
    }
    let name = path.display().to_string();
    let mistake = |message: String| vec![Diagnostic::error(Place::whole(&name), message, "")];
    let cannot_read = |error: io::Error| {
        mistake(format!(
            "cannot read the configuration file: {}; expected a text file like the \
             flashpolicy.conf that comes with flashpolicyd",
            reason(&error)
        ))
    };
    let (file, metadata) = system::open(path).map_err(cannot_read)?;
    if found && path.is_relative() {
        if let Some(why) = system::put_here_by(&metadata).map_err(cannot_read)? {
            return Err(mistake(format!(
                "root does not use a configuration of the current folder that another user \
                     may have put there: {why}; to use it all the same: --config ./{}",
                path.display()
            )));
        }
    }
    let mut bytes = Vec::new();
    file.take(MAX_FILE_BYTES + 1)
        .read_to_end(&mut bytes)
        .map_err(cannot_read)?;
    if bytes.len() as u64 > MAX_FILE_BYTES {
        return Err(mistake(
            "larger than 1 MiB: this is no configuration file".into(),
        ));
    }
    String::from_utf8(bytes).map_err(|error| {
        let good = &error.as_bytes()[..error.utf8_error().valid_up_to()];
        let line = 1 + good.iter().filter(|&&byte| byte == b'\n').count();
        let place = Place {
            line: Some(line),
            ..Place::whole(&name)
        };
        vec![Diagnostic::error(
            place,
            "not UTF-8 text",
            "save the file as UTF-8",
        )]
    })
}

/// Whether a text is a configuration rather than a policy: it has a line that sets one of our keys,
/// and none that begins like XML.
pub fn looks_like_one(bytes: &[u8]) -> bool {
    let text = String::from_utf8_lossy(bytes);
    let lines = || text.trim_start_matches('\u{feff}').lines().map(str::trim);
    let sets_a_key = |line: &str| {
        line.split_once('=')
            .is_some_and(|(key, _)| is_key(key.trim()))
    };
    lines().any(sets_a_key) && !lines().any(|line| line.starts_with('<'))
}
