//! Opens the TCP doors, on loopback alone.

use std::io::{self, ErrorKind};
use std::net::SocketAddr;

use tokio::net::TcpListener;

use super::failure::Failure;
use crate::core::config::Config;

/// As many ports as the demo tries after the usual one.
const TRIES: u16 = 20;

/// Opens every address of the configuration, or none.
pub(super) async fn open(config: &Config) -> Result<Vec<TcpListener>, Failure> {
    let mut open = Vec::new();
    for at in &config.listen {
        open.push(bind(*at).await.map_err(|error| shut(*at, &error))?);
    }
    Ok(open)
}

/// As [`open`]; but an address that nobody chose may give way to the next free port.
pub(super) async fn open_somewhere(config: &Config) -> Result<Vec<TcpListener>, Failure> {
    let &[usual] = config.listen.as_slice() else {
        return open(config).await;
    };
    if config.is_set("listen") {
        return open(config).await;
    }
    for port in usual.port()..=usual.port().saturating_add(TRIES) {
        let at = SocketAddr::new(usual.ip(), port);
        match bind(at).await {
            Ok(listener) => {
                if port != usual.port() {
                    tracing::warn!(
                        taken = usual.port(),
                        port,
                        "port is taken: the next free one is used"
                    );
                }
                return Ok(vec![listener]);
            }
            Err(error) if error.kind() == ErrorKind::AddrInUse => {}
            Err(error) => return Err(shut(at, &error)),
        }
    }
    Err(shut(usual, &ErrorKind::AddrInUse.into()))
}

/// Where the listeners ended up.
pub(super) fn places(listeners: &[TcpListener]) -> Vec<SocketAddr> {
    listeners
        .iter()
        .filter_map(|listener| listener.local_addr().ok())
        .collect()
}

async fn bind(at: SocketAddr) -> io::Result<TcpListener> {
    // The configuration lets nothing else through; this is the last door before the network.
    if !at.ip().to_canonical().is_loopback() {
        return Err(io::Error::new(
            ErrorKind::InvalidInput,
            "it is not loopback",
        ));
    }
    TcpListener::bind(at).await
}

fn shut(at: SocketAddr, error: &io::Error) -> Failure {
    match error.kind() {
        ErrorKind::AddrInUse => {
            let next = SocketAddr::new(at.ip(), at.port().checked_add(1).unwrap_or(3000));
            Failure::unavailable(format!("port {} of {} is in use by another program", at.port(), at.ip())).hint(
                format!("choose another with --listen {next} (or DRAGONFLY_LISTEN), or stop that program; `ss -ltnp` tells which it is"),
            )
        }
        ErrorKind::PermissionDenied => Failure::unavailable(format!(
            "port {} of {} may not be used by this user",
            at.port(),
            at.ip()
        ))
        .hint("choose one above 1023 with --listen"),
        ErrorKind::AddrNotAvailable => {
            Failure::unavailable(format!("address {} is not on this machine", at.ip()))
                .hint("leave it out of listen")
        }
        _ => Failure::unavailable(format!("address {at} cannot be listened on: {error}")),
    }
}
