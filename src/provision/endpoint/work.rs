//! Orders for agents, and what they tell while they work.

use std::time::Duration;

use tokio::time::Instant;

use super::hello::words;
use super::routes::No;
use super::{Caller, Endpoint};
use crate::core::telemetry::{Kind, MAX_ENTRY_BYTES};
use crate::model::MachineId;
use crate::model::agent::{
    AskOrder, Heard, HomeOrder, HomeReport, LogLines, Order, Progress, Report, StepNews,
};
use crate::provision::sessions::Session;

/// As long as an answer is held back, whatever was asked for.
const MAX_WAIT: Duration = Duration::from_mins(1);
/// How often it is looked whether there is something now.
const LOOK: Duration = Duration::from_millis(500);
/// Lines of one call; the ring keeps no more of a burst.
const MAX_LINES: usize = 512;
/// Reports of one call.
const MAX_REPORTS: usize = 256;

impl Endpoint {
    /// What is to be done now, or as soon as there is something.
    pub(super) async fn order(&self, session: &Session, ask: AskOrder) -> Result<Order, No> {
        let end = Instant::now() + Duration::from_secs(ask.wait_seconds).min(MAX_WAIT);
        let key = &session.used.key;
        loop {
            let Some(machine) = session.machine else {
                return Ok(Order::LocalBoot {
                    why: "which machine it is in is not known".into(),
                });
            };
            let order = self.order_of(machine).await?;
            if !matches!(order, Order::Wait { .. }) || Instant::now() + LOOK > end {
                return Ok(order);
            }
            tokio::time::sleep(LOOK).await;
            if !self.sessions().believes(key) {
                return Err(No::halt("this agent is believed no more"));
            }
        }
    }

    pub(super) async fn order_of(&self, machine: MachineId) -> Result<Order, No> {
        match self.core.machine_by_id(machine) {
            Ok((machine, _)) => Ok(self.orders.order(&machine).await),
            Err(crate::core::Refusal::Store(why)) => Err(No::later(why.to_string())),
            Err(_) => Ok(Order::LocalBoot {
                why: "its record was deleted".into(),
            }),
        }
    }

    /// What became of steps: the last answer counts for all.
    pub(super) async fn report(
        &self,
        session: &Session,
        reports: Vec<Report>,
    ) -> Result<Heard, No> {
        let Some(machine) = session.machine else {
            return Err(No::forbidden("it has not checked in"));
        };
        if reports.len() > MAX_REPORTS {
            return Err(No::wrong(format!(
                "more than {MAX_REPORTS} reports at once"
            )));
        }
        let mut heard = Heard {
            go_on: true,
            why: String::new(),
        };
        for report in &reports {
            if let StepNews::Progress(progress) = &report.what {
                let text = told(report.step, progress);
                self.core.telemetry().note(machine, Kind::Progress, &text);
            }
            let told = self.orders.report(machine, report).await;
            heard = told.map_err(|refused| No {
                status: hyper::StatusCode::SERVICE_UNAVAILABLE,
                refused,
            })?;
            if !heard.go_on {
                break;
            }
        }
        Ok(heard)
    }

    /// Lines of the agent's own log, kept in memory for a while.
    pub(super) fn log(&self, session: &Session, log: &LogLines) {
        let Some(machine) = session.machine else {
            return;
        };
        for line in log.lines.iter().take(MAX_LINES) {
            let line = words(line, MAX_ENTRY_BYTES);
            self.core.telemetry().note(machine, Kind::Log, &line);
        }
    }

    /// An installed system calls home.
    pub(super) async fn home(&self, caller: &Caller, report: HomeReport) -> Result<HomeOrder, No> {
        let order = self.orders.home(&report, caller.address).await;
        order.map_err(|refused| No {
            status: hyper::StatusCode::FORBIDDEN,
            refused,
        })
    }
}

/// `step 3: writing, 120 of 400 MiB, 80 MiB/s`
fn told(step: u32, progress: &Progress) -> String {
    let mib = |bytes: u64| bytes >> 20;
    let phase = words(&progress.phase, 64);
    format!(
        "step {step}: {phase}, {} of {} MiB, {} MiB/s",
        mib(progress.bytes_done),
        mib(progress.bytes_total),
        mib(progress.bytes_per_second)
    )
}
