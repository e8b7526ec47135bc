//! All agents come back at one moment, as after a switch was off: a TLS handshake of each at once, and a call on it.

use std::sync::Arc;
use std::time::Instant;

use dragonfly::model::agent::{LOG, LogLines};
use tokio::sync::Barrier;
use tokio::task::JoinSet;

use super::common::{load, print, status_kib};
use super::machine::Machine;
use super::yard::Site;
use super::{Result, percentile};

pub async fn run(site: &Site, machines: Vec<Machine>) -> Result<()> {
    let wanted = machines.len();
    let gate = Arc::new(Barrier::new(wanted));
    let mut all = JoinSet::new();
    for machine in machines {
        let gate = Arc::clone(&gate);
        all.spawn(async move {
            gate.wait().await;
            let begun = Instant::now();
            let mut session = machine.connect().await?;
            let shaken = begun.elapsed();
            let lines = vec!["here again".to_owned()];
            session.call::<()>(LOG, &LogLines { lines }).await?;
            // The session is handed on, so that none leaves before all are there.
            Ok::<_, Box<dyn std::error::Error + Send + Sync>>((session, shaken, begun.elapsed()))
        });
    }
    let (mut here, mut shaken, mut served) = (Vec::new(), Vec::new(), Vec::new());
    while let Some(done) = all.join_next().await {
        match done? {
            Ok((session, hands, call)) => {
                here.push(session);
                shaken.push(hands.as_secs_f64() * 1000.0);
                served.push(call.as_secs_f64() * 1000.0);
            }
            Err(why) => println!("# fleet_burst: one was not served: {why}"),
        }
    }
    shaken.sort_by(f64::total_cmp);
    served.sort_by(f64::total_cmp);
    println!(
        "# fleet_burst: handshakes p50 {:.0} ms, the last {:.0} ms; served p50 {:.0} ms, the last {:.0} ms; {} KiB at its peak, load {}",
        percentile(&shaken, 50),
        percentile(&shaken, 100),
        percentile(&served, 50),
        percentile(&served, 100),
        status_kib(site.pid(), "VmHWM")?,
        load()
    );
    println!(
        "# fleet_burst: served of as many handshakes at once; larger is better, and the goal is all"
    );
    let (ours, goal) = (
        f64::from(u32::try_from(here.len())?),
        f64::from(u32::try_from(wanted)?),
    );
    print("fleet_burst", ours, goal, ours / goal);
    Ok(())
}
