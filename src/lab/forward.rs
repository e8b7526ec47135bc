//! A port of a lab's host, reachable at a port of this machine, without an address or a route between
//! the two: each connection is opened by a thread inside the host's namespace and copied.

use std::{
    io::{self, copy},
    net::{Shutdown, SocketAddr, TcpListener, TcpStream},
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    thread::{self, JoinHandle},
    time::Duration,
};

use super::{LabError, error::Doing, net::Netns, wait::Stop, wait::pause};

/// A browser's few tabs with their streams; more are turned away.
const MOST_CONNECTIONS: usize = 64;
const CONNECTS_WITHIN: Duration = Duration::from_secs(5);

/// Dropping it stops listening; connections that are open end with their ends.
#[derive(Debug)]
pub struct Forward {
    pub listening: SocketAddr,
    stop: Stop,
    listener: Option<JoinHandle<()>>,
}

impl Forward {
    /// Listens on the first free port from `listen`'s on, looking at `tries` of them.
    pub fn start(
        listen: SocketAddr,
        tries: u16,
        inside: &Netns,
        to: SocketAddr,
    ) -> Result<Forward, LabError> {
        let listener = first_free(listen, tries).doing(|| format!("listen on {listen}"))?;
        let ready = listener
            .set_nonblocking(true)
            .and_then(|()| listener.local_addr());
        let listening = ready.doing(|| format!("listen on {listen}"))?;
        let stop = Stop::default();
        let (until, inside) = (stop.clone(), inside.clone());
        let thread = thread::spawn(move || accept(&listener, &until, &inside, to));
        Ok(Forward {
            listening,
            stop,
            listener: Some(thread),
        })
    }
}

impl Drop for Forward {
    fn drop(&mut self) {
        self.stop.now();
        if let Some(thread) = self.listener.take() {
            let _ = thread.join();
        }
    }
}

fn first_free(mut listen: SocketAddr, tries: u16) -> io::Result<TcpListener> {
    for _ in 1..tries {
        match TcpListener::bind(listen) {
            Err(error) if error.kind() == io::ErrorKind::AddrInUse => {
                listen.set_port(listen.port().saturating_add(1));
            }
            done => return done,
        }
    }
    TcpListener::bind(listen)
}

fn accept(listener: &TcpListener, stop: &Stop, inside: &Netns, to: SocketAddr) {
    let open = Arc::new(AtomicUsize::new(0));
    while !stop.is_set() {
        match listener.accept() {
            Ok((near, _)) if open.load(Ordering::SeqCst) < MOST_CONNECTIONS => {
                open.fetch_add(1, Ordering::SeqCst);
                let (open, inside) = (Arc::clone(&open), inside.clone());
                thread::spawn(move || {
                    // A connection that fails is closed, which is all that the near end can be told.
                    let _ = serve(&near, &inside, to);
                    open.fetch_sub(1, Ordering::SeqCst);
                });
            }
            Ok(_) => {}
            Err(_) => pause(),
        }
    }
}

fn serve(near: &TcpStream, inside: &Netns, to: SocketAddr) -> io::Result<()> {
    near.set_nonblocking(false)?;
    let far = inside
        .run(|| TcpStream::connect_timeout(&to, CONNECTS_WITHIN))
        .map_err(io::Error::other)??;
    thread::scope(|scope| {
        scope.spawn(|| pour(near, &far));
        pour(&far, near);
    });
    Ok(())
}

/// Copies until one end is done, and passes that on.
fn pour(mut from: &TcpStream, mut to: &TcpStream) {
    let _ = copy(&mut from, &mut to);
    let _ = to.shutdown(Shutdown::Write);
    let _ = from.shutdown(Shutdown::Read);
}
