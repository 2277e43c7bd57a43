//! One connection, from the first byte to the close. [`State`] has its states, and there is one
//! function for each. Only this file reads from clients and writes to them. It never blocks: where
//! nothing can be done, it returns what to wait for.

use std::net::{Shutdown, SocketAddr, TcpStream};
use std::os::fd::{AsFd, AsRawFd, BorrowedFd};
use std::sync::Arc;
use std::thread;
use std::time::{Duration, Instant};

use log::Level;
use nix::errno::Errno;
use nix::sys::socket::{MsgFlags, recv, send};
use socket2::SockRef;

use super::context::Context;
use super::endpoint::Endpoint;
use super::proxy::{self, HeaderProgress, MAX_HEADER_BYTES, ProxiedClient};
use super::request::{MAX_REQUEST_BYTES, Progress, UnreadInput, parse_request};
use super::source::Source;
use super::table::{Phase, Wait};
use crate::daemon::stats::{Counter, Stats};
use crate::output::text::escaped;
use crate::player::protocols;

/// How long a connection may linger.
const LINGER: Duration = Duration::from_secs(3);

/// How long while the server stops.
pub(super) const LINGER_AT_STOP: Duration = Duration::from_millis(300);

/// How many bytes of one client are dropped.
const MOST_DROPPED: usize = 16 * 1024 * 1024;

/// How many are read by one call, and by how many calls before other connections are served.
const DROPPED_A_READ: usize = 16 * 1024;
const READS_A_STEP: usize = 16;

/// A policy of this size fits into the kernel's send buffer, however small the client's packets.
const ALWAYS_FITS_SEND_BUFFER: usize = 512;

/// What the kernel may need for a byte that waits to be sent, where the client asks for the
/// smallest packets.
const OVERHEAD: usize = 16;

/// How many of the bytes that are no request the log shows, escaped.
const SHOWN_BYTES: usize = 16;

/// How long a thread waits where the kernel lacks memory for a moment. The call is then made again,
/// within the client's deadline.
const SHORTAGE_PAUSE: Duration = Duration::from_millis(1);

/// What follows is the end of the stream, at once: the kernel puts it into the policy's own packet,
/// which saves both sides a packet and the client a wake-up.
const MORE_FOLLOWS: MsgFlags = MsgFlags::from_bits_retain(nix::libc::MSG_MORE);

/// An accepted connection.
pub(super) struct Connection {
    stream: TcpStream,
    /// The client's address; an IPv4 client has an IPv4 address, also on an IPv6 socket. Behind a
    /// load balancer it is the balancer's, until the PROXY header has been read.
    peer: SocketAddr,
    accepted: Instant,
    state: State,
    /// The level of the lines about a client that is served.
    level: Level,
    /// Whether it has lines in the log; none: that is not decided yet.
    has_lines: Option<bool>,
    /// The line about its arrival has been written.
    is_logged: bool,
    /// What the poller was told to wait for; none before the first wait.
    registered: Option<Phase>,
    /// Last, so that the descriptor is closed before the connection counts as closed.
    endpoint: OpenAt,
}

/// The listener of an open connection, which is counted as long as this lives.
struct OpenAt(Arc<Endpoint>);

impl Drop for OpenAt {
    fn drop(&mut self) {
        self.0.context.closed();
    }
}

/// The client's next step.
enum State {
    /// A balancer's PROXY header. These bytes of it are here.
    Header(Vec<u8>),
    /// A request. These bytes of it are here.
    Asking(Vec<u8>),
    /// That it takes the rest of the policy.
    Answering(Sending),
    /// That it closes its side. Until then, whatever it sends is dropped.
    Closing(Linger),
}

struct Sending {
    policy: Arc<[u8]>,
    sent: usize,
    /// When the client took the last byte, or since when it does not take the first.
    progress: Option<Instant>,
    unread: UnreadInput,
}

struct Linger {
    phase: Phase,
    dropped: usize,
    until: Instant,
}

/// The next step for a connection.
pub(super) enum Next {
    /// There is nothing to do until its event comes or its deadline passes.
    Wait(Wait),
    /// It is over: the connection is to be closed.
    Close,
}

impl Connection {
    pub(super) fn new(stream: TcpStream, peer: SocketAddr, endpoint: &Arc<Endpoint>) -> Connection {
        endpoint.context.opened();
        Connection {
            stream,
            // IPv4 clients of an IPv6 socket are IPv4 clients everywhere else.
            peer: SocketAddr::new(peer.ip().to_canonical(), peer.port()),
            accepted: Instant::now(),
            state: if endpoint.proxy {
                // Whether it is a client's is not known yet.
                State::Header(Vec::new())
            } else {
                endpoint.count_accepted();
                State::Asking(Vec::new())
            },
            level: Level::Info,
            has_lines: None,
            is_logged: false,
            registered: None,
            endpoint: OpenAt(Arc::clone(endpoint)),
        }
    }

