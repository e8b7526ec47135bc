//! The rest of the boot environment: the tools, and the drivers of rarer controllers. Every machine waits for the
//! initramfs to come and be unpacked, so what one that is only looked at hardly needs lies in a file beside it. The agent
//! fetches that when a device asks for such a driver, and otherwise when it has checked in. The initramfs tells its sum.

use std::fs::{self, File};
use std::io::{self, Write as _};
use std::net::SocketAddr;
use std::path::Path;
use std::sync::{Mutex, MutexGuard, TryLockError};
use std::time::Duration;

use ring::digest::{Context, SHA256};

use crate::agent::clock;
use crate::agent::http::{Fetch, HttpError, Url, Watch};
use crate::agent::inventory::architecture;
use crate::agent::log::Log;
use crate::model::digest::hex;
use crate::model::environment::{PATH, REST};

/// Below the root of the environment: the sum, while the rest is not there, and the rest while it is not unpacked.
pub const SUM: &str = "usr/lib/dragonfly/rest.sum";
const ARCHIVE: &str = "usr/lib/dragonfly/rest.tar.zst";
const BLOCK: usize = 128 * 1024;
/// So often it is begun anew when the server's file changed on the way.
const TRIES: usize = 3;
const LOOK: Duration = Duration::from_millis(100);

static TURN: Mutex<()> = Mutex::new(());

#[derive(Debug, thiserror::Error)]
pub enum RestError {
    #[error("the rest of the boot environment cannot be fetched: {0}")]
    Http(#[from] HttpError),
    #[error(
        "the server has another boot environment than the one that this machine started from ({url}); it has to start \
         anew"
    )]
    Another { url: Url },
    #[error("the rest of the boot environment cannot be unpacked: {0}")]
    Io(#[from] io::Error),
}

/// Fetches it from where the server has its files and unpacks it, unless that was done; returns when it is there. The
/// sum goes last, so that one who was ended on the way begins anew.
pub fn get(root: &Path, files: SocketAddr, watch: &dyn Watch) -> Result<(), RestError> {
    let url = format!("http://{files}{PATH}{}/{REST}", architecture());
    from(root, url.parse()?, watch)
}

/// Whether it is there, and whole.
pub fn is_there(root: &Path) -> bool {
    !root.join(SUM).exists()
}

fn from(root: &Path, url: Url, watch: &dyn Watch) -> Result<(), RestError> {
    let _turn = turn(watch)?;
    let sum = match fs::read_to_string(root.join(SUM)) {
        Ok(sum) => sum,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
        Err(error) => return Err(error.into()),
    };
    let archive = root.join(ARCHIVE);
    if whole(&archive, &url, watch)? != sum.trim() {
        fs::remove_file(archive)?;
        return Err(RestError::Another { url });
    }
    let mut tar = tar::Archive::new(zstd::stream::read::Decoder::new(File::open(&archive)?)?);
    tar.set_preserve_permissions(true);
    tar.unpack(root)?;
    fs::remove_file(archive)?;
    Ok(fs::remove_file(root.join(SUM))?)
}

/// One after the other.
fn turn(watch: &dyn Watch) -> Result<MutexGuard<'static, ()>, RestError> {
    loop {
        match TURN.try_lock() {
            Ok(turn) => return Ok(turn),
            Err(TryLockError::Poisoned(turn)) => return Ok(turn.into_inner()),
            Err(TryLockError::WouldBlock) if watch.stopped() => {
                return Err(HttpError::Stopped.into());
            }
            Err(TryLockError::WouldBlock) => watch.wait(LOOK),
        }
    }
}

/// Its SHA-256, of one that did not change on the way.
fn whole(to: &Path, url: &Url, watch: &dyn Watch) -> Result<String, RestError> {
    let mut tries = 1;
    loop {
        match fetch(to, url.clone(), watch) {
            Err(RestError::Http(HttpError::Changed { .. })) if tries < TRIES => tries += 1,
            Err(RestError::Http(HttpError::Refused {
                status: 404 | 410,
                url,
                ..
            })) => return Err(RestError::Another { url }),
            fetched => return fetched,
        }
    }
}

/// Its SHA-256.
fn fetch(to: &Path, url: Url, watch: &dyn Watch) -> Result<String, RestError> {
    let (mut fetch, mut file) = (Fetch::open(url, watch)?, File::create(to)?);
    let (mut sum, mut block) = (Context::new(&SHA256), vec![0; BLOCK]);
    loop {
        let read = fetch.fill(&mut block)?;
        if read == 0 {
            return Ok(hex(sum.finish().as_ref()));
        }
        sum.update(&block[..read]);
        file.write_all(&block[..read])?;
    }
}

