//! The life of the daemon: opens the doors, serves until it is told to stop, and joins everything it started.
//!
//! All tasks hang on one signal to stop. From that signal, what is left has two seconds: requests in work are
//! finished, streams are closed, tasks joined, and the store is closed last. What did not end in time is named
//! in the log. A second signal ends the process at once; what was acknowledged is on disk by then.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::watch;
use tokio::task::JoinSet;
use tokio::time::{Instant, timeout_at};

use super::failure::{FAILED, Failure};
use super::house::{House, Plan};
use super::images::Shop;
use super::notify::Notifier;
use super::signals::Signals;
use super::{doors, plane, ports, print, socket, upkeep};
use crate::boot::cache::Cache;
use crate::core::config::{Config, LogFormat};
use crate::demo;
use crate::store::StoreError;
use crate::web::{self, About, Listeners, Plugs, Ready};

/// From the signal: requests in work are finished until then.
const SERVE: Duration = Duration::from_secs(1);
/// From the signal: every task is joined until then.
const JOIN: Duration = Duration::from_millis(1400);
/// From the signal: the store is closed until then.
const CLOSE: Duration = Duration::from_millis(1850);

/// Starts, serves and stops.
pub(super) async fn live(config: &Config, plan: &Plan) -> Result<(), Failure> {
    let notifier = Arc::new(Notifier::of_process());
    let mut signals = Signals::listen()?;
    if let Plan::Demo { why } = plan {
        tracing::warn!("{}", plan.mode().banner().unwrap_or_default());
        for reason in why {
            tracing::info!(reason, "not installed");
        }
        if !why.is_empty() {
            tracing::info!(
                "to use it in earnest, make the data folder or set DRAGONFLY_INSTALLED=true"
            );
        }
    }
    let started = tokio::select! {
        started = Daemon::start(config, plan, &notifier) => started?,
        signal = signals.stop() => {
            tracing::info!(signal, "stopped before it was ready");
            return Ok(());
        }
    };
    started.run(&mut signals, &notifier).await
}

/// A daemon that serves.
struct Daemon {
    house: House,
    tasks: Tasks,
    stop: watch::Sender<bool>,
    /// Goes, and its file with it, when everything else has gone.
    _door: Option<socket::Door>,
}

impl Daemon {
    async fn start(
        config: &Config,
        plan: &Plan,
        notifier: &Arc<Notifier>,
    ) -> Result<Self, Failure> {
        let demo = matches!(plan, Plan::Demo { .. });
        let tcp = if demo {
            doors::open_somewhere(config).await?
        } else {
            doors::open(config).await?
        };
        let mut house = House::build(config, plan).await?;
        // The store's lock is ours by now: a socket that does not answer is no living daemon's.
        let (unix, door) = if demo { (None, None) } else { unix(config)? };
        let places = doors::places(&tcp);
        let path = door.as_ref().map(|_| config.socket.path.as_path());
        let (ready, shown) = watch::channel(Ready::No("it is starting".into()));
        let (stop, stopped) = watch::channel(false);
        let about = About {
            version: env!("CARGO_PKG_VERSION").into(),
            mode: plan.mode(),
            installed_by: plan.installed_by(),
            started_at: house.started_at,
            ports: ports::in_use(
                &places,
                path,
                if demo { &[] } else { &config.net.links },
                &config.net,
            ),
            boot_port: config.net.http_port,
            ready: shown.clone(),
        };
        let router = web::router_with(house.core.clone(), about, plugs(&house));
        let listeners = Listeners {
            tcp,
            unix: unix.into_iter().collect(),
        };
        let mut tasks = Tasks::default();
        let serving = web::serve(listeners, router, stopped.clone(), SERVE);
        tasks.start("people's plane", async move {
            serving.await;
            Ok(())
        });
        tasks.until(
            "pulse",
            stopped.clone(),
            upkeep::pulse(Arc::clone(&house.store), Arc::clone(notifier), ready),
        );
        inner_life(&mut tasks, config, plan, &mut house, &stopped);
        first_pulse(shown).await?;
        for place in &places {
            tracing::info!(at = %place, url = format!("http://{place}/"), "listening");
        }
        if let Some(path) = path {
            tracing::info!(at = %path.display(), "listening");
        }
        welcome(config, plan, &places);
        let status = format!(
            "{}, {}",
            plan.mode().as_str(),
            places
                .first()
                .map(|at| format!("http://{at}/"))
                .unwrap_or_default()
        );
        notifier.ready(&status);
        tracing::info!(
            mode = plan.mode().as_str(),
            installed_by = plan.installed_by(),
            version = env!("CARGO_PKG_VERSION"),
            "ready"
        );
        Ok(Self {
            house,
            tasks,
            stop,
            _door: door,
        })
    }

