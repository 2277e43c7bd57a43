//! Asks a server what Flash Player would ask, in its order, and finds out why the answer is no.
//!
//! [`plan`] understands the arguments, `run` goes through the addresses of the host as the player
//! does, [`ask`] makes one exchange (`secure` inside TLS), [`classify`] says what came, `verdict` has
//! [`policy`](crate::policy) decide, `error` says what the SWF is told and when, `change` what to
//! change, and `first_line`, `story` and `json` tell it. Every exchange is bounded in time and in bytes, whatever the server does. No
//! byte that a server sends reaches a message unescaped, and no rule of policies is known here.

pub mod ask;
mod bytes;
mod change;
pub mod classes;
pub mod classify;
pub mod command;
mod error;
mod first_line;
mod hints;
mod json;
mod level;
mod parallel;
mod patience;
pub mod plan;
mod player;
mod progress;
mod recheck;
mod report;
mod resolve;
mod run;
mod secure;
mod service;
mod step;
mod story;
mod verdict;

pub use classes::Class;
pub use classify::{Answer, AnswerState, Remark};
pub use first_line::first_line;
pub use json::json;
pub use plan::{Arguments, HostPort, Plan};
pub use progress::Progress;
pub use report::{Address, Report};
pub use run::{report_of, run};
pub use secure::{NoTls, Tls};
pub use step::{Role, Step};
pub use story::story;
pub use verdict::{AllowedBy, PortVerdict};