    fn context(&self) -> &Context {
        &self.endpoint.0.context
    }

    /// The source that it counts for: the client that a balancer named, or the balancer's until
    /// then.
    fn source(&self) -> Source {
        Source::of(self.peer.ip())
    }

    /// What the poller was told to wait for; none before the first wait.
    pub(super) fn registered(&self) -> Option<Phase> {
        self.registered
    }

    /// The poller waits for this from now on. Before the first wait the socket gets its time-outs:
    /// nothing that is ever done with it can block for longer.
    pub(super) fn register(&mut self, phase: Phase) {
        if self.registered.is_none() {
            let timeout = Some(self.context().timeout);
            // Nothing here blocks: where the system refuses them, nothing is lost.
            let _ = self.stream.set_read_timeout(timeout);
            let _ = self.stream.set_write_timeout(timeout);
        }
        self.registered = Some(phase);
    }

    /// Does what there is to do, without waiting.
    pub(super) fn proceed(&mut self) -> Next {
        match &self.state {
            State::Header(_) => self.read_header(),
            State::Asking(_) => self.read_request(),
            State::Answering(_) => self.send_policy(),
            State::Closing(_) => self.drop_input(),
        }
    }

    /// Reads the balancer's header: from then on the client is the one that it names.
    fn read_header(&mut self) -> Next {
        let State::Header(received) = &mut self.state else {
            return Next::Close;
        };
        let mut bytes = [0; MAX_HEADER_BYTES];
        let room = MAX_HEADER_BYTES - received.len().min(MAX_HEADER_BYTES);
        let read = receive(&self.stream, &mut bytes[..room]);
        if let Read::Bytes(count) = read {
            received.extend_from_slice(&bytes[..count]);
        }
        match (read, proxy::parse_header(received)) {
            (Read::Ended, _) => {
                // Without a header it is no client's.
                log::debug!("{}: Closed before a PROXY header.", self.peer);
                Next::Close
            }
            (_, HeaderProgress::Complete(header)) => {
                let first = received.split_off(header.len);
                self.adopt_client(header.client);
                self.state = State::Asking(Vec::new());
                match first.is_empty() {
                    true => self.read_request(),
                    false => self.take_request_bytes(&first),
                }
            }
            (_, HeaderProgress::Never) => {
                let received = std::mem::take(received);
                self.count_end(|stats| &stats.not_a_request);
                self.end("No PROXY header. Closing connection.", &received)
            }
            (_, HeaderProgress::Incomplete) if self.is_late() => {
                self.count_end(|stats| &stats.timed_out);
                self.end("Timed out before a PROXY header. Closing.", &[])
            }
            (_, HeaderProgress::Incomplete) => self.wait_to_ask(),
        }
    }

    /// The balancer has said whose connection it is.
    fn adopt_client(&mut self, client: ProxiedClient) {
        let balancer = self.peer;
        match client {
            // In a header of version 1, HAProxy's health checks name the balancer itself.
            ProxiedClient::Known(client) if client != balancer => {
                self.peer = client;
                log::debug!("{client}: Through {balancer}.");
            }
            ProxiedClient::Unknown => {}
            ProxiedClient::Known(_) | ProxiedClient::Balancer => {
                // A health check every second must not fill the log.
                self.level = Level::Debug;
                log::debug!("{balancer}: A connection of the load balancer itself.");
            }
        }
        if self.is_a_clients() {
            self.endpoint.0.count_accepted();
        }
    }

    /// Whether it counts: the load balancer's own connections do not.
    fn is_a_clients(&self) -> bool {
        self.level == Level::Info
    }

    /// Counts how it ended, where it is a client's.
    fn count_end(&self, counter: impl Fn(&Stats) -> &Counter) {
        if matches!(self.state, State::Header(_)) {
            self.endpoint.0.count_accepted();
        }
        if self.is_a_clients() {
            counter(&self.context().stats).add_one();
        }
    }

    /// Reads what there is of the request.
    fn read_request(&mut self) -> Next {
        let State::Asking(received) = &self.state else {
            return Next::Close;
        };
        let mut bytes = [0; MAX_REQUEST_BYTES];
        let room = MAX_REQUEST_BYTES - received.len().min(MAX_REQUEST_BYTES);
        match receive(&self.stream, &mut bytes[..room]) {
            Read::Bytes(count) => self.take_request_bytes(&bytes[..count]),
            Read::Nothing => self.take_request_bytes(&[]),
            Read::Ended => {
                self.count_end(|stats| &stats.gone);
                self.log_end("Closed before a request.");
                Next::Close
            }
        }
    }

