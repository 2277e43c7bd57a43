//! Text of all commands: results on standard output, errors on standard error. It decides nothing.

use std::io::{self, IsTerminal, Write};

use crate::output::diagnostic::{self, Diagnostic};
use crate::output::exit::Exit;
use crate::output::terminal;
use crate::output::text::Colour;

/// Says what is wrong with the command line.
pub fn usage(error: &str) -> Exit {
    print_error(&format!("{error}\ntry: flashpolicyd help"));
    Exit::Usage
}

/// Prints to standard output; a reader that went away (`| head`) is no failure.
pub fn print(text: impl AsRef<[u8]>) -> Exit {
    let text = text.as_ref();
    // A console of Windows takes no bytes, only characters.
    let characters =
        (cfg!(windows) && io::stdout().is_terminal()).then(|| String::from_utf8_lossy(text));
    let text = characters.as_ref().map_or(text, |text| text.as_bytes());
    match io::stdout().write_all(text) {
        Err(error) if error.kind() != io::ErrorKind::BrokenPipe => Exit::Failed,
        _ => Exit::Fine,
    }
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
