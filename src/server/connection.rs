//! One connection, from the first byte to the close. [`State`] has its states, and there is one
//! function for each. Only this file reads from clients and writes to them. It never blocks: where
//! nothing can be done, it returns what to wait for.

use std::io;
use std::net::{Shutdown, SocketAddr, TcpStream};
use std::os::fd::{AsFd, AsRawFd, BorrowedFd};
use std::sync::Arc;
use std::time::{Duration, Instant};

use log::Level;
use nix::errno::Errno;
use nix::sys::socket::{MsgFlags, recv, send};
use socket2::SockRef;

use super::context::Context;
use super::endpoint::Endpoint;
use super::intake::Intake;
use super::places::{Phase, Rest};
use super::proxy::{self, Header, HeaderProgress, MAX_HEADER_BYTES, Whose};
use super::request::{MAX_REQUEST_BYTES, Progress};
use super::source::Source;

/// How long a connection may linger.
const LINGER: Duration = Duration::from_secs(3);

/// How long while the server stops.
pub(super) const LINGER_AT_THE_END: Duration = Duration::from_millis(300);

/// How many bytes of one client are dropped.
const MOST_DROPPED: usize = 16 * 1024 * 1024;

/// How many are read at once, and how often before it is the turn of others.
const DROPPED_AT_ONCE: usize = 16 * 1024;
const DROPS_A_TURN: usize = 16;

/// A policy of this size fits into the kernel's send buffer, however small the client's packets.
const FITS_ANYWAY: usize = 512;

/// What the kernel may need for a byte that waits to be sent, where the client asks for the
/// smallest packets.
const OVERHEAD: usize = 16;

/// What follows is the end of the stream, at once: the kernel puts it into the policy's own packet,
/// which saves both sides a packet and the client a wake-up.
const MORE_FOLLOWS: MsgFlags = MsgFlags::from_bits_retain(nix::libc::MSG_MORE);

/// An accepted connection.
pub(super) struct Connection {
    stream: TcpStream,
    /// The client's address; an IPv4 client has an IPv4 address, also on an IPv6 socket. Behind a
    /// load balancer it is the balancer's, until the PROXY header has been read.
    peer: SocketAddr,
    source: Source,
    accepted: Instant,
    endpoint: Arc<Endpoint>,
    state: State,
    /// The level of the lines about a client that is served.
    level: Level,
    /// The line about its arrival has been written.
    announced: bool,
    /// It has waited before: its time-outs are set, and the poller knows it.
    has_waited: bool,
}

/// The client's next step.
enum State {
    /// A balancer's PROXY header. These bytes of it are here.
    Introducing(Vec<u8>),
    /// A request.
    Asking(Intake),
    /// That it takes the rest of the policy.
    Answering(Sending),
    /// That it closes its side. Until then, whatever it sends is dropped.
    Closing(Linger),
}

struct Sending {
    policy: Arc<[u8]>,
    sent: usize,
    /// When the client took the last byte.
    progress: Instant,
    rest: Rest,
}

struct Linger {
    rest: Rest,
    dropped: usize,
    until: Instant,
}

/// The event that a connection waits for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Awaited {
    /// Bytes, or the end of the stream.
    Input,
    /// Room in the kernel's send buffer.
    Room,
}

/// The next step for a connection.
pub(super) enum Next {
    /// There is nothing to do until this comes, or this moment.
    Wait(Awaited, Phase, Instant),
    /// It is over: the connection is to be closed.
    Close,
}

impl Connection {
    pub(super) fn new(stream: TcpStream, peer: SocketAddr, endpoint: Arc<Endpoint>) -> Connection {
        let state = if endpoint.proxy {
            State::Introducing(Vec::new())
        } else {
            State::Asking(Intake::default())
        };
        Connection {
            stream,
            peer,
            source: Source::of(peer.ip()),
            accepted: Instant::now(),
            endpoint,
            state,
            level: Level::Info,
            announced: false,
            has_waited: false,
        }
    }

