//! Who sits at the other end of a connection, as far as the kernel tells.

use std::net::SocketAddr;

use nix::unistd::{Uid, User};
use tokio::net::UnixStream;

use crate::model::Actor;

/// The other end of a connection. The server puts it into every request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Peer {
    Unix {
        uid: u32,
        gid: u32,
        pid: Option<i32>,
        /// The user's name, when the system has one for the number.
        user: Option<String>,
    },
    Tcp(SocketAddr),
}

impl Peer {
    /// The credentials that the kernel noted when the socket was connected.
    pub async fn of(stream: &UnixStream) -> std::io::Result<Self> {
        let credentials = stream.peer_cred()?;
        let uid = credentials.uid();
        // The look-up may ask a directory server, so it does not hold up the others.
        let name = move || {
            User::from_uid(Uid::from_raw(uid))
                .ok()
                .flatten()
                .map(|user| user.name)
        };
        let user = tokio::task::spawn_blocking(name).await.unwrap_or_default();
        Ok(Self::Unix {
            uid,
            gid: credentials.gid(),
            pid: credentials.pid(),
            user,
        })
    }

    pub fn actor(&self) -> Actor {
        match self {
            Self::Unix {
                uid,
                user: Some(user),
                ..
            } => Actor::person(user, format!("unix uid {uid} ({user})")),
            Self::Unix {
                uid, user: None, ..
            } => Actor::person(format!("uid {uid}"), format!("unix uid {uid}")),
            Self::Tcp(address) => Actor::person("local", format!("http {}", address.ip())),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_actor_is_told_by_the_socket_and_the_user() {
        let user = Some("ada".to_owned());
        let unix = Peer::Unix {
            uid: 1000,
            gid: 1000,
            pid: None,
            user,
        };
        assert_eq!(unix.actor().from, "unix uid 1000 (ada)");
        assert_eq!(unix.actor().name, "ada");
        let tcp = Peer::Tcp("127.0.0.1:4711".parse().unwrap());
        assert_eq!(tcp.actor().from, "http 127.0.0.1");
    }
}
