//! Builds the rooms: the store and the core on it, the real ones or the demo's.

use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use jiff::Timestamp;

use super::failure::Failure;
use super::images;
use super::stage::StoreStage;
use crate::boot::cache::{Cache, Keeper};
use crate::core::config::Config;
use crate::core::{Clock, Core, SystemClock};
use crate::demo::{self, DemoError, Stage, StoryClock};
use crate::model::{Actor, CorrelationId, RequestId, Subject, What};
use crate::store::memory::MemoryStore;
use crate::store::redb::{Options, RedbStore};
use crate::store::{Commit, NewEvent, Store, StoreError};
use crate::web::Mode;

/// What is to be run.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Plan {
    Installed {
        /// What says so, in words.
        by: String,
    },
    Demo {
        /// Why it is not the real thing; empty when the demo was asked for.
        why: Vec<String>,
    },
}

impl Plan {
    pub(super) const fn mode(&self) -> Mode {
        match self {
            Self::Installed { .. } => Mode::Installed,
            Self::Demo { .. } => Mode::Demo,
        }
    }

    pub(super) fn installed_by(&self) -> Option<String> {
        match self {
            Self::Installed { by } => Some(by.clone()),
            Self::Demo { .. } => None,
        }
    }
}

/// The rooms, ready to be served.
pub(super) struct House {
    pub(super) store: Arc<dyn Store>,
    pub(super) core: Core,
    pub(super) started_at: Timestamp,
    /// What keeps images, and flies their downloads; the demo has none.
    pub(super) images: Option<(Cache, Keeper)>,
    /// Where the demo plays on.
    pub(super) stage: Option<Arc<dyn Stage>>,
}

impl House {
    pub(super) async fn build(config: &Config, plan: &Plan) -> Result<Self, Failure> {
        let house = match plan {
            Plan::Installed { .. } => Self::real(config).await?,
            Plan::Demo { .. } => Self::invented()
                .await
                .map_err(|error| Failure::internal(error.to_string()))?,
        };
        house.announce(plan.mode()).await?;
        Ok(house)
    }

    async fn real(config: &Config) -> Result<Self, Failure> {
        let images = config.clone();
        let config = config.clone();
        let opened = tokio::task::spawn_blocking(move || -> Result<Arc<dyn Store>, Failure> {
            make_folder(&config.data)?;
            Ok(Arc::new(RedbStore::open(options(&config))?))
        });
        let store = opened
            .await
            .map_err(|error| Failure::internal(format!("store could not be opened: {error}")))??;
        let clock = Arc::new(SystemClock);
        tracing::info!(store = store.describe(), "store opened");
        let images = images::open(&images).await?;
        Ok(Self {
            core: Core::new(Arc::clone(&store), clock),
            started_at: SystemClock.now(),
            store,
            images: Some(images),
            stage: None,
        })
    }

    async fn invented() -> Result<Self, DemoError> {
        let now = SystemClock.now();
        let clock = Arc::new(StoryClock::before(now));
        let store: Arc<dyn Store> = Arc::new(MemoryStore::new());
        let core = Core::new(Arc::clone(&store), Arc::clone(&clock) as Arc<dyn Clock>);
        let stage = Arc::new(StoreStage {
            store: Arc::clone(&store),
            clock: Arc::clone(&clock) as Arc<dyn Clock>,
        });
        demo::tell(&core, &*stage, &clock, now).await?;
        Ok(Self {
            store,
            core,
            started_at: now,
            images: None,
            stage: Some(stage),
        })
    }

    /// Writes down that Dragonfly started.
    async fn announce(&self, mode: Mode) -> Result<(), Failure> {
        let id = self.core.clock().new_id();
        let event = NewEvent {
            at: self.core.clock().now(),
            subject: Subject::Appliance,
            what: What::Started {
                version: env!("CARGO_PKG_VERSION").into(),
                mode: mode.as_str().into(),
            },
            audit: false,
            actor: Actor::system("daemon"),
            request: RequestId(id),
            correlation: CorrelationId(id),
            causation: None,
        };
        let commit = Commit {
            events: vec![event],
            ..Commit::default()
        };
        match self.store.commit(commit).await {
            // What is there can be read, and the store recovers once there is space.
            Err(error @ StoreError::Full { .. }) => {
                tracing::warn!(%error, "start not written down");
                Ok(())
            }
            written => written.map(drop).map_err(Failure::from),
        }
    }
}

/// The store's bounds, as they are configured.
fn options(config: &Config) -> Options {
    Options {
        journal_bytes: config.store.journal_bytes / 2,
        body_bytes: usize::try_from(config.store.cache_bytes).unwrap_or(usize::MAX),
        ..Options::new(whole(config.store_file()))
    }
}

/// The path as others find it too: `status` and `doctor` are asked from anywhere.
fn whole(path: PathBuf) -> PathBuf {
    std::path::absolute(&path).unwrap_or(path)
}

/// The data folder, its owner's alone where it has to be made.
pub(super) fn make_folder(data: &Path) -> Result<(), Failure> {
    if data.is_dir() {
        return Ok(());
    }
    let made = std::fs::DirBuilder::new()
        .recursive(true)
        .mode(0o700)
        .create(data);
    made.map_err(|error| {
        Failure::unavailable(format!(
            "data folder {} cannot be made: {error}",
            data.display()
        ))
        .hint("run it as a user who may write there, or choose another folder with --data")
    })
}