    /// When it was accepted.
    pub(super) fn accepted(&self) -> Instant {
        self.accepted
    }

    /// The source that it counts for.
    pub(super) fn source(&self) -> Source {
        self.source
    }

    /// The client that a balancer has named so far. It takes no bytes and does not wait.
    pub(super) fn named_by_the_balancer(&self) -> Option<SocketAddr> {
        let mut bytes = [0; MAX_HEADER_BYTES];
        let flags = MsgFlags::MSG_DONTWAIT | MsgFlags::MSG_PEEK;
        let count = recv(self.stream.as_raw_fd(), &mut bytes, flags).ok()?;
        match proxy::look(bytes.get(..count)?) {
            HeaderProgress::Complete(Header {
                whose: Whose::Client(client),
                ..
            }) => Some(client),
            _ => None,
        }
    }

    /// It takes its places as this source.
    pub(super) fn counts_as(&mut self, source: Source) {
        self.source = source;
    }

    /// Makes ready for the first wait; false from the second one on. The time-outs see to it that
    /// nothing that is ever done with this socket can block for longer.
    ///
    /// # Errors
    /// The system's error.
    pub(super) fn begin_to_wait(&mut self, context: &Context) -> io::Result<bool> {
        if self.has_waited {
            return Ok(false);
        }
        self.stream.set_read_timeout(Some(context.timeout))?;
        self.stream.set_write_timeout(Some(context.timeout))?;
        self.has_waited = true;
        Ok(true)
    }

    /// Whether the poller knows it.
    pub(super) fn has_waited(&self) -> bool {
        self.has_waited
    }

    /// Does what there is to do, without waiting.
    pub(super) fn proceed(&mut self, context: &Context) -> Next {
        match &self.state {
            State::Introducing(_) => self.introduce(context),
            State::Asking(_) => self.ask(context),
            State::Answering(_) => self.answer(context),
            State::Closing(_) => self.close(context),
        }
    }

    /// Reads the balancer's header: from then on the client is the one that it names.
    fn introduce(&mut self, context: &Context) -> Next {
        let State::Introducing(received) = &mut self.state else {
            return Next::Close;
        };
        let mut bytes = [0; MAX_HEADER_BYTES];
        let room = MAX_HEADER_BYTES - received.len().min(MAX_HEADER_BYTES);
        let read = receive(&self.stream, &mut bytes[..room]);
        if let Read::Bytes(count) = read {
            received.extend_from_slice(&bytes[..count]);
        }
        let balancer = self.peer;
        match (read, proxy::look(received)) {
            (Read::Ended, _) => {
                context.stats.gone.add_one();
                log::debug!("{balancer}: Closed before a PROXY header.");
                Next::Close
            }
            (_, HeaderProgress::Complete(header)) => {
                let first = received.split_off(header.len);
                self.be(header.whose);
                self.state = State::Asking(Intake::default());
                self.hear(&first, context)
            }
            (_, HeaderProgress::Never) => {
                context.stats.not_a_request.add_one();
                let received = std::mem::take(received);
                self.end(context, "No PROXY header. Closing connection.", &received)
            }
            (_, HeaderProgress::Incomplete) if self.is_late(context) => {
                context.stats.timed_out.add_one();
                self.end(context, "Timed out before a PROXY header. Closing.", &[])
            }
            (_, HeaderProgress::Incomplete) => self.wait_to_ask(context),
        }
    }

    /// The balancer has said whose connection it is.
    fn be(&mut self, whose: Whose) {
        let balancer = self.peer;
        match whose {
            Whose::Client(client) => {
                self.peer = client;
                self.source = Source::of(client.ip());
                log::debug!("{client}: Through {balancer}.");
            }
            Whose::Unknown => {}
            Whose::Balancer => {
                // A health check every second must not fill the log.
                self.level = Level::Debug;
                log::debug!("{balancer}: A connection of the load balancer itself.");
            }
        }
    }

