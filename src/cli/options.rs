//! The commands and their options, each said once: the parser, "did you mean", the help, the manual and
//! the completions of the shells are made of these tables (the last two by `options_tests.rs`).

use pico_args::Keys;

use Value::{File, Flag, Text, Texts, Word};

/// What an option takes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Value {
    /// Nothing: it is given or not.
    Flag,
    /// Any text.
    Text,
    /// Any text, and the option may repeat.
    Texts,
    /// The path of a file.
    File,
    /// One of these words; what takes the value refuses others.
    Word(&'static [&'static str]),
}

/// An option.
#[derive(Clone, Copy, Debug)]
pub(super) struct Opt {
    /// As the help shows it: `-c, --config FILE`.
    pub label: &'static str,
    /// What stands behind it.
    pub value: Value,
    /// What it is for; the completions show its beginning, up to a mark or a bracket. Empty: the
    /// program itself gives the option, and no help has it.
    pub text: &'static str,
    /// The key of the configuration in whose place it stands.
    pub key: Option<&'static str>,
}

/// A command.
#[derive(Debug)]
pub(super) struct Command {
    /// The word for it.
    pub name: &'static str,
    /// Its help, which begins with a summary; `{options}` stands for its own options, and
    /// `{configuration}` for [`CONFIGURATION`].
    pub page: &'static str,
    /// The options that it has for itself.
    pub own: &'static [Opt],
    /// [`CONFIGURATION`], or none.
    pub common: &'static [Opt],
    /// Whether it takes arguments that are no options.
    pub operands: bool,
}

impl Opt {
    /// Its long name: `--config`.
    pub fn name(&self) -> &'static str {
        let mut words = self.label.split([' ', ',']);
        words.find(|word| word.starts_with("--")).unwrap_or("--")
    }

    /// Its names: `-c` and `--config`.
    pub fn keys(&self) -> Keys {
        let short = self.label.split_once(", ").map(|(short, _)| short);
        short.map_or(self.name().into(), |short| [short, self.name()].into())
    }

    /// Whether this is one of its names.
    pub fn is_named(&self, name: &[u8]) -> bool {
        let mut names = self
            .label
            .split([' ', ','])
            .filter(|word| word.starts_with('-'));
        names.any(|known| known.as_bytes() == name)
    }

    /// Whether users are told of it.
    pub fn is_shown(&self) -> bool {
        !self.text.is_empty()
    }

    const fn sets(mut self, key: &'static str) -> Opt {
        self.key = Some(key);
        self
    }
}

impl Command {
    /// All of its options.
    pub fn options(&self) -> impl Iterator<Item = &'static Opt> + use<> {
        self.own.iter().chain(self.common)
    }
}

const fn opt(label: &'static str, value: Value, text: &'static str) -> Opt {
    Opt {
        label,
        value,
        text,
        key: None,
    }
}

/// A command without operands that takes the options of the configuration.
const fn command(name: &'static str, page: &'static str, own: &'static [Opt]) -> Command {
    Command {
        name,
        page,
        own,
        common: &CONFIGURATION,
        operands: false,
    }
}

/// The options that stand for lines of the configuration, and the one that names it.
#[rustfmt::skip] // A line for each.
pub(super) const CONFIGURATION: [Opt; 8] = [
    opt("-c, --config FILE", File, "configuration (./flashpolicy.conf, else that in /etc)"),
    opt("--listen ADDR:PORT", Texts, "address and port to listen on ([::]:843); may repeat").sets("listen"),
    opt("--policy FILE", File, "a policy file to serve in place of 'allow' (none)").sets("policy_file"),
    opt("--workers N", Text, "threads that serve clients, for each listener (auto)").sets("workers"),
    opt("--timeout SECONDS", Text, "time that a client has for its request (3)").sets("timeout"),
    opt("--log-file FILE", File, "the log, or 'none' (flashpolicy.log)").sets("log_file"),
    opt("--log-level LEVEL", LEVEL, "what is logged: error, warn, info or debug (info)").sets("log_level"),
    opt("--pid-file FILE", File, "where to write the process id (none)").sets("pid_file"),
];
const LEVEL: Value = Word(&["error", "warn", "info", "debug"]);

