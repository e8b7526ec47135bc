//! One file of a server, read from any place on, as often as its connection is cut.

use std::io;
use std::ops::Range;
use std::time::Duration;

use super::connection::{Connection, Head};
use super::{HttpError, MAX_REDIRECTS, Url, Watch};

/// Waited before the first new try; each later one waits twice as long, up to the last.
const FIRST_WAIT: Duration = Duration::from_millis(200);
const LAST_WAIT: Duration = Duration::from_secs(5);
/// Bytes of what a server says when it sends no file.
const MOST_WORDS: usize = 1024;

/// What tells a file from another under the same URL.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
struct Identity {
    length: u64,
    etag: Option<String>,
    modified: Option<String>,
}

impl Identity {
    fn of(head: &Head) -> Option<Self> {
        let length = match (&head.range, head.status) {
            (Some((_, total)), 206) => *total,
            _ => head.body()?,
        };
        Some(Self {
            length,
            etag: head.etag.clone(),
            modified: head.modified.clone(),
        })
    }

    /// What a range has to depend on (RFC 9110, 13.1.5): a weak tag may not stand there.
    fn condition(&self) -> Option<&str> {
        let strong = self.etag.as_deref().filter(|tag| !tag.starts_with("W/"));
        strong.or(self.modified.as_deref())
    }

    /// How another one differs. A tag decides where there is one: a file may be touched without a change.
    fn differs(&self, other: &Self) -> Option<String> {
        if self.length != other.length {
            let (was, is) = (self.length, other.length);
            return Some(format!("it had {was} bytes, and has {is} now"));
        }
        let (what, was, is) = match (&self.etag, &other.etag) {
            (Some(was), Some(is)) => ("tag", was, is),
            _ => match (&self.modified, &other.modified) {
                (Some(was), Some(is)) => ("time", was, is),
                _ => return None,
            },
        };
        (was != is).then(|| format!("its {what} was {was}, and is {is} now"))
    }
}

/// A file that is being fetched. It is tried again for ever, until its watch is stopped.
pub struct Fetch<'a> {
    url: Url,
    watch: &'a dyn Watch,
    connection: Option<Connection>,
    identity: Identity,
    /// The next byte, and the one before which to end.
    rest: Range<u64>,
    wait: Duration,
}

impl std::fmt::Debug for Fetch<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Fetch")
            .field("url", &self.url)
            .field("identity", &self.identity)
            .field("rest", &self.rest)
            .finish_non_exhaustive()
    }
}

impl<'a> Fetch<'a> {
    /// The whole file, from its first byte on.
    pub fn open(url: Url, watch: &'a dyn Watch) -> Result<Self, HttpError> {
        let mut fetch = Self {
            url,
            watch,
            connection: None,
            identity: Identity::default(),
            rest: 0..0,
            wait: FIRST_WAIT,
        };
        for _ in 0..=MAX_REDIRECTS {
            let head = fetch.answer("")?;
            if matches!(head.status, 301 | 302 | 303 | 307 | 308) {
                fetch.connection = None;
                let location = head.location.unwrap_or_default();
                fetch.url = fetch.url.join(&location)?;
                continue;
            }
            fetch.accept(&head)?;
            let url = &fetch.url;
            fetch.identity =
                Identity::of(&head).ok_or_else(|| HttpError::NoLength { url: url.clone() })?;
            fetch.rest = 0..fetch.identity.length;
            return Ok(fetch);
        }
        Err(HttpError::Redirects { url: fetch.url })
    }

    /// The same file, to be read in parts over a connection of its own.
    #[must_use]
    pub fn again(&self) -> Self {
        Self {
            url: self.url.clone(),
            watch: self.watch,
            connection: None,
            identity: self.identity.clone(),
            rest: 0..0,
            wait: FIRST_WAIT,
        }
    }

    pub fn url(&self) -> &Url {
        &self.url
    }

    /// Bytes of the whole file.
    pub fn length(&self) -> u64 {
        self.identity.length
    }

    /// Fills `into` from this place of the file on, which has to have so many bytes.
    pub fn read_at(&mut self, at: u64, into: &mut [u8]) -> Result<(), HttpError> {
        if self.connection.as_ref().is_some_and(|one| !one.is_free()) {
            self.connection = None;
        }
        self.rest = at..at + into.len() as u64;
        if !into.is_empty() {
            self.resume()?;
        }
        self.fill(into).map(|_| ())
    }

    /// Fills `into`, or as much of it as is left; how much that was.
    pub fn fill(&mut self, into: &mut [u8]) -> Result<usize, HttpError> {
        let mut filled = 0;
        while filled < into.len() {
            match self.read(&mut into[filled..])? {
                0 => break,
                read => filled += read,
            }
        }
        Ok(filled)
    }

    /// The next bytes, at least one; none at the end.
    pub fn read(&mut self, into: &mut [u8]) -> Result<usize, HttpError> {
        while !self.rest.is_empty() && !into.is_empty() {
            if self.watch.stopped() {
                return Err(HttpError::Stopped);
            }
            let Some(connection) = &mut self.connection else {
                self.resume()?;
                continue;
            };
            match connection.read(into, self.watch) {
                Ok(0) => self.pause(&io::Error::other("the answer ended too early"))?,
                Ok(read) => {
                    self.rest.start += read as u64;
                    self.goes_on();
                    return Ok(read);
                }
                Err(error) => self.pause(&error)?,
            }
        }
        Ok(0)
    }