    /// Reads what there is of the request.
    fn ask(&mut self, context: &Context) -> Next {
        let State::Asking(intake) = &self.state else {
            return Next::Close;
        };
        let mut bytes = [0; MAX_REQUEST_BYTES];
        match receive(&self.stream, &mut bytes[..intake.room()]) {
            Read::Bytes(count) => self.hear(&bytes[..count], context),
            Read::Nothing => self.hear(&[], context),
            Read::Ended => {
                context.stats.gone.add_one();
                self.tell(context, "Closed before a request.");
                Next::Close
            }
        }
    }

    /// Takes the next bytes of the client.
    fn hear(&mut self, bytes: &[u8], context: &Context) -> Next {
        let State::Asking(intake) = &mut self.state else {
            return Next::Close;
        };
        match intake.feed(bytes) {
            Progress::Complete => {
                let rest = intake.rest();
                self.announce();
                self.state = State::Answering(Sending {
                    policy: self.endpoint.policy(),
                    sent: 0,
                    progress: self.accepted,
                    rest,
                });
                self.answer(context)
            }
            Progress::Never => {
                context.stats.not_a_request.add_one();
                let received = intake.take_received();
                let why = if proxy::looks_like_a_header(&received) {
                    "A PROXY header, which this 'listen' does not expect. Closing connection."
                } else {
                    "Not a policy request. Closing connection."
                };
                self.end(context, why, &received)
            }
            // The deadline is looked at after the bytes: a request that came in time is answered
            // also where this process was stopped meanwhile.
            Progress::Incomplete if self.is_late(context) => {
                context.stats.timed_out.add_one();
                self.end(context, "Timed out. Closing.", &[])
            }
            Progress::Incomplete => {
                if !self.announced && context.quiet_lines.permits(Instant::now()) {
                    self.announce();
                }
                self.wait_to_ask(context)
            }
        }
    }

    /// Sends the policy in one write, and into the kernel's send buffer as a whole where it can be
    /// had: some clients read once.
    fn answer(&mut self, context: &Context) -> Next {
        let State::Answering(answer) = &mut self.state else {
            return Next::Close;
        };
        let policy = &answer.policy;
        if answer.sent == 0 && policy.len() > FITS_ANYWAY {
            // As much as the system allows. Where that is too little, the client is waited for.
            let _ = SockRef::from(&self.stream).set_send_buffer_size(policy.len() * OVERHEAD);
        }
        let flags = MsgFlags::MSG_DONTWAIT | MsgFlags::MSG_NOSIGNAL | MORE_FOLLOWS;
        let sent = send(self.stream.as_raw_fd(), &policy[answer.sent..], flags);
        let now = Instant::now();
        match sent {
            Ok(count) => {
                answer.sent += count;
                answer.progress = now;
            }
            Err(Errno::EAGAIN | Errno::EINTR) if answer.sent == 0 => {
                // Its time begins with the first attempt, not with its arrival.
                if answer.progress == self.accepted {
                    answer.progress = now;
                }
            }
            Err(Errno::EAGAIN | Errno::EINTR) => {}
            Err(error) => return self.could_not_send(context, error.desc()),
        }
        let until = answer.progress + context.timeout;
        if answer.sent == policy.len() {
            let rest = answer.rest;
            context.stats.served.add_one();
            self.endpoint.stats.served.add_one();
            let time = now.saturating_duration_since(self.accepted);
            context.stats.answer_time.record(time);
            log::log!(
                self.level,
                "{}: Policy sent. Closing connection.",
                self.peer
            );
            return self.linger(rest, now, context);
        }
        if now >= until {
            return self.could_not_send(context, "the client does not read it");
        }
        Next::Wait(Awaited::Room, Phase::Answering, until)
    }

    fn could_not_send(&mut self, context: &Context, why: &str) -> Next {
        context.stats.write_failed.add_one();
        let peer = self.peer;
        log::info!("{peer}: Could not send the policy: {why}. Closing connection.");
        Next::Close
    }

