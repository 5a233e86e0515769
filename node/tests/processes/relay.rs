//! Lines between nodes that a test can stall or cut: every connection passes through a relay of its own.

use std::io::{ErrorKind, Read, Write};
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, AtomicU8, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

/// What a line does with what it is given.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
pub(crate) enum Line {
    /// Passes it on.
    Open,
    /// Keeps it until the line is open again, in both directions.
    Stalled,
    /// Breaks every connection and refuses new ones.
    Cut,
}

struct Shared {
    line: AtomicU8,
    ended: AtomicBool,
    target: Mutex<Option<SocketAddr>>,
}

/// A relay with an address that stays, before a node whose address changes with every start.
pub(crate) struct Relay {
    shared: Arc<Shared>,
    address: SocketAddr,
}

const LOOK: Duration = Duration::from_millis(50);

impl Relay {
    /// Begins to listen.
    pub(crate) fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        listener.set_nonblocking(true).unwrap();
        let address = listener.local_addr().unwrap();
        let shared = Arc::new(Shared {
            line: AtomicU8::new(Line::Open as u8),
            ended: AtomicBool::new(false),
            target: Mutex::new(None),
        });
        let accepting = shared.clone();
        std::thread::spawn(move || accept(&listener, &accepting));
        Self { shared, address }
    }

    /// Where peers are told that the node listens.
    pub(crate) fn multiaddress(&self) -> String {
        format!("/ip4/{}/tcp/{}", self.address.ip(), self.address.port())
    }

    /// Where the node listens now.
    pub(crate) fn lead_to(&self, target: SocketAddr) {
        *self.shared.target.lock().unwrap() = Some(target);
    }

    /// Opens, stalls or cuts the line.
    pub(crate) fn set(&self, line: Line) {
        self.shared.line.store(line as u8, Ordering::SeqCst);
    }
}

impl Drop for Relay {
    fn drop(&mut self) {
        self.shared.ended.store(true, Ordering::SeqCst);
    }
}

impl Shared {
    fn is(&self, line: Line) -> bool {
        self.line.load(Ordering::SeqCst) == line as u8
    }

    fn ended(&self) -> bool {
        self.ended.load(Ordering::SeqCst)
    }
}

fn accept(listener: &TcpListener, shared: &Arc<Shared>) {
    while !shared.ended() {
        let Ok((near, _)) = listener.accept() else {
            std::thread::sleep(LOOK);
            continue;
        };
        let target = *shared.target.lock().unwrap_or_else(PoisonError::into_inner);
        let far = target.filter(|_| !shared.is(Line::Cut));
        let Some(Ok(far)) = far.map(TcpStream::connect) else {
            continue;
        };
        for (from, to) in [(&near, &far), (&far, &near)] {
            let (from, to) = (from.try_clone().unwrap(), to.try_clone().unwrap());
            let shared = shared.clone();
            std::thread::spawn(move || pass_on(from, to, &shared));
        }
    }
}

fn pass_on(mut from: TcpStream, mut to: TcpStream, shared: &Shared) {
    let mut bytes = [0; 64 * 1024];
    from.set_nonblocking(false).unwrap();
    from.set_read_timeout(Some(LOOK)).unwrap();
    while !shared.ended() && !shared.is(Line::Cut) {
        if shared.is(Line::Stalled) {
            std::thread::sleep(LOOK);
            continue;
        }
        match from.read(&mut bytes) {
            Ok(0) => break,
            Ok(length) => {
                while shared.is(Line::Stalled) && !shared.ended() {
                    std::thread::sleep(LOOK);
                }
                if shared.is(Line::Cut) || to.write_all(&bytes[..length]).is_err() {
                    break;
                }
            }
            Err(error) if matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut) => {}
            Err(_) => break,
        }
    }
    for stream in [&from, &to] {
        // The other direction may have closed it already.
        let _ = stream.shutdown(Shutdown::Both);
    }
}
