//! Whether a store and the naive model say the same, to every question that a reader can ask.

use super::naive::Naive;
use crate::model::{Anchor, Cursor, Event, LinkName, MachineId, StateKind, Subject, Tag};
use crate::store::{EventQuery, Index, Key, Object, Query, Store, StoreError, Stored};

/// Asks both all questions about what lives in `world`, in pages of `limit`, and panics where they differ.
pub fn agree(store: &dyn Store, naive: &Naive, world: &World, limit: usize) {
    for key in world.keys.iter().chain(naive.keys()) {
        assert_eq!(store.get(key).expect("reads"), naive.get(key), "{key:?}");
    }
    for anchor in &world.anchors {
        let found = store.find(anchor).expect("reads");
        assert_eq!(found, naive.find(anchor), "{anchor}");
    }
    for by in world.indexes() {
        for descending in [false, true] {
            let expected = naive.walk(&by, descending);
            let found = walk(store, &by, descending, limit, expected.len());
            assert_eq!(found, expected, "{by:?}, descending: {descending}");
        }
    }
    assert_eq!(store.tags().expect("reads"), naive.tags());
    assert_eq!(store.counts().expect("reads"), naive.counts());
    agree_on_events(store, naive, world, limit);
}

fn agree_on_events(store: &dyn Store, naive: &Naive, world: &World, limit: usize) {
    let subjects = world.subjects.iter().cloned().map(Some).chain([None]);
    for subject in subjects {
        for (newest_first, audit_only) in
            [(false, false), (false, true), (true, false), (true, true)]
        {
            let query = EventQuery {
                from: None,
                newest_first,
                subject: subject.clone(),
                audit_only,
                follow: false,
                limit,
            };
            let expected = naive
                .events(&query)
                .expect("nothing is missed from the end");
            assert_eq!(follow(store, &query), expected, "{query:?}");
        }
    }
    agree_on_resets(store, naive);
    let stats = store.stats();
    assert_eq!(stats.events, naive.event_count() as u64);
    assert_eq!(stats.cursor, naive.last());
    assert_eq!(*store.watch().borrow(), naive.last());
}

fn agree_on_resets(store: &dyn Store, naive: &Naive) {
    for from in 0..=naive.last().raw() {
        let query = EventQuery {
            from: Some(Cursor::from_raw(from)),
            follow: true,
            limit: 1,
            ..EventQuery::default()
        };
        match (store.events(&query), naive.events(&query)) {
            (Ok(page), Some(events)) => {
                assert_eq!(page.events.first(), events.first(), "{query:?}");
            }
            (Err(StoreError::Reset { .. }), None) => {}
            (found, expected) => panic!("{found:?} where {expected:?} is right: {query:?}"),
        }
    }
}

/// Everything that an index holds, page by page, from its beginning to its end.
pub fn walk(
    store: &dyn Store,
    by: &Index,
    descending: bool,
    limit: usize,
    total: usize,
) -> Vec<Stored> {
    let mut query = Query {
        by: by.clone(),
        after: None,
        limit,
        descending,
    };
    let mut items = Vec::new();
    loop {
        let page = store.page(&query).expect("reads");
        assert_eq!(page.total, total, "{query:?}");
        assert!(page.items.len() <= limit, "{query:?}");
        assert!(
            page.next.is_none() || page.items.len() == limit,
            "{query:?}"
        );
        items.extend(page.items);
        query.after = page.next;
        if query.after.is_none() {
            return items;
        }
    }
}

/// All that a query finds, followed until it says that there is no more.
pub fn follow(store: &dyn Store, query: &EventQuery) -> Vec<Event> {
    let mut query = query.clone();
    let mut events = Vec::new();
    loop {
        let page = store.events(&query).expect("nothing was trimmed meanwhile");
        assert!(page.events.len() <= query.limit, "{query:?}");
        assert!(!page.more || page.events.len() == query.limit, "{query:?}");
        events.extend(page.events);
        query.from = page.next;
        if !page.more {
            return events;
        }
    }
}

/// Both refuse for the same reason, or both do the same.
pub fn same<T: PartialEq + std::fmt::Debug>(
    found: &Result<T, StoreError>,
    expected: &Result<T, StoreError>,
) {
    match (found, expected) {
        (Ok(found), Ok(expected)) => assert_eq!(found, expected),
        (Err(found), Err(expected)) => assert_eq!(reason(found), reason(expected)),
        _ => panic!("the store says {found:?}, and it should say {expected:?}"),
    }
}

/// The error without what may differ: which of two holders is named, how many bytes there were.
fn reason(error: &StoreError) -> String {
    match error {
        StoreError::Taken { anchor, .. } => format!("taken {anchor}"),
        StoreError::TooLarge { .. } => "too large".into(),
        other => other.to_string(),
    }
}

/// What is asked about.
#[derive(Clone, Debug, Default)]
pub struct World {
    pub keys: Vec<Key>,
    pub anchors: Vec<Anchor>,
    pub tags: Vec<Tag>,
    pub subjects: Vec<Subject>,
    /// Where leases may be.
    pub links: Vec<LinkName>,
    /// What workflows may be of.
    pub worked_on: Vec<MachineId>,
}

impl World {
    /// What these objects may be found by.
    pub fn of(objects: &[Object]) -> Self {
        let mut world = Self {
            subjects: vec![Subject::Appliance],
            ..Self::default()
        };
        for object in objects {
            world.keys.push(object.key());
            match object {
                Object::Machine(machine) => {
                    let name = Anchor::Name(machine.config.memorable_name.clone());
                    world.anchors.extend(machine.identity.anchors());
                    world.anchors.push(name);
                    world.tags.extend(machine.config.tags.iter().cloned());
                    world.subjects.push(Subject::Machine(machine.id));
                }
                Object::Setting(setting) => {
                    world.subjects.push(Subject::Setting(setting.key.clone()));
                }
                Object::Conflict(conflict) => world.subjects.push(Subject::Conflict(conflict.id)),
                Object::Template(template) => {
                    world
                        .subjects
                        .push(Subject::Template(template.name.clone()));
                }
                Object::Network(network) => {
                    world.subjects.push(Subject::Network(network.link.clone()));
                }
                Object::Lease(lease) => world.links.push(lease.link.clone()),
                Object::Workflow(workflow) => {
                    world.subjects.push(Subject::Workflow(workflow.id));
                    world.worked_on.push(workflow.machine);
                }
                Object::Answer(_) => {}
            }
        }
        world.sorted()
    }

    fn sorted(mut self) -> Self {
        self.keys.sort();
        self.keys.dedup();
        self.anchors.sort();
        self.anchors.dedup();
        self.tags.sort();
        self.tags.dedup();
        self.subjects.sort();
        self.subjects.dedup();
        self.links.sort();
        self.links.dedup();
        self.worked_on.sort();
        self.worked_on.dedup();
        self
    }

    pub fn indexes(&self) -> Vec<Index> {
        let tags = self.tags.iter().cloned().map(Index::Tag);
        let links = self.links.iter().cloned().map(Index::Leases);
        let worked_on = self.worked_on.iter().copied().map(Index::WorkflowsOf);
        [
            Index::Machines,
            Index::Name,
            Index::Hostname,
            Index::Updated,
            Index::Settings,
            Index::Conflicts,
            Index::Answers,
            Index::Networks,
            Index::Templates,
            Index::Workflows,
            Index::ActiveWorkflows,
        ]
        .into_iter()
        .chain(StateKind::ALL.map(Index::State))
        .chain(tags)
        .chain(links)
        .chain(worked_on)
        .collect()
    }
}
