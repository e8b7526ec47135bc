//! A disk in memory that remembers every write and sync, so that its power can be cut at any of them.

use std::io;
use std::sync::{Arc, Mutex, MutexGuard};

use dragonfly::store::redb::Storage;

use super::Dice;

/// A disk writes so many bytes whole or not at all.
const SECTOR: usize = 512;

/// One thing that happened, in the order of time.
#[derive(Clone, Debug)]
pub enum Deed {
    Write(u64, Vec<u8>),
    SetLen(u64),
    Sync,
    /// Somebody was told that the workload's step so-and-so is done.
    Acknowledged(usize),
}

/// The disk; clones are the same disk.
#[derive(Clone, Debug, Default)]
pub struct Disk(Arc<Mutex<Platter>>);

#[derive(Debug, Default)]
struct Platter {
    /// What a reader sees: everything that was written.
    now: Vec<u8>,
    deeds: Vec<Deed>,
    /// Says that it synced, and did not.
    lies: bool,
}

impl Disk {
    /// A disk that holds `image` and nothing that waits to be synced.
    pub fn holding(image: Vec<u8>) -> Self {
        let disk = Self::default();
        disk.lock().now = image;
        disk
    }

    /// A disk whose syncs do nothing.
    pub fn lying() -> Self {
        let disk = Self::default();
        disk.lock().lies = true;
        disk
    }

    pub fn acknowledge(&self, step: usize) {
        self.lock().deeds.push(Deed::Acknowledged(step));
    }

    pub fn deeds(&self) -> Vec<Deed> {
        self.lock().deeds.clone()
    }

    pub fn len(&self) -> usize {
        self.lock().now.len()
    }

    fn lock(&self) -> MutexGuard<'_, Platter> {
        self.0.lock().expect("nobody panics with it")
    }
}

impl Storage for Disk {
    fn read_at(&self, buffer: &mut [u8], offset: u64) -> io::Result<()> {
        let platter = self.lock();
        let from = place(offset);
        let bytes = platter.now.get(from..from + buffer.len());
        buffer.copy_from_slice(bytes.ok_or(io::ErrorKind::UnexpectedEof)?);
        Ok(())
    }

    fn write_at(&self, bytes: &[u8], offset: u64) -> io::Result<()> {
        let deed = Deed::Write(offset, bytes.to_vec());
        let mut platter = self.lock();
        apply(&mut platter.now, &deed);
        platter.deeds.push(deed);
        Ok(())
    }

    fn set_len(&self, len: u64) -> io::Result<()> {
        let mut platter = self.lock();
        apply(&mut platter.now, &Deed::SetLen(len));
        platter.deeds.push(Deed::SetLen(len));
        Ok(())
    }

    fn len(&self) -> io::Result<u64> {
        Ok(self.lock().now.len() as u64)
    }

    fn sync(&self) -> io::Result<()> {
        let mut platter = self.lock();
        if !platter.lies {
            platter.deeds.push(Deed::Sync);
        }
        Ok(())
    }
}

fn place(offset: u64) -> usize {
    usize::try_from(offset).expect("fits memory")
}

fn apply(image: &mut Vec<u8>, deed: &Deed) {
    match deed {
        Deed::Write(offset, bytes) => write(image, place(*offset), bytes),
        Deed::SetLen(len) => image.resize(place(*len), 0),
        Deed::Sync | Deed::Acknowledged(_) => {}
    }
}

fn write(image: &mut Vec<u8>, at: usize, bytes: &[u8]) {
    if image.len() < at + bytes.len() {
        image.resize(at + bytes.len(), 0);
    }
    image[at..at + bytes.len()].copy_from_slice(bytes);
}

/// A moment at which the power may fail: what was synced, what was not, and who was told what.
#[derive(Clone, Debug)]
pub struct Moment<'a> {
    pub durable: &'a [u8],
    pub pending: &'a [Deed],
    /// The last step that was acknowledged.
    pub acknowledged: Option<usize>,
    /// How many deeds came before.
    pub place: usize,
    /// Whether a sync was the last of them.
    pub synced: bool,
    /// Whether an acknowledgement was.
    pub told: bool,
    /// Whether a sync comes next.
    pub before_sync: bool,
}

/// How much of what was not synced a power cut lets through.
#[derive(Clone, Copy, Debug)]
pub enum Luck {
    Nothing,
    Everything,
    /// Each sector, but one in so many.
    AllButOneIn(u64),
    /// One sector in so many.
    OneIn(u64),
}

impl Moment<'_> {
    /// What the disk holds when the power comes back.
    pub fn image(&self, luck: Luck, dice: &mut Dice) -> Vec<u8> {
        let mut image = self.durable.to_vec();
        let mut lucky = || match luck {
            Luck::Nothing => false,
            Luck::Everything => true,
            Luck::AllButOneIn(chances) => !dice.one_in(chances),
            Luck::OneIn(chances) => dice.one_in(chances),
        };
        for deed in self.pending {
            match deed {
                Deed::Write(offset, bytes) => {
                    for (number, sector) in sectors(*offset, bytes) {
                        if lucky() {
                            write(&mut image, number, sector);
                        }
                    }
                }
                other if lucky() => apply(&mut image, other),
                _ => {}
            }
        }
        image
    }

    /// A disk whose machine was not cut off but whose program was killed: all is there, nothing is synced.
    pub fn killed(&self) -> (Vec<u8>, Disk) {
        let disk = Disk::holding(self.durable.to_vec());
        let mut platter = disk.lock();
        for deed in self.pending {
            if !matches!(deed, Deed::Acknowledged(_)) {
                apply(&mut platter.now, deed);
                platter.deeds.push(deed.clone());
            }
        }
        drop(platter);
        (self.durable.to_vec(), disk)
    }
}

/// A write's pieces on the disk's own sectors.
fn sectors(offset: u64, bytes: &[u8]) -> impl Iterator<Item = (usize, &[u8])> {
    let from = place(offset);
    let first = (SECTOR - from % SECTOR).min(bytes.len());
    let (head, rest) = bytes.split_at(first);
    let rest = rest.chunks(SECTOR).enumerate();
    std::iter::once((from, head))
        .chain(rest.map(move |(number, sector)| (from + first + number * SECTOR, sector)))
}

/// Shows every moment after each write and each sync.
pub fn moments(begin: &[u8], deeds: &[Deed], mut show: impl FnMut(&Moment<'_>)) {
    let mut durable = begin.to_vec();
    let mut since = 0;
    let mut acknowledged = None;
    for (number, deed) in deeds.iter().enumerate() {
        match deed {
            Deed::Acknowledged(step) => acknowledged = acknowledged.max(Some(*step)),
            Deed::Sync => {
                deeds[since..number]
                    .iter()
                    .for_each(|deed| apply(&mut durable, deed));
                since = number + 1;
            }
            Deed::Write(..) | Deed::SetLen(_) => {}
        }
        show(&Moment {
            durable: &durable,
            pending: &deeds[since..=number],
            acknowledged,
            place: number + 1,
            synced: matches!(deed, Deed::Sync),
            told: matches!(deed, Deed::Acknowledged(_)),
            before_sync: matches!(deeds.get(number + 1), Some(Deed::Sync)),
        });
    }
}