const JSON: Opt = opt("--json", Flag, "one JSON object");
#[rustfmt::skip]
const IGNORE: Opt = opt("--ignore CODE[,...]", Texts, "warnings that are accepted, such as \
    allows-everything; may repeat");
#[rustfmt::skip]
const FROM: Opt = opt("--from ORIGIN", Text, "where the SWF is loaded from: www.example.com (http), \
    https://www.example.com, its whole URL, an IP address; file: or game.swf for one on the disk; * for \
    anywhere; app: is AIR's application content, which asks for no policy");
#[rustfmt::skip]
const TO: Opt = opt("--to PORTS", Text, "the ports that it connects to, as in 'allow': 9339,5000-5010; of \
    more than 16 a sample is asked");
#[rustfmt::skip]
const PLAYER: Opt = opt("--player PLAYER", Word(&["flash", "lightspark", "unity"]), "whose verdict: flash \
    (default), lightspark or unity");

/// The commands, in the order of the help.
#[rustfmt::skip] // A line for each option.
pub(super) const COMMANDS: [Command; 12] = [
    Command { common: &[], ..command("init", include_str!("help/init.txt"), &[
        opt("--from SITES", Text, "where the SWFs are loaded from, such as www.example.com or \
            *.example.com; several with blanks between; * for everywhere"),
        opt("--to PORTS", Text, "the ports of this host that they connect to: 9339,5000-5003"),
        opt("--by WHO", Word(&["root", "systemd", "nobody"]), "who opens port 843: root (root starts the \
            server), systemd (its units), or nobody (the port is 10843 then)"),
        opt("-c, --config FILE", File, "the file to write (flashpolicy.conf); never one that is there"),
    ]) },
    // `start` and `restart` give the option.
    command("serve", include_str!("help/serve.txt"), &[opt("--detached", Flag, "")]),
    command("start", include_str!("help/start.txt"), &[]),
    command("stop", include_str!("help/stop.txt"), &[]),
    command("restart", include_str!("help/restart.txt"), &[]),
    command("reload", include_str!("help/reload.txt"), &[]),
    command("status", include_str!("help/status.txt"), &[JSON]),
    Command { operands: true, ..command("check", include_str!("help/check.txt"), &[
        opt("--strict", Flag, "warnings count as errors"),
        IGNORE,
        JSON,
    ]) },
    command("policy", include_str!("help/policy.txt"), &[JSON]),
    Command { operands: true, ..command("explain", include_str!("help/explain.txt"), &[
        FROM,
        TO,
        PLAYER,
        JSON,
    ]) },
    Command { common: &[], operands: true, ..command("probe", include_str!("help/probe.txt"), &[
        FROM,
        TO,
        opt("--load HOST:PORT", Texts, "what it loads by loadPolicyFile: \"xmlsocket://HOST:PORT\"; may repeat"),
        opt("--tls", Flag, "ask inside TLS (1.2 or 1.3), as a SWF with SecureSocket asks; certificate and \
            host name are checked"),
        PLAYER,
        opt("--port PORT", Text, "ask this port as if it were 843"),
        opt("--timeout SECONDS", Text, "wait this long for each answer (6 on port 843, where a player \
            waits 3; 20 elsewhere)"),
        IGNORE,
        opt("--errors-only", Flag, "warnings are neither shown nor counted"),
        JSON,
        opt("-q, --quiet", Flag, "only the first line, which is a monitoring plugin's"),
    ]) },
    Command { common: &[], operands: true, ..command("help", include_str!("help/help.txt"), &[]) },
];

#[cfg(test)]
#[path = "options_tests.rs"]
mod tests;