    /// Takes the next bytes of the client.
    fn take_request_bytes(&mut self, bytes: &[u8]) -> Next {
        let State::Asking(received) = &mut self.state else {
            return Next::Close;
        };
        received.extend_from_slice(bytes);
        // A header's last read may hold more.
        received.truncate(MAX_REQUEST_BYTES);
        match parse_request(received) {
            Progress::Complete(unread) => {
                self.log_accepted();
                self.state = State::Answering(Sending {
                    policy: self.endpoint.0.policy(),
                    sent: 0,
                    progress: None,
                    unread,
                });
                self.send_policy()
            }
            Progress::Never => {
                let received = std::mem::take(received);
                self.count_end(|stats| &stats.not_a_request);
                let why = if proxy::looks_like_a_header(&received) {
                    "A PROXY header, which this 'listen' does not expect. Closing connection."
                        .into()
                } else if let Some(protocol) = protocols::client_speaks(&received) {
                    format!("Not a policy request, but {protocol}. Closing connection.")
                } else {
                    let first = escaped(&received[..received.len().min(SHOWN_BYTES)]);
                    format!("Not a policy request: it began with \"{first}\". Closing connection.")
                };
                self.end(&why, &received)
            }
            // The deadline is checked after the bytes: a request that came in time is answered also
            // where this process was stopped meanwhile.
            Progress::Incomplete if self.is_late() => {
                self.count_end(|stats| &stats.timed_out);
                self.end("Timed out. Closing.", &[])
            }
            Progress::Incomplete => self.wait_to_ask(),
        }
    }

    /// Sends the policy in one write, and into the kernel's send buffer as a whole where it can be
    /// had: some clients read once.
    fn send_policy(&mut self) -> Next {
        let timeout = self.context().timeout;
        let State::Answering(answer) = &mut self.state else {
            return Next::Close;
        };
        let policy = &answer.policy;
        if answer.sent == 0 && policy.len() > ALWAYS_FITS_SEND_BUFFER {
            // As much as the system allows. Where that is too little, the client is waited for.
            let _ = SockRef::from(&self.stream).set_send_buffer_size(policy.len() * OVERHEAD);
        }
        let flags = MsgFlags::MSG_DONTWAIT | MsgFlags::MSG_NOSIGNAL | MORE_FOLLOWS;
        let sent = send(self.stream.as_raw_fd(), &policy[answer.sent..], flags);
        let now = Instant::now();
        match sent {
            Ok(count) => {
                answer.sent += count;
                answer.progress = Some(now);
            }
            Err(Errno::EAGAIN | Errno::EINTR) => {}
            Err(Errno::ENOBUFS | Errno::ENOMEM) => thread::sleep(SHORTAGE_PAUSE),
            Err(error) => return self.could_not_send(error.desc()),
        }
        if answer.sent == policy.len() {
            let unread = answer.unread;
            let time = now.saturating_duration_since(self.accepted);
            if self.is_a_clients() {
                self.endpoint.0.stats.served.add_one();
                let stats = &self.context().stats;
                stats.served.add_one();
                stats.answer_time.record(time);
            }
            self.log("Policy sent. Closing connection.");
            return self.linger(unread, now);
        }
        // Its time begins with the first attempt, not with its arrival.
        let deadline = *answer.progress.get_or_insert(now) + timeout;
        if now >= deadline {
            return self.could_not_send("the client does not read it");
        }
        self.wait(Phase::Answering, deadline)
    }

    fn could_not_send(&mut self, why: &str) -> Next {
        self.count_end(|stats| &stats.write_failed);
        self.log(&format!(
            "Could not send the policy: {why}. Closing connection."
        ));
        Next::Close
    }

    /// Ends a connection whose client asked for nothing, and sent these bytes that are no request.
    fn end(&mut self, why: &str, received: &[u8]) -> Next {
        self.log_end(why);
        if !received.is_empty() {
            let peer = self.peer;
            log::debug!("{peer}: It began with \"{}\".", escaped(received));
        }
        self.linger(UnreadInput::Possible, Instant::now())
    }

