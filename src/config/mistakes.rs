//! The codes for what is wrong with a configuration as a whole, and the cure for an unknown key: the
//! key that was probably meant. It finds no mistakes.

use std::net::SocketAddr;

use crate::output::diagnostic::Severity;
use crate::output::text::{did_you_mean, quote, shown};
use crate::policy::{Code, codes};

codes! {
    /// What can be wrong with a configuration as a whole, and with the host that it is for.
    ConfigCode
    Error {
        LogFile "log-file" "The log file cannot be opened.",
            example: "listen = [::]:843 / log_file = /no-such-folder/flashpolicy.log",
            general_cure: "make the folder, give it to the server's user, or set another `log_file`, or `none`",
            source: "the system's answer to opening the file";
        PidFile "pid-file" "The pid file cannot be written.",
            example: "listen = [::]:843 / pid_file = /no-such-folder/flashpolicyd.pid",
            general_cure: "make the folder, or set another `pid_file`, or `none`",
            source: "the system's answer to opening the file";
        User "user" "The user or the group does not exist, or cannot be taken on.",
            example: "listen = [::]:843 / user = no-such-user",
            general_cure: "write a user of /etc/passwd and a group of /etc/group; only root can become another user",
            source: "the system's list of users";
    }
    Warning {
        LoopbackOnly "loopback-only" "Every listener is on a loopback address: only this host can reach it.",
            example: "listen = 127.0.0.1:843",
            general_cure: "listen on every address of the host: `listen = [::]:843`",
            source: "127.0.0.1 and ::1 can be reached from the host itself only";
        MetaPolicyUnused "meta-policy-unused" "`meta_policy` is set, and no listener is on port 843, where alone it counts.",
            example: "listen = [::]:10843 / meta_policy = master-only",
            general_cure: "delete `meta_policy`, or listen on port 843 too",
            source: "Adobe's policy file specification: it counts in the policy on port 843";
        StatsFile "stats-file" "The file for the statistics cannot be written.",
            example: "listen = [::]:843 / stats_file = /no-such-folder/flashpolicyd.prom",
            general_cure: "make the folder and give it to the server's user, or set another `stats_file`",
            source: "the system's answer to writing the file";
        SharedUser "shared-user" "`user` is one that other services have, too.",
            example: "user = nobody",
            general_cure: "`useradd --system flashpolicyd`, and `user = flashpolicyd`",
            source: "signal(7), ptrace(2): a process may signal and trace the others of its user";
        OutOfReach "out-of-reach" "A file cannot be read again once the rights are given up: a reload will fail.",
            example: "`user = nobody`, and a configuration that only root may read, or a log in /var/log",
            general_cure: "let the server's user read the file, or restart; give the log a folder of that user's own",
            source: "the rights that are left after `user`";
    }
}

/// Every code that `ignore` and `--ignore` know, with its severity.
pub fn known_codes() -> Vec<(&'static str, Severity)> {
    let of_policies = Code::all().iter().map(|c| (c.as_str(), c.severity()));
    let own = ConfigCode::all().iter().map(|c| (c.as_str(), c.severity()));
    of_policies.chain(own).collect()
}

/// The names of our keys in other servers.
const OTHER_NAMES: [(&str, &str); 16] = [
    ("port", "listen"),
    ("address", "listen"),
    ("bind", "listen"),
    ("host", "listen"),
    ("ip", "listen"),
    ("domain", "allow"),
    ("grant", "allow"),
    ("ports", "allow"),
    ("to-ports", "allow"),
    ("allow-access-from", "allow"),
    ("policy", "policy_file"),
    ("file", "policy_file"),
    ("site-control", "meta_policy"),
    ("log", "log_file"),
    ("threads", "workers"),
    ("pid", "pid_file"),
];

/// The cure for a key that does not exist.
pub(super) fn instead_of(name: &str, value: &str, keys: &[&str]) -> String {
    let lower = name.to_ascii_lowercase();
    let other = OTHER_NAMES.iter().find(|(other, _)| *other == lower);
    let Some((_, key)) = other else {
        return did_you_mean(name, keys, "'")
            .unwrap_or_else(|| format!("expected one of: {}", keys.join(", ")));
    };
    let line = match (*key, value.parse::<u16>()) {
        ("listen", Ok(port)) => format!("listen = [::]:{port}"),
        ("listen", _) if value.parse::<SocketAddr>().is_ok() => format!("listen = {value}"),
        ("listen", _) => "listen = ADDRESS:PORT".into(),
        ("allow", _) => "allow = DOMAIN PORTS".into(),
        _ => format!("{key} = {}", shown(value)),
    };
    format!("write {}", quote(&line))
}
