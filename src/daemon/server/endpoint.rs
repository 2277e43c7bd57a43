//! A listener's address, and the policy that it serves at the moment. It touches no socket.

use std::net::SocketAddr;
use std::sync::{Arc, PoisonError, RwLock};

use super::context::Context;
use crate::daemon::stats::ListenerStats;

/// One listener's side of the policy.
pub(super) struct Endpoint {
    /// The address that is bound.
    pub(super) address: SocketAddr,
    /// Whether every connection has to begin with a PROXY header.
    pub(super) proxy: bool,
    /// What came in here.
    pub(super) stats: ListenerStats,
    /// What it shares with the server's other listeners.
    pub(super) context: Arc<Context>,
    policy: RwLock<Arc<[u8]>>,
}

impl Endpoint {
    pub(super) fn new(
        address: SocketAddr,
        proxy: bool,
        policy: Arc<[u8]>,
        context: Arc<Context>,
    ) -> Endpoint {
        Endpoint {
            address,
            proxy,
            stats: ListenerStats::default(),
            context,
            policy: RwLock::new(policy),
        }
    }

    /// Counts one more client.
    pub(super) fn count_accepted(&self) {
        self.context.stats.accepted.add_one();
        self.stats.accepted.add_one();
    }

    /// The whole policy as it is now, NUL included: a client gets the old one or the new one, never
    /// a mixture.
    pub(super) fn policy(&self) -> Arc<[u8]> {
        let policy = self.policy.read().unwrap_or_else(PoisonError::into_inner);
        Arc::clone(&policy)
    }

    pub(super) fn set_policy(&self, policy: Arc<[u8]>) {
        *self.policy.write().unwrap_or_else(PoisonError::into_inner) = policy;
    }
}
