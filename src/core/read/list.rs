//! Lists of machines: a filter, an order, and pages with an opaque cursor.
//!
//! A page walks the index that fits the order and the filter best, in chunks, and looks at no more than
//! [`MAX_SCAN`] machines; a rare match far away comes with a later page.

use std::sync::Arc;

use sha2::{Digest, Sha256};

use crate::core::{Core, Refusal};
use crate::model::{FieldError, Machine, OsChoice, StateKind, Tag};
use crate::store::{Index, MAX_PAGE, Page, Position, Query};

use super::find::machine_of;
use super::word::Word;

/// As many machines as one page looks at: a few milliseconds when all are in memory.
pub const MAX_SCAN: usize = 20_000;
/// As many characters as a search text may hold.
pub const MAX_TEXT: usize = 200;

/// Which machines. What is absent lets all pass.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct MachineFilter {
    pub state: Option<StateKind>,
    /// All of them have to be there.
    pub tags: Vec<Tag>,
    pub os: Option<OsChoice>,
    /// Words that each have to occur in a name, host name, MAC, tag, address or the id.
    pub text: Option<String>,
    pub locked: Option<bool>,
    pub pending: Option<bool>,
}

/// In which order.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Sort {
    pub by: SortBy,
    pub descending: bool,
}

/// By what machines are sorted.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum SortBy {
    /// The order of registration.
    #[default]
    Registered,
    /// The name that people see.
    Name,
    Hostname,
    /// The last change.
    Updated,
}

impl SortBy {
    pub const ALL: [Self; 4] = [Self::Registered, Self::Name, Self::Hostname, Self::Updated];

    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Registered => "registered",
            Self::Name => "name",
            Self::Hostname => "hostname",
            Self::Updated => "updated",
        }
    }
}

impl std::str::FromStr for Sort {
    type Err = FieldError;

    /// Reads `name`, and `-name` for the other direction.
    fn from_str(text: &str) -> Result<Self, FieldError> {
        let (name, descending) = match text.strip_prefix('-') {
            Some(name) => (name, true),
            None => (text, false),
        };
        let by = SortBy::ALL.into_iter().find(|by| by.as_str() == name);
        by.map(|by| Self { by, descending }).ok_or_else(|| {
            let known = SortBy::ALL.map(SortBy::as_str).join(", ");
            let reason = format!("'{}' is none of {known}", name.escape_default());
            FieldError::new("sort", reason, "-updated")
        })
    }
}

/// Some machines with their versions, and where to go on.
#[derive(Clone, Debug, Default)]
pub struct MachinePage {
    pub items: Vec<(Arc<Machine>, u64)>,
    /// Hand it back with the same order to go on. A page may be short, or empty, and not be the last.
    pub next: Option<String>,
    /// How many machines the walked index holds; exact for no filter, a state alone or one tag alone.
    pub total: usize,
}

impl Core {
    /// Machines that pass `filter`, in the order of `sort`, from `cursor` on.
    pub fn machines(
        &self,
        filter: &MachineFilter,
        sort: Sort,
        limit: usize,
        cursor: Option<&str>,
    ) -> Result<MachinePage, Refusal> {
        check_limit(limit)?;
        let sieve = Sieve::new(filter)?;
        let by = self.best_index(filter, sort.by)?;
        let mut after = cursor.map(|text| place(text, sort, &by)).transpose()?;
        let mut page = MachinePage::default();
        let mut looked = 0;
        loop {
            let wanted = limit - page.items.len();
            let chunk = self.chunk(&by, sort, after, wanted, &sieve)?;
            page.total = chunk.total;
            looked += chunk.looked;
            page.items.extend(chunk.passed);
            after = chunk.next;
            if after.is_none() || page.items.len() >= limit || looked >= MAX_SCAN {
                page.next =
                    after.map(|place| format!("{}{}", mark(sort, &by, &place), place.as_str()));
                return Ok(page);
            }
        }
    }

    /// One stretch of the index that holds at most `wanted` machines that pass.
    fn chunk(
        &self,
        by: &Index,
        sort: Sort,
        after: Option<Position>,
        wanted: usize,
        sieve: &Sieve,
    ) -> Result<Chunk, Refusal> {
        let mut query = Query {
            by: by.clone(),
            after,
            limit: if sieve.open { wanted } else { MAX_PAGE },
            descending: sort.descending,
        };
        let chunk = sieve.sift(self.store().page(&query)?, wanted);
        if chunk.looked == chunk.held {
            return Ok(chunk);
        }
        // Only a page's end has a name to go on from, so the page is made to end where enough has passed.
        query.limit = chunk.looked;
        Ok(sieve.sift(self.store().page(&query)?, wanted))
    }