    async fn run(mut self, signals: &mut Signals, notifier: &Notifier) -> Result<(), Failure> {
        let outcome = tokio::select! {
            signal = signals.stop() => {
                tracing::info!(signal, "stopping");
                Ok(())
            }
            (name, why) = self.tasks.death() => {
                tracing::error!(task = name, why, "a part of the daemon ended: stopping");
                Err(Failure::internal(format!("{name} ended by itself: {why}")))
            }
        };
        notifier.stopping();
        tokio::select! {
            closed = self.wind_down() => outcome.and(closed),
            signal = signals.stop() => {
                tracing::error!(signal, "told to stop again: ending at once");
                at_once()
            }
        }
    }

    async fn wind_down(&mut self) -> Result<(), Failure> {
        let begun = Instant::now();
        self.stop.send_replace(true);
        let late = self.tasks.join(begun + JOIN).await;
        if !late.is_empty() {
            tracing::warn!(tasks = late.join(", "), "not ended in time");
        }
        match timeout_at(begun + CLOSE, self.house.store.close()).await {
            Ok(Ok(())) => {}
            Ok(Err(StoreError::Full { .. })) => {
                tracing::warn!(
                    "disk is full: the store was closed without tidying up; what was acknowledged is in its journal"
                );
            }
            Ok(Err(error)) => return Err(error.into()),
            Err(_) => {
                tracing::warn!("store not closed in time; what was acknowledged is on disk");
                // To drop it would wait for its threads, and nothing waits any more.
                std::mem::forget(Arc::clone(&self.house.store));
            }
        }
        let took = begun.elapsed().as_millis();
        tracing::info!(took_ms = u64::try_from(took).unwrap_or(u64::MAX), "stopped");
        Ok(())
    }
}

/// What other rooms do for the people's plane.
fn plugs(house: &House) -> Plugs {
    let shop = |(cache, _): &(Cache, _)| Arc::new(Shop(cache.clone())) as _;
    Plugs {
        images: house.images.as_ref().map(shop),
    }
}

/// What goes on by itself beside the people's plane.
fn inner_life(
    tasks: &mut Tasks,
    config: &Config,
    plan: &Plan,
    house: &mut House,
    stopped: &watch::Receiver<bool>,
) {
    let images = house.images.take().map(|(cache, keeper)| {
        tasks.start("image cache", keeper.run(stopped.clone()));
        cache
    });
    let core = || house.core.clone();
    tasks.until("retention", stopped.clone(), upkeep::retention(core()));
    tasks.until("workflows", stopped.clone(), upkeep::workflows(core()));
    let told = core();
    tasks.until("boot milestones", stopped.clone(), async move {
        told.tell_boots().await;
        Ok(())
    });
    if matches!(plan, Plan::Installed { .. }) && !config.net.links.is_empty() {
        let wire = plane::serve(config.clone(), core(), images, stopped.clone());
        tasks.start("machines' plane", wire);
    }
    if let Some(stage) = house.stage.clone() {
        let life = demo::live(core(), stage);
        tasks.until("demo", stopped.clone(), async move {
            life.await.map_err(|error| error.to_string())
        });
    }
}

type Unix = (Option<tokio::net::UnixListener>, Option<socket::Door>);

fn unix(config: &Config) -> Result<Unix, Failure> {
    let (listener, door) = socket::open(&config.socket)?;
    let listener = tokio::net::UnixListener::from_std(listener)
        .map_err(|error| Failure::internal(format!("socket cannot be served: {error}")))?;
    Ok((Some(listener), Some(door)))
}

/// Ready means that the store has answered.
async fn first_pulse(mut ready: watch::Receiver<Ready>) -> Result<(), Failure> {
    let known = ready.wait_for(|ready| *ready == Ready::Yes).await;
    known
        .map(drop)
        .map_err(|_| Failure::internal("the daemon ended while it started"))
}

/// Tells a person who watches what to do now.
fn welcome(config: &Config, plan: &Plan, places: &[std::net::SocketAddr]) {
    let (Plan::Demo { .. }, LogFormat::Text, Some(place)) =
        (plan, config.log.format, places.first())
    else {
        return;
    };
    print::line(&format!(
        "{}\n\n  Look at it:  http://{place}/\n  Try it:      dragonfly --server http://{place} machine list\n  End it:      Ctrl-C\n",
        plan.mode().banner().unwrap_or_default()
    ));
}

