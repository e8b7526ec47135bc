//! A port of a lab's host, reachable at a port of this machine, or a place that this machine reaches, at a port of a
//! lab's host; without an address or a route between the two. Each connection is opened by a thread on the other side
//! and copied.

use std::{
    io::{self, copy},
    net::{Shutdown, SocketAddr, TcpListener, TcpStream, ToSocketAddrs},
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
        let listener = first_free(listen, tries);
        let inside = inside.clone();
        let connect = move || {
            inside
                .run(|| TcpStream::connect_timeout(&to, CONNECTS_WITHIN))
                .map_err(io::Error::other)?
        };
        Forward::serve(listen, listener, connect)
    }

    /// The other way: what connects to `listen` inside is connected to `to` outside, a name and a port, looked up anew
    /// each time.
    pub fn outward(
        inside: &Netns,
        listen: SocketAddr,
        to: (String, u16),
    ) -> Result<Forward, LabError> {
        let listener = inside.run(|| TcpListener::bind(listen))?;
        Forward::serve(listen, listener, move || connect_to(to.to_socket_addrs()?))
    }

    fn serve(
        listen: SocketAddr,
        listener: io::Result<TcpListener>,
        connect: impl Fn() -> io::Result<TcpStream> + Send + Sync + 'static,
    ) -> Result<Forward, LabError> {
        let listener = listener.doing(|| format!("listen on {listen}"))?;
        let ready = listener
            .set_nonblocking(true)
            .and_then(|()| listener.local_addr());
        let listening = ready.doing(|| format!("listen on {listen}"))?;
        let stop = Stop::default();
        let until = stop.clone();
        let connect = Arc::new(connect);
        let thread = thread::spawn(move || accept(&listener, &until, &connect));
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

/// The first of a name's addresses that answers.
pub(super) fn connect_to(mut all: impl Iterator<Item = SocketAddr>) -> io::Result<TcpStream> {
    let mut last = io::Error::from(io::ErrorKind::NotFound);
    let found = all.find_map(|at| {
        TcpStream::connect_timeout(&at, CONNECTS_WITHIN)
            .map_err(|error| last = error)
            .ok()
    });
    found.ok_or(last)
}

fn accept<C>(listener: &TcpListener, stop: &Stop, connect: &Arc<C>)
where
    C: Fn() -> io::Result<TcpStream> + Send + Sync + 'static,
{
    let open = Arc::new(AtomicUsize::new(0));
    while !stop.is_set() {
        match listener.accept() {
            Ok((near, _)) if open.load(Ordering::SeqCst) < MOST_CONNECTIONS => {
                open.fetch_add(1, Ordering::SeqCst);
                let (open, connect) = (Arc::clone(&open), Arc::clone(connect));
                thread::spawn(move || {
                    // A connection that fails is closed, which is all that the near end can be told.
                    let _ = pass(&near, &*connect);
                    open.fetch_sub(1, Ordering::SeqCst);
                });
            }
            Ok(_) => {}
            Err(_) => pause(),
        }
    }
}

fn pass(near: &TcpStream, connect: impl Fn() -> io::Result<TcpStream>) -> io::Result<()> {
    near.set_nonblocking(false)?;
    let far = connect()?;
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
