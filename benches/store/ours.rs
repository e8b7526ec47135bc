//! The store under test, asked as the core asks it.

use std::path::Path;
use std::time::Instant;

use dragonfly::model::{Anchor, MachineId, Subject, Tag};
use dragonfly::store::contract::samples::{event, mac, machine_id, server, text};
use dragonfly::store::redb::{Options, RedbStore};
use dragonfly::store::{Change, Commit, Index, Key, Object, Position, Query, Store};

use super::{Result, rate};

/// As many machines as one commit takes when it is filled.
const FILL: usize = 90;

pub struct Ours {
    store: RedbStore,
    identities: Vec<Anchor>,
    tags: Vec<Tag>,
}

/// How often the disk was synced, and for how many commits.
#[derive(Clone, Copy, Debug)]
pub struct Syncs(u64, u64);

impl Syncs {
    pub fn since(self, before: Self) -> f64 {
        let (syncs, commits) = (self.0 - before.0, self.1 - before.1);
        #[allow(clippy::cast_precision_loss, reason = "counts are far below 2^52")]
        let share = syncs as f64 / commits as f64;
        share
    }
}

thread_local! {
    static RUNTIME: tokio::runtime::Runtime =
        tokio::runtime::Builder::new_current_thread().build().unwrap();
}

fn wait<T>(future: impl Future<Output = T>) -> T {
    RUNTIME.with(|runtime| runtime.block_on(future))
}

impl Ours {
    pub fn seed(path: &Path, machines: u32) -> Result<Self> {
        let began = Instant::now();
        let store = RedbStore::open(Options::new(path))?;
        fill(&store, machines)?;
        let took = rate(u64::from(machines), began.elapsed());
        println!("# ours: {machines} machines put, {took:.0} a second");
        let identity = |number| server(number, 0).identity.identity_hash.map(Anchor::Hash);
        Ok(Self {
            store,
            identities: (0..machines).filter_map(identity).collect(),
            tags: (0..50).map(|rack| text(&format!("rack{rack}"))).collect(),
        })
    }

    pub fn by_id(&self, number: u32) -> Result<usize> {
        self.machine(machine_id(number))
    }

    pub fn by_mac(&self, number: u32) -> Result<usize> {
        let found = self.store.find(&Anchor::Mac(mac(number)))?;
        found.first().map_or(Ok(0), |id| self.machine(*id))
    }

    pub fn by_identity(&self, number: u32) -> Result<usize> {
        let found = self.store.find(&self.identities[number as usize])?;
        found.first().map_or(Ok(0), |id| self.machine(*id))
    }

    fn machine(&self, id: MachineId) -> Result<usize> {
        match self
            .store
            .get(&Key::Machine(id))?
            .map(|stored| stored.object)
        {
            Some(Object::Machine(machine)) => {
                Ok(std::hint::black_box(machine).identity.all_macs.len())
            }
            _ => Ok(0),
        }
    }

    pub fn tagged(&self, rack: u32, limit: usize) -> Result<usize> {
        let tag = self.tags[rack as usize].clone();
        self.list(Index::Tag(tag), None, limit)
    }

    pub fn page(&self, after: Option<&(Position, MachineId)>, limit: usize) -> Result<usize> {
        self.list(
            Index::Machines,
            after.map(|(place, _)| place.clone()),
            limit,
        )
    }

    fn list(&self, by: Index, after: Option<Position>, limit: usize) -> Result<usize> {
        let page = self.store.page(&query(by, after, limit))?;
        Ok(std::hint::black_box(page).items.len())
    }

    /// The beginnings of all full pages.
    pub fn places(&self, limit: usize) -> Result<Vec<Option<(Position, MachineId)>>> {
        let mut places = vec![None];
        let mut after = None;
        loop {
            let page = self.store.page(&query(Index::Machines, after, limit))?;
            let last = page.items.last().map(|stored| stored.object.key());
            let (Some(next), Some(Key::Machine(id))) = (page.next, last) else {
                return Ok(places);
            };
            places.push(Some((next.clone(), id)));
            after = Some(next);
        }
    }

    pub fn put(&self, number: u32, revision: u64, told: bool) -> Result<usize> {
        let machine = server(number, revision);
        let mut commit = Commit::default();
        if told {
            commit.events = vec![event(
                Subject::Machine(machine.id),
                revision.cast_signed(),
                false,
            )];
        }
        commit.changes = vec![Change::Put(machine.into())];
        Ok(wait(self.store.commit(commit))?.versions.len())
    }

    pub fn syncs(&self) -> Syncs {
        let stats = self.store.stats();
        Syncs(stats.syncs, stats.commits)
    }

    pub fn file_bytes(&self) -> u64 {
        self.store.stats().file_bytes
    }

    pub fn close(self) -> Result<()> {
        Ok(wait(self.store.close())?)
    }
}

fn query(by: Index, after: Option<Position>, limit: usize) -> Query {
    Query {
        by,
        after,
        limit,
        descending: false,
    }
}

pub fn fill(store: &RedbStore, machines: u32) -> Result<()> {
    let numbers: Vec<u32> = (0..machines).collect();
    for some in numbers.chunks(FILL) {
        let changes = some
            .iter()
            .map(|number| Change::Put(server(*number, 0).into()));
        let commit = Commit {
            changes: changes.collect(),
            ..Commit::default()
        };
        wait(store.commit(commit))?;
    }
    Ok(())
}

pub fn close(store: &RedbStore) -> Result<()> {
    Ok(wait(store.close())?)
}