#[expect(
    clippy::disallowed_methods,
    reason = "asked for twice: nothing is waited for any more"
)]
fn at_once() -> Result<(), Failure> {
    std::process::exit(i32::from(FAILED))
}

/// The tasks of the daemon, by name.
#[derive(Default)]
struct Tasks {
    running: JoinSet<(&'static str, Result<(), String>)>,
    names: Vec<(tokio::task::Id, &'static str)>,
}

impl Tasks {
    /// A task that ends by itself when it is told to stop.
    fn start(
        &mut self,
        name: &'static str,
        task: impl Future<Output = Result<(), String>> + Send + 'static,
    ) {
        let handle = self.running.spawn(async move { (name, task.await) });
        self.names.push((handle.id(), name));
    }

    /// A task that can be let go at any moment.
    fn until(
        &mut self,
        name: &'static str,
        mut stop: watch::Receiver<bool>,
        task: impl Future<Output = Result<(), String>> + Send + 'static,
    ) {
        self.start(name, async move {
            tokio::select! {
                ended = task => ended,
                _ = stop.wait_for(|stop| *stop) => Ok(()),
            }
        });
    }

    /// Waits for a task to end that should not, and says why it did.
    async fn death(&mut self) -> (&'static str, String) {
        match self.running.join_next_with_id().await {
            Some(Ok((id, (name, ended)))) => {
                self.forget(id);
                (
                    name,
                    ended
                        .err()
                        .unwrap_or_else(|| "it had nothing more to do".into()),
                )
            }
            Some(Err(error)) => {
                let name = self.name(error.id());
                self.forget(error.id());
                (name, error.to_string())
            }
            None => ("daemon", "it had no tasks".into()),
        }
    }

    /// Joins all of them until `end`; those that are late are cut off and named.
    async fn join(&mut self, end: Instant) -> Vec<&'static str> {
        while let Ok(Some(joined)) = timeout_at(end, self.running.join_next_with_id()).await {
            match joined {
                Ok((id, _)) => self.forget(id),
                Err(error) => {
                    tracing::error!(task = self.name(error.id()), %error, "task broke while stopping");
                    self.forget(error.id());
                }
            }
        }
        let late = self.names.iter().map(|(_, name)| *name).collect();
        self.running.abort_all();
        late
    }

    fn name(&self, id: tokio::task::Id) -> &'static str {
        let found = self.names.iter().find(|(known, _)| *known == id);
        found.map_or("task", |(_, name)| name)
    }

    fn forget(&mut self, id: tokio::task::Id) {
        self.names.retain(|(known, _)| *known != id);
    }
}

#[cfg(test)]
mod tests {
    use std::future::pending;

    use super::*;

    #[test]
    fn transfers_of_machines_end_before_their_tasks_are_cut_off() {
        assert!(crate::boot::http::GRACE < JOIN && SERVE < JOIN);
    }

    #[tokio::test]
    async fn a_task_that_ends_by_itself_is_named_with_the_reason() {
        let (_stop, stopped) = watch::channel(false);
        let mut tasks = Tasks::default();
        tasks.until("lasting", stopped.clone(), pending());
        tasks.until("broken", stopped.clone(), async { Err("no more".into()) });
        assert_eq!(tasks.death().await, ("broken", "no more".into()));
        tasks.until("idle", stopped.clone(), async { Ok(()) });
        let (name, why) = tasks.death().await;
        assert_eq!((name, &*why), ("idle", "it had nothing more to do"));
        tasks.until("wild", stopped, async { panic!("out of cheese") });
        let (name, why) = tasks.death().await;
        assert!(name == "wild" && why.contains("panicked"), "{name}: {why}");
    }

    #[tokio::test(start_paused = true)]
    async fn a_stop_waits_for_tasks_until_its_end_and_names_those_that_are_late() {
        let (stop, stopped) = watch::channel(false);
        let mut tasks = Tasks::default();
        tasks.until("obedient", stopped, pending());
        tasks.start("deaf", pending());
        stop.send_replace(true);
        let begun = Instant::now();
        assert_eq!(tasks.join(begun + JOIN).await, ["deaf"]);
        assert_eq!(begun.elapsed(), JOIN);
    }
}
