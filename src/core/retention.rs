//! Retention: what is old enough to go. Run by the daemon every now and then.
//!
//! Events go by the settings `events.max_age_days` and `events.max_count`, never those of the audit log; answers to
//! idempotency keys go after a day. One pass is bounded, and the next one goes on.

use jiff::{SignedDuration, Timestamp};

use crate::model::{ReceiptId, Subject, What};
use crate::store::{Change, Commit, Expect, Index, MAX_PAGE, Object, Query, Retention, StoreError};

use super::command::Call;
use super::plan::Plan;
use super::receipt::{Receipt, ReceiptStatus, Refusal};
use super::run::{complete, events};
use super::{Core, answer};

/// As many expired answers as one commit drops: each needs an expectation and a change.
const ANSWERS_PER_COMMIT: usize = 45;
/// As many answers as one pass looks at.
const ANSWERS_PER_PASS: usize = 200 * MAX_PAGE;

impl Core {
    /// Trims the log and drops expired answers.
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
        let answers = self.drop_expired(now).await?;
        if answers > 0 {
            plan.note(format!("{answers} expired answers were dropped"));
        }
        let trimmed = self.store().trim(retention).await?;
        if trimmed.removed == 0 {
            return Ok(self.trimmed(call, &plan, ReceiptStatus::Unchanged));
        }
        plan.say(What::Trimmed {
            removed: trimmed.removed,
            floor: trimmed.floor,
        });
        plan.note(format!("{} events were removed", trimmed.removed));
        let commit = Commit {
            events: events(call, &plan, now),
            ..Commit::default()
        };
        let committed = self.store().commit(commit).await?;
        let mut receipt = self.trimmed(call, &plan, ReceiptStatus::Accepted);
        complete(&mut receipt, committed);
        Ok(receipt)
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
    fn number(&self, key: &str) -> Result<u64, Refusal> {
        let setting = self.setting(&key.parse()?)?;
        let default = setting.spec.default.parse().unwrap_or(u64::MAX);
        Ok(setting.value.parse().unwrap_or(default))
    }

    /// Returns how many answers were dropped.
    async fn drop_expired(&self, now: Timestamp) -> Result<usize, Refusal> {
        let mut query = Query {
            by: Index::Answers,
            after: None,
            limit: MAX_PAGE,
            descending: false,
        };
        let mut dropped = 0;
        for _ in 0..ANSWERS_PER_PASS / MAX_PAGE {
            let page = self.store().page(&query)?;
            let old = page.items.into_iter().filter(|stored| {
                matches!(&stored.object, Object::Answer(answer) if answer::expired(answer, now))
            });
            let old: Vec<_> = old
                .map(|stored| (stored.object.key(), stored.version))
                .collect();
            for some in old.chunks(ANSWERS_PER_COMMIT) {
                dropped += self.drop_answers(some).await?;
            }
            query.after = page.next;
            if query.after.is_none() {
                break;
            }
        }
        Ok(dropped)
    }

    /// An answer that was given anew meanwhile keeps its fellows for the next pass.
    async fn drop_answers(&self, keys: &[(crate::store::Key, u64)]) -> Result<usize, Refusal> {
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