    /// Ends a connection whose client asked for nothing, and sent these bytes that are no request.
    fn end(&mut self, context: &Context, why: &str, received: &[u8]) -> Next {
        self.tell(context, why);
        if !received.is_empty() {
            let peer = self.peer;
            log::debug!("{peer}: It began with \"{}\".", received.escape_ascii());
        }
        self.linger(Rest::Possible, Instant::now(), context)
    }

    /// Closes so that the client sees a clean end: bytes that it sent and nobody read turn a close
    /// into a reset, and on Windows a reset throws away a policy that already arrived. The end is
    /// sent first, always, so that the policy is under way.
    fn linger(&mut self, rest: Rest, now: Instant, context: &Context) -> Next {
        // The client is gone: there is nobody left to send a reset to.
        if self.stream.shutdown(Shutdown::Write).is_err() {
            return Next::Close;
        }
        if rest == Rest::Nothing && !context.lingering.permits(now) {
            return Next::Close;
        }
        let time = if context.is_stopping() {
            LINGER_AT_THE_END
        } else {
            LINGER
        };
        let until = now + time;
        self.state = State::Closing(Linger {
            rest,
            dropped: 0,
            until,
        });
        Next::Wait(Awaited::Input, Phase::Closing(rest), until)
    }

    /// Reads and drops what still comes.
    fn close(&mut self, context: &Context) -> Next {
        let State::Closing(linger) = &mut self.state else {
            return Next::Close;
        };
        let before = linger.dropped;
        let mut bytes = [0; DROPPED_AT_ONCE];
        for _ in 0..DROPS_A_TURN {
            match receive(&self.stream, &mut bytes) {
                Read::Bytes(count) => linger.dropped += count,
                Read::Nothing => break,
                Read::Ended => return Next::Close,
            }
        }
        let now = Instant::now();
        if context.is_stopping() {
            // Without a byte it was the deadline that brought it here, which the stop has shortened.
            if linger.dropped == before {
                return Next::Close;
            }
            linger.until = linger.until.min(now + LINGER_AT_THE_END);
        }
        if linger.dropped >= MOST_DROPPED || now >= linger.until {
            return Next::Close;
        }
        Next::Wait(Awaited::Input, Phase::Closing(linger.rest), linger.until)
    }

    /// It lost its place to another connection.
    pub(super) fn evicted(mut self, context: &Context) {
        context.stats.evicted.add_one();
        let why = "Evicted: all places are taken. Closing.";
        self.tell(context, why);
    }

    /// There was no place for it.
    pub(super) fn refused(mut self, context: &Context) {
        context.stats.refused.add_one();
        let why = "Refused: all places are taken, and none can be spared. Closing.";
        self.tell(context, why);
    }

    /// The system does not let it wait.
    pub(super) fn cannot_wait(mut self, context: &Context) {
        context.stats.cannot_wait.add_one();
        let why = "Closed: the system does not let it be waited for.";
        self.tell(context, why);
    }

    fn wait_to_ask(&self, context: &Context) -> Next {
        Next::Wait(
            Awaited::Input,
            Phase::Asking,
            self.accepted + context.timeout,
        )
    }

    fn is_late(&self, context: &Context) -> bool {
        self.accepted.elapsed() >= context.timeout
    }

    /// The line about its arrival, once.
    fn announce(&mut self) {
        if !self.announced {
            self.announced = true;
            log::log!(self.level, "{}: Connection accepted.", self.peer);
        }
    }

    /// The last line about a client that asked for nothing, and the first one where that has not
    /// been written. Their number is limited.
    fn tell(&mut self, context: &Context, what: &str) {
        if self.announced || context.quiet_lines.permits(Instant::now()) {
            if matches!(self.state, State::Asking(_)) {
                self.announce();
            }
            log::log!(self.level, "{}: {what}", self.peer);
        } else {
            context.quiet_lines.left_out(self.source);
        }
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
        Err(_) => Read::Ended,
    }
}
