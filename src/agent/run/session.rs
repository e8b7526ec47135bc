//! The session with the server: one hello, and every later call on the same key.

use std::net::SocketAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::agent::client::identity::Identity;
use crate::agent::client::{ANSWER, CallError, Client};
use crate::agent::clock::{self, Backoff};
use crate::agent::console::Console;
use crate::agent::log::Log;
use crate::model::MacAddr;
use crate::model::agent::{
    self as words, Heard, Hello, LogLines, PROTOCOL, Refused, Report, Welcome,
};

/// Lines in one call, and the time between two.
const LINES: usize = 200;
const LOG_PAUSE: Duration = Duration::from_secs(1);
const LOG_PAUSE_AFTER_FAILURE: Duration = Duration::from_secs(5);

/// What a session begins with.
#[derive(Debug)]
pub(super) struct Start {
    pub(super) server: SocketAddr,
    pub(super) pin: [u8; 32],
    pub(super) token: String,
    pub(super) mac: MacAddr,
    pub(super) identity: Identity,
}

/// A session; a clone is the same.
#[derive(Clone, Debug)]
pub(super) struct Session {
    client: Arc<Mutex<Client>>,
    hello: Arc<Hello>,
    console: Console,
    log: Log,
}

/// How reports reach the server.
pub(super) trait Teller {
    /// Tells until it was heard, or refused for good.
    fn insist(&self, report: &Report) -> Result<Heard, CallError>;

    /// Tells once; none where it was not heard, which does no harm.
    fn mention(&self, report: &Report) -> Option<Heard>;
}

impl Session {
    /// Says hello until the server answers.
    pub(super) fn open(start: &Start, console: &Console, log: &Log) -> Result<Self, CallError> {
        let nonsense = |error: rustls::Error| CallError::Nonsense {
            path: words::HELLO.into(),
            why: error.to_string(),
        };
        let client =
            Client::new(start.server, start.pin, Some(&start.identity)).map_err(nonsense)?;
        let hello = Hello {
            protocol: PROTOCOL,
            version: env!("CARGO_PKG_VERSION").into(),
            token: start.token.clone(),
            mac: start.mac,
        };
        let session = Self {
            client: Arc::new(Mutex::new(client)),
            hello: Arc::new(hello),
            console: console.clone(),
            log: log.clone(),
        };
        console.update(|status| {
            status.state = "saying hello".into();
            status.why = String::new();
        });
        session.greet()?;
        session.stream_log();
        Ok(session)
    }

    fn greet(&self) -> Result<(), CallError> {
        let welcome: Welcome = self.repeat(words::HELLO, &*self.hello, Duration::ZERO)?;
        if let Err(error) = clock::set(welcome.now) {
            self.log.say(format!("the clock was not set: {error}"));
        }
        self.log.say(format!(
            "welcome from server {}, as {}",
            welcome.version, welcome.name
        ));
        self.console.update(|status| status.name = welcome.name);
        Ok(())
    }

    /// Calls until there is an answer. `held` is how long the server may hold it back. A server that lost its sessions
    /// is greeted anew, once.
    pub(super) fn insist<Q: Serialize, A: DeserializeOwned>(
        &self,
        path: &str,
        question: &Q,
        held: Duration,
    ) -> Result<A, CallError> {
        match self.repeat(path, question, held) {
            Err(CallError::Refused(refused)) if !refused.halt => {
                self.log.say(format!(
                    "{path} was refused: {}; saying hello again",
                    refused.error
                ));
                self.greet()?;
                self.repeat(path, question, held)
            }
            other => other,
        }
    }

    fn repeat<Q: Serialize, A: DeserializeOwned>(
        &self,
        path: &str,
        question: &Q,
        held: Duration,
    ) -> Result<A, CallError> {
        let mut backoff = Backoff::of_server();
        let mut failed = false;
        loop {
            match self.once(path, question, held) {
                Ok(answer) => {
                    if failed {
                        self.log.say("the server answers again");
                        self.console.update(|status| status.error = None);
                    }
                    return Ok(answer);
                }
                Err(error) if error.may_pass() => {
                    if !failed {
                        self.log.say(error.to_string());
                    }
                    failed = true;
                    self.console
                        .update(|status| status.error = Some(error.to_string()));
                }
                Err(error) => return Err(error),
            }
            clock::pause(backoff.pause());
        }
    }

    fn once<Q: Serialize, A: DeserializeOwned>(
        &self,
        path: &str,
        question: &Q,
        held: Duration,
    ) -> Result<A, CallError> {
        self.client().call(path, question, held + ANSWER)
    }

    fn client(&self) -> MutexGuard<'_, Client> {
        self.client.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn stream_log(&self) {
        let session = self.clone();
        let thread = std::thread::Builder::new().name("log".into());
        let streaming = thread.spawn(move || {
            loop {
                clock::pause(if session.send_log() {
                    LOG_PAUSE
                } else {
                    LOG_PAUSE_AFTER_FAILURE
                });
            }
        });
        if let Err(error) = streaming {
            self.log.say(format!("the log is not sent: {error}"));
        }
    }

    /// Sends what there is; whether the server has it.
    fn send_log(&self) -> bool {
        loop {
            let lines = self.log.take(LINES);
            if lines.is_empty() {
                return true;
            }
            let batch = LogLines { lines };
            match self.once::<_, Option<serde_json::Value>>(words::LOG, &batch, Duration::ZERO) {
                Ok(_) => {}
                // What it does not want is not offered again.
                Err(CallError::Refused(Refused { retry: false, .. })) => return false,
                Err(_) => {
                    self.log.give_back(batch.lines);
                    return false;
                }
            }
        }
    }

    /// The last lines, before the agent goes.
    pub(super) fn flush_log(&self) {
        self.send_log();
    }
}

impl Teller for Session {
    fn insist(&self, report: &Report) -> Result<Heard, CallError> {
        Self::insist(self, words::REPORT, &[report], Duration::ZERO)
    }

    fn mention(&self, report: &Report) -> Option<Heard> {
        self.once(words::REPORT, &[report], Duration::ZERO).ok()
    }
}
