//! The daemon's memory as the fleet grows: each machine comes, is looked into and leaves.

use std::time::Duration;

use futures_util::stream::{self, StreamExt, TryStreamExt};
use tokio::time::{Instant, sleep};

use super::common::{load, print_beside_goal};
use super::lease::Leases;
use super::machine::Machine;
use super::steady::AT_ONCE;
use super::yard::Site;
use super::{GOAL_MB, Result, megabytes};

const SIZES: [u32; 3] = [100, 1000, 10_000];
/// What was needed while they came is given back within this time, or is not.
const SETTLES_WITHIN: Duration = Duration::from_secs(20);
const STILL: Duration = Duration::from_secs(3);

pub async fn run(site: &Site) -> Result<()> {
    let leases = &Leases::open().await?;
    println!(
        "# fleet_memory: {:.1} MB without machines",
        megabytes(site.pid())?
    );
    let (mut here, mut before) = (0, None);
    for size in SIZES {
        let began = Instant::now();
        let coming = (here + 1..=size).map(|number| async move {
            let machine = Machine::boot(number, leases, site.scripts).await?;
            machine.enter().await.map(drop)
        });
        stream::iter(coming)
            .buffer_unordered(AT_ONCE)
            .try_collect::<()>()
            .await?;
        let took = began.elapsed().as_secs_f64();
        let memory = settled(site).await?;
        if let Some(before) = before {
            let each = (memory - before) * 1000.0 / f64::from(size - here);
            println!("# fleet_memory_{size}: {each:.1} kB for each of those that came");
        }
        println!(
            "# fleet_memory_{size}: they came within {took:.1} s, load {}",
            load()
        );
        let unit = "MB resident; the goal is that of a thousand sessions";
        print_beside_goal(&format!("fleet_memory_{size}"), unit, memory, GOAL_MB);
        (here, before) = (size, Some(memory));
    }
    Ok(())
}

/// The memory once it shrinks no more.
async fn settled(site: &Site) -> Result<f64> {
    let late = Instant::now() + SETTLES_WITHIN;
    let mut memory = megabytes(site.pid())?;
    loop {
        sleep(STILL).await;
        let now = megabytes(site.pid())?;
        if now > memory * 0.99 || Instant::now() > late {
            return Ok(now);
        }
        memory = now;
    }
}