    /// Asks for the rest.
    fn resume(&mut self) -> Result<(), HttpError> {
        let Range { start, end } = self.rest;
        let mut fields = format!("Range: bytes={start}-{}\r\n", end - 1);
        if let Some(condition) = self.identity.condition() {
            fields.push_str("If-Range: ");
            fields.push_str(condition);
            fields.push_str("\r\n");
        }
        let head = self.answer(&fields)?;
        let url = self.url.clone();
        let changed = |what| HttpError::Changed {
            url: url.clone(),
            what,
        };
        if matches!(head.status, 412 | 416) {
            return Err(changed(format!(
                "it has no bytes {start} to {} any more",
                end - 1
            )));
        }
        self.accept(&head)?;
        let identity = Identity::of(&head).ok_or_else(|| HttpError::NoLength {
            url: self.url.clone(),
        })?;
        if let Some(what) = self.identity.differs(&identity) {
            return Err(changed(what));
        }
        match head.range {
            Some((range, _)) if head.status == 206 => {
                if range.start != start || range.end > end {
                    let what = format!(
                        "asked for bytes {start} to {}, it sent {} to {}",
                        end - 1,
                        range.start,
                        range.end - 1
                    );
                    return Err(self.nonsense(what));
                }
                Ok(())
            }
            _ if end == self.identity.length => self.skip(start),
            _ => Err(HttpError::NoRange {
                url: self.url.clone(),
            }),
        }
    }

    /// Of a server that sends all again: what is there already.
    fn skip(&mut self, mut left: u64) -> Result<(), HttpError> {
        let mut waste = vec![0; 64 * 1024];
        while let (Some(connection), true) = (&mut self.connection, left > 0) {
            if self.watch.stopped() {
                return Err(HttpError::Stopped);
            }
            let most = usize::try_from(left).unwrap_or(usize::MAX).min(waste.len());
            match connection.read(&mut waste[..most], self.watch) {
                Ok(read) if read > 0 => left -= read as u64,
                Ok(_) => self.pause(&io::Error::other("the answer ended too early"))?,
                Err(error) => self.pause(&error)?,
            }
        }
        Ok(())
    }

    /// The head of an answer that is worth reading; a server that is away or busy is asked again.
    fn answer(&mut self, fields: &str) -> Result<Head, HttpError> {
        loop {
            if self.watch.stopped() {
                return Err(HttpError::Stopped);
            }
            match self.ask(fields) {
                Ok(head) if matches!(head.status, 408 | 425 | 429 | 500..=599) => {
                    let what = format!("the server answers {}{}", head.status, self.words(&head));
                    self.pause(&io::Error::other(what))?;
                }
                Ok(head) => return Ok(head),
                Err(error) => self.pause(&error)?,
            }
        }
    }

    fn ask(&mut self, fields: &str) -> io::Result<Head> {
        // A server may have closed what was kept; that is no trouble.
        let kept = self.connection.take().filter(Connection::is_free);
        let answered = kept.and_then(|mut kept| {
            let head = kept.get(&self.url, fields, self.watch).ok()?;
            Some((kept, head))
        });
        if let Some((kept, head)) = answered {
            self.connection = Some(kept);
            return Ok(head);
        }
        let connection = self.connection.insert(Connection::open(&self.url)?);
        connection.get(&self.url, fields, self.watch)
    }

    /// Gives the connection up, tells why, and waits before the next try.
    fn pause(&mut self, error: &io::Error) -> Result<(), HttpError> {
        self.connection = None;
        if self.watch.stopped() {
            return Err(HttpError::Stopped);
        }
        let trouble = format!("{}: {error}", self.url.address());
        self.watch.trouble(Some(trouble));
        self.watch.wait(self.wait);
        self.wait = (self.wait * 2).min(LAST_WAIT);
        Ok(())
    }

    /// There are bytes again: an answer alone may promise some that do not come.
    fn goes_on(&mut self) {
        if self.wait > FIRST_WAIT {
            self.watch.trouble(None);
        }
        self.wait = FIRST_WAIT;
    }

    fn accept(&mut self, head: &Head) -> Result<(), HttpError> {
        let meaning = match head.status {
            200 | 206 => return Ok(()),
            401 | 403 => ": the server does not give it to this machine",
            404 | 410 => ": there is no such file",
            _ => "",
        };
        let words = self.words(head);
        let reason = if words.is_empty() {
            meaning.to_owned()
        } else {
            words
        };
        Err(HttpError::Refused {
            url: self.url.clone(),
            status: head.status,
            reason,
        })
    }

    /// Why there is no file, as the server says it: `: ` and the first line of its text. Nothing of a page, or where
    /// there is none.
    fn words(&mut self, head: &Head) -> String {
        let (Some(connection), Some(length)) = (&mut self.connection, head.body()) else {
            return String::new();
        };
        let mut text = vec![
            0;
            usize::try_from(length)
                .unwrap_or(MOST_WORDS)
                .min(MOST_WORDS)
        ];
        let mut filled = 0;
        while filled < text.len() {
            match connection.read(&mut text[filled..], self.watch) {
                Ok(read) if read > 0 => filled += read,
                _ => break,
            }
        }
        let text = String::from_utf8_lossy(&text[..filled]);
        let line = text.lines().next().unwrap_or_default().trim();
        if line.is_empty() || line.starts_with('<') {
            return String::new();
        }
        format!(": {}", line.escape_debug())
    }

    fn nonsense(&self, what: String) -> HttpError {
        HttpError::Nonsense {
            url: self.url.clone(),
            what,
        }
    }
}
