//! Standard output and standard error as destinations of the log. The open descriptors are used; no
//! file is opened by these names.

use std::fs::{self, File};
use std::io::{self, Write};
use std::os::fd::AsFd;
use std::path::Path;

use super::writer::Destination;

/// One of the streams that the process was started with.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Stream {
    Output,
    Error,
}

impl Stream {
    /// The stream that a path of the configuration means: `/dev/stdout` and `/dev/stderr`, also
    /// where a link leads to them, as in containers.
    pub(super) fn named(path: &Path) -> Option<Stream> {
        let of = |path: &Path| match path.to_str() {
            Some("/dev/stdout") => Some(Stream::Output),
            Some("/dev/stderr") => Some(Stream::Error),
            _ => None,
        };
        of(path).or_else(|| of(&fs::read_link(path).ok()?))
    }
}

/// A stream, through a descriptor of its own: no buffer of the library's is in between.
pub(super) struct Console {
    stream: Stream,
    file: File,
}

impl Console {
    pub(super) fn open(stream: Stream) -> io::Result<Console> {
        let own = match stream {
            Stream::Output => io::stdout().as_fd().try_clone_to_owned()?,
            Stream::Error => io::stderr().as_fd().try_clone_to_owned()?,
        };
        Ok(Console {
            stream,
            file: File::from(own),
        })
    }
}

impl Destination for Console {
    fn name(&self) -> String {
        match self.stream {
            Stream::Output => "standard output".into(),
            Stream::Error => "standard error".into(),
        }
    }

    fn write(&mut self, batch: &[u8], next: &mut usize) -> io::Result<()> {
        loop {
            match self.file.write(&batch[*next..]) {
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                written => {
                    *next += written?;
                    return Ok(());
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_names_of_the_streams_and_links_to_them_mean_the_open_descriptors() {
        let folder = tempfile::tempdir().unwrap();
        let link = folder.path().join("access.log");
        std::os::unix::fs::symlink("/dev/stderr", &link).unwrap();
        assert_eq!(Stream::named(&link), Some(Stream::Error));
        let output = Stream::named(Path::new("/dev/stdout"));
        assert_eq!(output, Some(Stream::Output));
        assert_eq!(Stream::named(Path::new("/dev/null")), None);
        assert_eq!(Stream::named(folder.path()), None);
    }
}
