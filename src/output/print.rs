//! Text of all commands: results on standard output, errors on standard error. It decides nothing.

use std::io::{self, IsTerminal, Write};

use crate::output::diagnostic::{self, Diagnostic};
use crate::output::exit::Exit;
use crate::output::terminal;
use crate::output::text::{Colour, reason};

/// Says what is wrong with the command line.
pub fn usage(error: &str) -> Exit {
    print_error(&format!("{error}\ntry: flashpolicyd help"));
    Exit::Usage
}

/// Prints to standard output, and says on standard error where that fails; a reader that went away
/// (`| head`) is no failure.
pub fn print(text: impl AsRef<[u8]>) -> Exit {
    let text = text.as_ref();
    // A console of Windows takes no bytes, only characters.
    let characters =
        (cfg!(windows) && io::stdout().is_terminal()).then(|| String::from_utf8_lossy(text));
    let text = characters.as_ref().map_or(text, |text| text.as_bytes());
    let mut stdout = io::stdout();
    // A text without a line end stays in the buffer otherwise, and its failure unknown.
    match stdout.write_all(text).and_then(|()| stdout.flush()) {
        Err(error) if !is_readers_end(&error) => {
            let why = reason(&error);
            print_error(&format!("cannot write to standard output: {why}"));
            Exit::Failed
        }
        _ => Exit::Fine,
    }
}

fn is_readers_end(error: &io::Error) -> bool {
    // ERROR_BROKEN_PIPE, ERROR_NO_DATA and ERROR_PIPE_NOT_CONNECTED; std maps the first two.
    let of_windows = [109, 232, 233].map(Some).contains(&error.raw_os_error());
    error.kind() == io::ErrorKind::BrokenPipe || (cfg!(windows) && of_windows)
}

/// Says on standard error what went wrong; where even that fails, the exit code has to do.
pub fn print_error(message: &str) {
    let style = terminal::stderr();
    let program = style.paint(Colour::Bad, "flashpolicyd:");
    let text = format!("{program} {message}");
    for line in text.lines() {
        let _ = writeln!(io::stderr(), "{}", style.wrap(line, 2));
    }
}

/// Prints the mistakes of a configuration on standard error.
pub fn print_mistakes(mistakes: &[Diagnostic]) {
    for mistake in mistakes {
        print_error(&mistake.to_string());
    }
}

/// Prints on standard error what was found in a policy.
pub fn print_findings(findings: &[Diagnostic]) {
    let report = diagnostic::report(findings, &terminal::stderr());
    let _ = io::stderr().write_all(report.as_bytes());
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_reader_that_has_gone_has_three_numbers_on_windows() {
        for number in [109, 232, 233] {
            let error = io::Error::from_raw_os_error(number);
            assert_eq!(is_readers_end(&error), cfg!(windows), "{number}");
        }
        assert!(is_readers_end(&io::ErrorKind::BrokenPipe.into()));
    }
}
