//! A thousand sessions: most of their machines are at work and report how far they are, once in 0.9 s each; the others
//! check in once a second, each time with something new, so that it is on the disk before it is answered.
//!
//! A call is due by the clock, whatever became of the one before, and what it took counts from there: a daemon that keeps
//! callers waiting is not asked less.

use std::time::Duration;

use dragonfly::model::agent::{
    AskOrder, Heard, LOG, LogLines, ORDER, Order, Progress, REPORT, Report, StepNews, Work,
};
use futures_util::stream::{self, StreamExt, TryStreamExt};
use serde_json::json;
use tokio::task::JoinSet;
use tokio::time::{Instant, sleep, sleep_until};

use super::common::{Spent, load, print_beside_goal};
use super::lease::Leases;
use super::machine::{Machine, Session};
use super::yard::{Site, TEMPLATE};
use super::{GOAL_MB, Result, SESSIONS, burst, megabytes, percentile};

const IDLE: u32 = 100;
const LOOK_EVERY: Duration = Duration::from_secs(1);
const REPORT_EVERY: Duration = Duration::from_millis(900);
const STEADY: Duration = Duration::from_mins(1);
const GOAL_MS: f64 = 100.0;
/// As many boot at once while the fleet comes up.
pub const AT_ONCE: usize = 64;
/// As many lines has each said before the steady time begins; machines of the lab said some thirty on their serial lines.
const LINES: usize = 100;
const WORK_WITHIN: Duration = Duration::from_mins(2);

/// A machine with its session.
pub struct Guest {
    pub machine: Machine,
    session: Session,
    work: Option<Work>,
}

pub async fn run(site: &Site) -> Result<()> {
    let leases = Leases::open().await?;
    let mut guests = come(site, &leases).await?;
    println!(
        "# fleet: {} sessions, {:.1} MB, load {}",
        guests.len(),
        megabytes(site.pid())?,
        load()
    );
    begin(site, &mut guests).await?;
    fill(&mut guests).await?;
    println!(
        "# fleet: {} at work, {:.1} MB, load {}",
        SESSIONS - IDLE,
        megabytes(site.pid())?,
        load()
    );
    let before = Spent::of_pid(site.pid())?;
    let (guests, looks, reports) = steady(guests).await?;
    let after = Spent::of_pid(site.pid())?;
    let cpu = after.cpu.saturating_sub(before.cpu).as_secs_f64() / STEADY.as_secs_f64();
    println!(
        "# fleet: {:.0} % of one processor, {} KiB at its peak, load {}",
        cpu * 100.0,
        after.peak_kib,
        load()
    );
    tell("fleet_checkin_p99", looks);
    tell("fleet_progress_p99", reports);
    let memory = megabytes(site.pid())?;
    print_beside_goal(
        "fleet_memory",
        "MB resident after the steady time",
        memory,
        GOAL_MB,
    );
    let machines: Vec<Machine> = guests.into_iter().map(|guest| guest.machine).collect();
    burst::run(site, machines).await
}

async fn come(site: &Site, leases: &Leases) -> Result<Vec<Guest>> {
    let coming = (1..=SESSIONS).map(|number| async move {
        let machine = Machine::boot(number, leases, site.scripts).await?;
        let session = machine.enter().await?;
        Ok(Guest {
            machine,
            session,
            work: None,
        })
    });
    stream::iter(coming)
        .buffer_unordered(AT_ONCE)
        .try_collect()
        .await
}

/// Gives work to all but the idle ones, by the door that people use.
async fn begin(site: &Site, guests: &mut [Guest]) -> Result<()> {
    let body = json!({ "os": TEMPLATE });
    let busy = &mut guests[IDLE as usize..];
    for guest in busy.iter() {
        let path = format!(
            "/api/v1/machines/{}/reimage?confirm=true",
            guest.machine.mac
        );
        let answer = site.daemon.ask("POST", &path, Some(&body))?;
        if !(200..300).contains(&answer.code) {
            return Err(format!("{path}: {}", answer.body).into());
        }
    }
    let taking = busy.iter_mut().map(Guest::take_work);
    stream::iter(taking)
        .buffer_unordered(AT_ONCE)
        .try_collect()
        .await
}