    /// Closes so that the client sees a clean end: bytes that it sent and nobody read turn a close
    /// into a reset, and on Windows a reset throws away a policy that already arrived. The end is
    /// sent first, always, so that the policy is under way.
    fn linger(&mut self, unread: UnreadInput, now: Instant) -> Next {
        // The client is gone: there is nobody left to send a reset to.
        if self.stream.shutdown(Shutdown::Write).is_err() {
            return Next::Close;
        }
        let phase = match unread {
            UnreadInput::None if !self.context().lingering.permits(now) => return Next::Close,
            UnreadInput::None => Phase::ClosingRead,
            UnreadInput::Possible => Phase::ClosingUnread,
        };
        let stopping = self.context().is_stopping();
        let until = now + if stopping { LINGER_AT_STOP } else { LINGER };
        self.state = State::Closing(Linger {
            phase,
            dropped: 0,
            until,
        });
        self.wait(phase, until)
    }

    /// Reads and drops what still comes.
    fn drop_input(&mut self) -> Next {
        let stopping = self.context().is_stopping();
        let State::Closing(linger) = &mut self.state else {
            return Next::Close;
        };
        let before = linger.dropped;
        let mut bytes = [0; DROPPED_A_READ];
        for _ in 0..READS_A_STEP {
            match receive(&self.stream, &mut bytes) {
                Read::Bytes(count) => linger.dropped += count,
                Read::Nothing => break,
                Read::Ended => return Next::Close,
            }
        }
        let now = Instant::now();
        if stopping {
            // Without a byte it was the deadline that brought it here, which the stop has shortened.
            if linger.dropped == before {
                return Next::Close;
            }
            linger.until = linger.until.min(now + LINGER_AT_STOP);
        }
        if linger.dropped >= MOST_DROPPED || now >= linger.until {
            return Next::Close;
        }
        let (phase, until) = (linger.phase, linger.until);
        self.wait(phase, until)
    }

    /// It is closed before its deadline, for this reason.
    pub(super) fn evicted(mut self, why: &str) {
        self.count_end(|stats| &stats.evicted);
        self.log_end(why);
    }

    /// The table is full, and nothing in it can be evicted.
    pub(super) fn refused(mut self) {
        self.count_end(|stats| &stats.refused);
        self.log_end(
            "Refused: the limit of connections is reached, and none can be spared. Closing.",
        );
    }

    /// The system does not let it wait.
    pub(super) fn cannot_wait(mut self) {
        self.count_end(|stats| &stats.cannot_wait);
        self.log_end("Closed: the system does not let it be waited for.");
    }

    fn wait(&self, phase: Phase, deadline: Instant) -> Next {
        let source = self.source();
        Next::Wait(Wait {
            source,
            phase,
            deadline,
        })
    }

    fn wait_to_ask(&self) -> Next {
        let deadline = self.accepted + self.context().timeout;
        self.wait(Phase::Asking, deadline)
    }

    fn is_late(&self) -> bool {
        self.accepted.elapsed() >= self.context().timeout
    }

    /// Whether it has lines in the log: a load must not push the log's own history out of the files
    /// that are kept.
    fn has_lines(&mut self) -> bool {
        if let Some(has_lines) = self.has_lines {
            return has_lines;
        }
        let (source, accepted) = (self.source(), self.accepted);
        // Lines of the level `debug` are for those who want all of them.
        let permitted = self.level == Level::Debug
            || self.context().client_lines.admit_or_count(source, accepted);
        self.has_lines = Some(permitted);
        permitted
    }

    fn log(&mut self, what: &str) {
        if self.has_lines() {
            log::log!(self.level, "{}: {what}", self.peer);
        }
    }

    /// Writes the line about its arrival, once.
    fn log_accepted(&mut self) {
        if !self.is_logged {
            self.is_logged = true;
            self.log("Connection accepted.");
        }
    }

    /// Writes the line about the arrival of a client that is waited for.
    pub(super) fn log_waiting(&mut self) {
        if matches!(self.state, State::Asking(_)) {
            self.log_accepted();
        }
    }

    /// Writes the last line about a client that asked for nothing.
    fn log_end(&mut self, what: &str) {
        self.log_waiting();
        self.log(what);
    }
}

impl AsFd for Connection {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.stream.as_fd()
    }
}

/// The outcome of one read.
#[derive(Clone, Copy)]
enum Read {
    Bytes(usize),
    /// Nothing is there at the moment.
    Nothing,
    /// The client has closed its side, or is gone.
    Ended,
}

fn receive(stream: &TcpStream, bytes: &mut [u8]) -> Read {
    match recv(stream.as_raw_fd(), bytes, MsgFlags::MSG_DONTWAIT) {
        Ok(0) => Read::Ended,
        Ok(count) => Read::Bytes(count),
        Err(Errno::EAGAIN | Errno::EINTR) => Read::Nothing,
        Err(Errno::ENOBUFS | Errno::ENOMEM) => {
            thread::sleep(SHORTAGE_PAUSE);
            Read::Nothing
        }
        Err(_) => Read::Ended,
    }
}
