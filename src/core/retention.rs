//! Retention: what is old enough to go. Run by the daemon every now and then.
//!
//! Events go by the settings `events.max_age_days` and `events.max_count`, never those of the audit log; answers to
//! idempotency keys go after a day, and beyond a number the oldest go before. Old workflows go
//! when they are over. Conflicts are brought up to who holds
//! their anchors now. The log is trimmed first and told of it after: a pass that is cut short in between leaves a
//! floor that nobody told of, and the next pass tells.

use jiff::{SignedDuration, Timestamp};

use crate::model::{Cursor, ReceiptId, Subject, What};
use crate::store::{
    Answer, Change, Commit, EventQuery, Expect, Index, MAX_PAGE, Object, Query, Retention,
    StoreError,
};

use super::command::Call;
use super::plan::Plan;
use super::receipt::{Receipt, ReceiptStatus, Refusal};
use super::run::{complete, events};
use super::{Core, answer};

/// As many answers as one commit drops: each needs an expectation and a change.
const ANSWERS_PER_COMMIT: usize = 45;
/// How a conflict was settled that no command settled.
const SETTLED: &str = "its anchors belong to one machine now";

impl Core {
    /// Trims the log, drops answers, and settles what was left of conflicts.
    pub(super) async fn trim(&self, call: &Call) -> Result<Receipt, Refusal> {
        let now = self.clock().now();
        let retention = self.retention(now)?;
        let mut plan = Plan::new(Subject::Appliance, 0);
        plan.next("watch events", "dragonfly events tail");
        if call.dry_run {
            plan.note(format!(
                "events from before {} would go, and those beyond the newest {}",
                retention.before, retention.max_count
            ));
            return Ok(self.trimmed(call, &plan, ReceiptStatus::DryRun));
        }
        let answers = self.drop_answers(now, answer::MAX_ANSWERS).await?;
        if answers > 0 {
            plan.note(format!("{answers} answers were dropped"));
        }
        let settled = self.settle(call, SETTLED).await?;
        if settled > 0 {
            plan.note(format!("{settled} conflicts were brought up to date"));
        }
        let workflows = self.drop_workflows().await?;
        if workflows > 0 {
            plan.note(format!(
                "{workflows} workflows that ended long ago were dropped"
            ));
        }
        let untold = self.untold()?;
        let trimmed = self.store().trim(retention).await?;
        let removed = untold + trimmed.removed;
        if removed == 0 {
            return Ok(self.trimmed(call, &plan, ReceiptStatus::Unchanged));
        }
        plan.say(What::Trimmed {
            removed,
            floor: trimmed.floor,
        });
        plan.note(format!("{removed} events were removed"));
        let commit = Commit {
            events: events(call, &plan, now),
            ..Commit::default()
        };
        let committed = self.store().commit(commit).await?;
        let mut receipt = self.trimmed(call, &plan, ReceiptStatus::Accepted);
        complete(&mut receipt, committed);
        Ok(receipt)
    }

    /// How many events were removed by a pass that was cut short before it could tell of them.
    fn untold(&self) -> Result<u64, Refusal> {
        let floor = self.stats().floor;
        let told = self.told_floor()?;
        let mut query = EventQuery {
            from: Some(told),
            limit: MAX_PAGE,
            ..EventQuery::default()
        };
        let mut removed = floor.raw().saturating_sub(told.raw());
        while removed > 0 {
            let page = self.events(&query)?;
            let here = page.events.iter().filter(|event| event.cursor <= floor);
            let here = here.count();
            removed = removed.saturating_sub(here as u64);
            query.from = page.next;
            if here < page.events.len() || !page.more {
                break;
            }
        }
        Ok(removed)
    }

    /// Up to where the log tells that events were removed.
    fn told_floor(&self) -> Result<Cursor, Refusal> {
        let mut query = EventQuery {
            newest_first: true,
            subject: Some(Subject::Appliance),
            limit: MAX_PAGE,
            ..EventQuery::default()
        };
        loop {
            let page = self.events(&query)?;
            let told = page.events.iter().find_map(|event| match event.what {
                What::Trimmed { floor, .. } => Some(floor),
                _ => None,
            });
            query.from = page.next;
            if told.is_some() || !page.more {
                return Ok(told.unwrap_or(Cursor::START));
            }
        }
    }

    fn trimmed(&self, call: &Call, plan: &Plan, status: ReceiptStatus) -> Receipt {
        Receipt {
            id: ReceiptId(self.clock().new_id()),
            status,
            ..self.receipt(call, plan)
        }
    }

    fn retention(&self, now: Timestamp) -> Result<Retention, Refusal> {
        let days = self.number("events.max_age_days")?;
        let hours = i64::try_from(days).unwrap_or(i64::MAX).saturating_mul(24);
        let age = SignedDuration::from_secs(hours.saturating_mul(3600));
        Ok(Retention {
            before: now.checked_sub(age).unwrap_or(Timestamp::MIN),
            max_count: self.number("events.max_count")?,
        })
    }

    /// A setting that its table says is a number.
    pub(super) fn number(&self, key: &str) -> Result<u64, Refusal> {
        let setting = self.setting(&key.parse()?)?;
        let default = setting.spec.default.parse().unwrap_or(u64::MAX);
        Ok(setting.value.parse().unwrap_or(default))
    }

    /// Drops answers that are expired and, beyond the number to `keep`, the oldest. Returns how many.
    pub(super) async fn drop_answers(&self, now: Timestamp, keep: usize) -> Result<usize, Refusal> {
        let mut fresh = Vec::new();
        let mut dropped = self
            .sweep(|answer| {
                let old = answer::expired(answer, now);
                if !old {
                    fresh.push(answer.at);
                }
                old
            })
            .await?;
        let Some(surplus) = fresh.len().checked_sub(keep + 1) else {
            return Ok(dropped);
        };
        let (_, newest, _) = fresh.select_nth_unstable(surplus);
        let newest = *newest;
        dropped += self.sweep(|answer| answer.at <= newest).await?;
        Ok(dropped)
    }

    /// Drops the answers that are `old`, page by page, and lets others run in between.
    async fn sweep(&self, mut old: impl FnMut(&Answer) -> bool) -> Result<usize, Refusal> {
        let mut query = Query {
            by: Index::Answers,
            after: None,
            limit: MAX_PAGE,
            descending: false,
        };
        let mut dropped = 0;
        loop {
            let page = self.store().page(&query)?;
            let old: Vec<_> = page
                .items
                .into_iter()
                .filter(|stored| matches!(&stored.object, Object::Answer(answer) if old(answer)))
                .map(|stored| (stored.object.key(), stored.version))
                .collect();
            for some in old.chunks(ANSWERS_PER_COMMIT) {
                dropped += self.drop_some(some).await?;
            }
            query.after = page.next;
            if query.after.is_none() {
                return Ok(dropped);
            }
            tokio::task::yield_now().await;
        }
    }

    /// An answer that was given anew meanwhile keeps its fellows for the next pass.
    async fn drop_some(&self, keys: &[(crate::store::Key, u64)]) -> Result<usize, Refusal> {
        let commit = Commit {
            expect: keys
                .iter()
                .map(|(key, version)| Expect::Version(key.clone(), *version))
                .collect(),
            changes: keys
                .iter()
                .map(|(key, _)| Change::Delete(key.clone()))
                .collect(),
            events: Vec::new(),
        };
        match self.store().commit(commit).await {
            Ok(_) => Ok(keys.len()),
            Err(StoreError::Version { .. }) => Ok(0),
            Err(why) => Err(why.into()),
        }
    }
}