/// Fills the logs of all.
async fn fill(guests: &mut [Guest]) -> Result<()> {
    let lines =
        (0..LINES).map(|at| format!("disk nvme0n1 (SAMSUNG MZQL2960HCJR, 894.2 GiB): line {at}"));
    let log = &LogLines {
        lines: lines.collect(),
    };
    let saying = guests
        .iter_mut()
        .map(|guest| async move { guest.session().await?.call::<()>(LOG, log).await });
    stream::iter(saying)
        .buffer_unordered(AT_ONCE)
        .try_collect()
        .await
}

/// What calls took, in milliseconds.
type Times = Vec<f64>;

async fn steady(guests: Vec<Guest>) -> Result<(Vec<Guest>, Times, Times)> {
    let begin = Instant::now() + Duration::from_secs(1);
    let mut all = JoinSet::new();
    for (place, guest) in (0..).zip(guests) {
        let every = guest.period();
        // Spread over the period, as they would be who booted one after the other.
        let first = begin + every * place / SESSIONS;
        all.spawn(async move { guest.keep_on(first, every, begin + STEADY).await });
    }
    let (mut guests, mut looks, mut reports) = (Vec::new(), Vec::new(), Vec::new());
    while let Some(done) = all.join_next().await {
        let (guest, times) = done??;
        if guest.work.is_some() {
            reports.extend(times);
        } else {
            looks.extend(times);
        }
        guests.push(guest);
    }
    Ok((guests, looks, reports))
}

fn tell(name: &str, mut times: Times) {
    times.sort_by(f64::total_cmp);
    let rate = u32::try_from(times.len()).map_or(f64::NAN, f64::from) / STEADY.as_secs_f64();
    println!(
        "# {name}: {rate:.0} a second, p50 {:.2} ms, p90 {:.2} ms, the longest {:.2} ms",
        percentile(&times, 50),
        percentile(&times, 90),
        percentile(&times, 100)
    );
    print_beside_goal(name, "ms", percentile(&times, 99), GOAL_MS);
}

impl Guest {
    /// Its connection, or another one where that was closed.
    async fn session(&mut self) -> Result<&mut Session> {
        if self.session.is_closed() {
            self.session = self.machine.connect().await?;
        }
        Ok(&mut self.session)
    }

    async fn take_work(&mut self) -> Result<()> {
        let late = Instant::now() + WORK_WITHIN;
        let ask = AskOrder { wait_seconds: 0 };
        loop {
            if let Order::Execute(work) = self.session().await?.call(ORDER, &ask).await? {
                self.work = Some(work);
                return self.tell(StepNews::Started).await;
            }
            if Instant::now() > late {
                return Err(format!("machine {} gets no work", self.machine.number).into());
            }
            sleep(Duration::from_millis(200)).await;
        }
    }

    const fn period(&self) -> Duration {
        match self.work {
            Some(_) => REPORT_EVERY,
            None => LOOK_EVERY,
        }
    }

    /// Calls when it is due, until the end; what each took since then.
    async fn keep_on(
        mut self,
        first: Instant,
        every: Duration,
        end: Instant,
    ) -> Result<(Self, Times)> {
        let (mut due, mut times) = (first, Vec::new());
        while due < end {
            sleep_until(due).await;
            if self.work.is_some() {
                self.report().await?;
            } else {
                self.session().await?;
                let look = u32::try_from(times.len() + 1)?;
                self.machine.check_in(&mut self.session, look).await?;
            }
            times.push(due.elapsed().as_secs_f64() * 1000.0);
            due += every;
        }
        Ok((self, times))
    }

    async fn report(&mut self) -> Result<()> {
        self.tell(StepNews::Progress(Progress {
            bytes_done: 12 << 30,
            bytes_total: 40 << 30,
            bytes_per_second: 110 << 20,
            phase: "writing".into(),
        }))
        .await
    }

    async fn tell(&mut self, what: StepNews) -> Result<()> {
        let work = self.work.as_ref().ok_or("no work")?;
        let report = Report {
            workflow: work.workflow,
            attempt: work.attempt,
            step: 0,
            what,
        };
        let heard: Heard = self.session().await?.call(REPORT, &[report]).await?;
        if heard.go_on {
            return Ok(());
        }
        Err(format!(
            "machine {} is told to stop: {}",
            self.machine.number, heard.why
        )
        .into())
    }
}