/// Waits as long as it takes, and says what for.
#[derive(Debug)]
pub struct Patient<'a>(pub &'a Log);

impl Watch for Patient<'_> {
    fn stopped(&self) -> bool {
        false
    }

    fn wait(&self, time: Duration) {
        clock::pause(time);
    }

    fn trouble(&self, what: Option<String>) {
        if let Some(what) = what {
            self.0
                .say(format!("the rest of the boot environment: {what}"));
        }
    }
}

#[cfg(test)]
mod tests {
    use ring::digest::digest;

    use super::*;
    use crate::agent::actions::Control;
    use crate::agent::http::liar::{Answer, Liar};

    fn archive() -> Vec<u8> {
        let mut tar = tar::Builder::new(Vec::new());
        let mut head = tar::Header::new_gnu();
        head.set_size(3);
        head.set_mode(0o755);
        tar.append_data(&mut head, "usr/sbin/x", &b"abc"[..])
            .unwrap();
        zstd::encode_all(&*tar.into_inner().unwrap(), 3).unwrap()
    }

    /// A root that wants what these bytes are.
    fn root(wants: &[u8]) -> tempfile::TempDir {
        let root = tempfile::tempdir().unwrap();
        fs::create_dir_all(root.path().join("usr/lib/dragonfly")).unwrap();
        let sum = hex(digest(&SHA256, wants).as_ref());
        fs::write(root.path().join(SUM), format!("{sum}\n")).unwrap();
        root
    }

    #[test]
    fn it_is_fetched_and_unpacked_once_over_what_was_left_half() {
        let (root, server) = (root(&archive()), Liar::honest(archive()));
        let at = |name: &str| root.path().join(name);
        fs::create_dir_all(at("usr/sbin")).unwrap();
        fs::write(at("usr/sbin/x"), "a").unwrap();
        fs::write(at(ARCHIVE), "half").unwrap();
        for _ in 0..2 {
            from(root.path(), server.url(), &Patient(&Log::default())).unwrap();
        }
        assert_eq!(fs::read(at("usr/sbin/x")).unwrap(), b"abc");
        assert!(!at(ARCHIVE).exists() && !at(SUM).exists());
        assert_eq!(server.asked().len(), 1);
    }

    #[test]
    fn what_another_environment_has_is_not_taken() {
        let (root, server) = (root(b"others"), Liar::honest(archive()));
        let error = from(root.path(), server.url(), &Patient(&Log::default())).unwrap_err();
        assert!(matches!(error, RestError::Another { .. }), "{error}");
        assert!(!root.path().join("usr/sbin/x").exists() && root.path().join(SUM).exists());
    }

    #[test]
    fn one_that_changes_on_the_way_is_begun_anew_until_the_sum_can_tell() {
        let whole = archive();
        let (root, sent) = (root(&whole), whole.clone());
        let server = Liar::start(move |request| match request.number {
            0 => Answer::file(request, &[0; 500], "\"1\"").cut(100),
            _ => Answer::file(request, &sent, "\"2\""),
        });
        from(root.path(), server.url(), &Patient(&Log::default())).unwrap();
        assert!(root.path().join("usr/sbin/x").exists() && is_there(root.path()));
    }

    #[test]
    fn a_server_without_one_has_another_environment() {
        let (root, server) = (root(b"ours"), Liar::start(|_| Answer::status(404)));
        let error = from(root.path(), server.url(), &Patient(&Log::default())).unwrap_err();
        assert!(matches!(error, RestError::Another { .. }), "{error}");
    }

    #[test]
    fn whoever_is_told_to_stop_waits_no_longer() {
        let (root, server) = (root(b""), Liar::start(|_| Answer::status(503)));
        let control = Control::default();
        control.stop();
        let error = from(root.path(), server.url(), &control).unwrap_err();
        assert!(
            matches!(error, RestError::Http(HttpError::Stopped)),
            "{error}"
        );
        let turn = TURN.lock();
        assert!(from(root.path(), server.url(), &control).is_err());
        drop(turn);
    }

    #[test]
    fn what_cannot_be_unpacked_is_an_error_and_is_fetched_again() {
        let whole = archive();
        let cut = whole[..whole.len() - 5].to_vec();
        let (root, server) = (root(&cut), Liar::honest(cut));
        for asked in 1..3 {
            let error = from(root.path(), server.url(), &Patient(&Log::default())).unwrap_err();
            assert!(matches!(error, RestError::Io(_)), "{error}");
            assert_eq!(server.asked().len(), asked);
        }
    }
}
