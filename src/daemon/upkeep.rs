//! What has to be done now and then: to feel the pulse, to tend workflows, and to let old events go.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::watch;
use tokio::time::{MissedTickBehavior, interval, timeout};

use super::notify::Notifier;
use crate::core::{Command, Core};
use crate::model::Actor;
use crate::store::Store;
use crate::web::Ready;

/// How often the pulse is felt when no service manager asks for it.
const PULSE: Duration = Duration::from_secs(5);
/// As long as nobody looks after workflows when nothing happens.
const TENDED: Duration = Duration::from_secs(30);
/// What happens within this time is looked after together.
const TOGETHER: Duration = Duration::from_millis(200);
/// How often old events go.
const RETENTION: Duration = Duration::from_hours(1);

/// Reads from the store again and again. As long as it answers, the daemon is ready and the service manager
/// hears so; when it does not, the manager's watchdog ends the daemon and starts a new one.
pub(super) async fn pulse(
    store: Arc<dyn Store>,
    notifier: Arc<Notifier>,
    ready: watch::Sender<Ready>,
) -> Result<(), String> {
    let every = notifier.interval().unwrap_or(PULSE);
    let mut beat = interval(every);
    beat.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        beat.tick().await;
        let reader = Arc::clone(&store);
        let read = tokio::task::spawn_blocking(move || reader.counts());
        let trouble = match timeout(every, read).await {
            Ok(Ok(Ok(_))) => None,
            Ok(Ok(Err(error))) => Some(error.to_string()),
            Ok(Err(error)) => Some(error.to_string()),
            Err(_) => Some("it did not answer a read in time".into()),
        };
        let state = match trouble {
            None => {
                notifier.alive();
                writable(&*store, &notifier)
            }
            Some(why) => {
                tracing::error!(why, "store does not answer");
                notifier.status(&format!("store does not answer: {why}"));
                Ready::No(format!("store: {why}"))
            }
        };
        ready.send_if_modified(|known| {
            let other = *known != state;
            *known = state;
            other
        });
    }
}

/// A store that answers reads alone keeps the daemon alive, so that people can look, but not ready.
fn writable(store: &dyn Store, notifier: &Notifier) -> Ready {
    match store.health() {
        Ok(()) => Ready::Yes,
        Err(error) => {
            notifier.status(&format!("changes are refused: {error}"));
            Ready::No(error.to_string())
        }
    }
}

/// Lets old events go, once at the start and then every hour, by the settings.
pub(super) async fn retention(core: Core) -> Result<(), String> {
    let mut hour = interval(RETENTION);
    hour.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        hour.tick().await;
        let trimmed = core.order(Actor::system("retention"), Command::TrimEvents);
        // A full disk, say: the next hour may be luckier, and nothing is lost by waiting.
        match trimmed.await {
            Ok(receipt) => tracing::debug!(diff = ?receipt.diff, "old events trimmed"),
            Err(error) => tracing::warn!(%error, "old events not trimmed"),
        }
    }
}

/// Gives out turns and ends what is late: at the start, whenever something happened, and when a deadline comes.
pub(super) async fn workflows(core: Core) -> Result<(), String> {
    let mut moved = core.moved();
    loop {
        moved.borrow_and_update();
        let due = match core.tend().await {
            Ok(due) => due,
            // What is tried again soon may be luckier.
            Err(error) => {
                tracing::warn!(%error, "workflows not tended");
                None
            }
        };
        let now = core.clock().now();
        let until = due.map(|due| due.duration_since(now));
        let until = until.and_then(|until| Duration::try_from(until).ok());
        let wait = until.unwrap_or(TENDED).clamp(TOGETHER, TENDED);
        tokio::select! {
            () = tokio::time::sleep(wait) => {}
            changed = moved.changed() => {
                if changed.is_err() {
                    return Ok(());
                }
                tokio::time::sleep(TOGETHER).await;
            }
        }
    }
}
