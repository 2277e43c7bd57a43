//! A socket policy: what clients are told. It knows nothing of sockets.

/// What is served when no policy is configured: what Adobe's and the original server sent. Content
/// from anywhere may connect to every port.
pub const BUILT_IN: &str = "<cross-domain-policy><allow-access-from domain=\"*\" to-ports=\"*\" />\
     </cross-domain-policy>";

/// The bytes that go on the wire: the policy and the NUL that ends it.
///
/// A policy that ends in NULs already is not given another. Source: rule book section 1.2 (DG).
pub fn on_the_wire(mut policy: Vec<u8>) -> Vec<u8> {
    if policy.last() != Some(&0) {
        policy.push(0);
    }
    policy
}