    /// The index of the order asked for; by registration, the shortest one that a filter allows.
    fn best_index(&self, filter: &MachineFilter, by: SortBy) -> Result<Index, Refusal> {
        Ok(match by {
            SortBy::Name => Index::Name,
            SortBy::Hostname => Index::Hostname,
            SortBy::Updated => Index::Updated,
            SortBy::Registered => match (filter.state, filter.tags.as_slice()) {
                (None, []) => Index::Machines,
                (Some(state), []) => Index::State(state),
                (None, [tag]) => Index::Tag(tag.clone()),
                _ => self.shortest_index(filter)?,
            },
        })
    }

    fn shortest_index(&self, filter: &MachineFilter) -> Result<Index, Refusal> {
        let tags = filter.tags.iter().cloned().map(Index::Tag);
        let indexes = tags.chain(filter.state.map(Index::State));
        let mut sized = Vec::new();
        for by in indexes {
            let page = self.store().page(&Query {
                by: by.clone(),
                after: None,
                limit: 1,
                descending: false,
            })?;
            sized.push((page.total, by));
        }
        let shortest = sized.into_iter().min_by_key(|(total, _)| *total);
        Ok(shortest.map_or(Index::Machines, |(_, by)| by))
    }
}

fn check_limit(limit: usize) -> Result<(), FieldError> {
    if (1..=MAX_PAGE).contains(&limit) {
        return Ok(());
    }
    let reason = format!("{limit} does not lie between 1 and {MAX_PAGE}");
    Err(FieldError::new("limit", reason, "100"))
}

/// As many characters of a cursor as tell which walk it belongs to.
const MARK: usize = 8;

/// Tells one walk from another, since a place in one index means nothing in the next; and a whole cursor from one
/// that lost its end on the way.
fn mark(sort: Sort, by: &Index, place: &Position) -> String {
    let walk = format!("{by:?} {} {}", sort.descending, place.as_str());
    let digest = Sha256::digest(walk);
    let number = u32::from_be_bytes([digest[0], digest[1], digest[2], digest[3]]);
    format!("{number:08x}")
}

fn place(cursor: &str, sort: Sort, by: &Index) -> Result<Position, FieldError> {
    let parts = cursor.split_at_checked(MARK);
    let place = parts.map(|(own, place)| (own, Position::from_text(place)));
    match place {
        Some((own, place)) if own == mark(sort, by, &place) => Ok(place),
        _ => Err(FieldError::new(
            "cursor",
            "it was not given out for a list with this order, state and tags",
            "the value of next of the page before",
        )),
    }
}

/// What one stretch of an index came to.
struct Chunk {
    passed: Vec<(Arc<Machine>, u64)>,
    /// How many were looked at until enough had passed, and how many there were.
    looked: usize,
    held: usize,
    next: Option<Position>,
    total: usize,
}

/// A filter, made ready to be asked often.
struct Sieve<'a> {
    filter: &'a MachineFilter,
    words: Vec<Word>,
    /// Lets everything pass that the index holds.
    open: bool,
}

impl<'a> Sieve<'a> {
    fn new(filter: &'a MachineFilter) -> Result<Self, FieldError> {
        let text = filter.text.as_deref().unwrap_or_default();
        let length = text.chars().count();
        if length > MAX_TEXT {
            let reason = format!("{length} characters are too many, {MAX_TEXT} is the limit");
            return Err(FieldError::new("q", reason, "web01"));
        }
        let words = text.split_whitespace().map(Word::new).collect();
        Ok(Self {
            filter,
            words,
            open: *filter == MachineFilter::default(),
        })
    }

    fn sift(&self, page: Page, wanted: usize) -> Chunk {
        let held = page.items.len();
        let mut looked = 0;
        let mut passed = Vec::new();
        for stored in page.items {
            looked += 1;
            passed.extend(machine_of(stored).filter(|(machine, _)| self.passes(machine)));
            if passed.len() == wanted {
                break;
            }
        }
        Chunk {
            passed,
            looked,
            held,
            next: page.next,
            total: page.total,
        }
    }

    fn passes(&self, machine: &Machine) -> bool {
        let Self { filter, words, .. } = self;
        let config = &machine.config;
        self.open
            || filter
                .state
                .is_none_or(|state| machine.status.state.kind() == state)
                && filter.tags.iter().all(|tag| config.tags.contains(tag))
                && (filter.os.is_none() || config.os_choice == filter.os)
                && filter
                    .locked
                    .is_none_or(|locked| machine.lock.is_some() == locked)
                && filter
                    .pending
                    .is_none_or(|pending| machine.pending.is_some() == pending)
                && words.iter().all(|word| word.is_in(machine))
    }
}
