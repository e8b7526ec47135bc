//! What happened before the curtain rises: three days in which people met, named and installed the machines.

use std::collections::BTreeSet;

use jiff::{SignedDuration, Timestamp};

use super::cast::{CAST, Fate, Player, seat_of};
use super::clock::StoryClock;
use super::{Act, DemoError, Stage, move_to};
use crate::core::{Clock, Command, Core, Receipt};
use crate::model::machine::Source;
use crate::model::state::Cause;
use crate::model::{
    Actor, FieldError, Labels, Machine, MachineId, NicEvidence, NicKind, Observed, Patch, State,
    StateKind, Subject, Tag, What,
};

/// How long ago it begins.
pub(super) const LENGTH: SignedDuration = SignedDuration::from_hours(72);

/// Tells the whole story, up to `now`, and then lets the clock run.
pub async fn tell(
    core: &Core,
    stage: &dyn Stage,
    clock: &StoryClock,
    now: Timestamp,
) -> Result<(), DemoError> {
    let teller = Teller { core, stage, clock };
    let before = |time: SignedDuration| now.checked_sub(time).unwrap_or(now);
    let named = CAST.iter().filter(|player| !player.name.is_empty()).count();
    let mut machines = Vec::new();
    for seat in 0..named {
        machines.push(teller.meet(seat).await?);
    }
    clock.reach(before(SignedDuration::from_hours(60)));
    for (seat, machine) in machines.iter().enumerate() {
        teller.name(seat, *machine).await?;
    }
    clock.reach(before(SignedDuration::from_hours(48)));
    for (seat, machine) in machines.iter().enumerate() {
        teller.install(seat, *machine).await?;
    }
    clock.reach(before(SignedDuration::from_mins(95)));
    for seat in named..CAST.len() {
        machines.push(teller.meet(seat).await?);
    }
    teller.loose_ends(&machines).await?;
    clock.reach(before(SignedDuration::from_mins(2)));
    for machine in fated(&machines, |fate| fate == Fate::Installing) {
        teller.act(machine, begin).await?;
    }
    clock.end();
    Ok(())
}

/// The machines that have one sort of fate.
fn fated(machines: &[MachineId], sort: impl Fn(Fate) -> bool) -> Vec<MachineId> {
    let both = CAST.iter().zip(machines);
    both.filter(|(player, _)| sort(player.fate))
        .map(|(_, machine)| *machine)
        .collect()
}

struct Teller<'a> {
    core: &'a Core,
    stage: &'a dyn Stage,
    clock: &'a StoryClock,
}

impl Teller<'_> {
    /// A machine boots from the network for the first time.
    async fn meet(&self, seat: usize) -> Result<MachineId, DemoError> {
        let player = &CAST[seat];
        let wait = 200 + 37 * i64::try_from(seat % 7).unwrap_or(0);
        self.clock.pass(SignedDuration::from_secs(wait));
        let command = Command::CheckIn {
            evidence: player.evidence(seat),
            source: Source::Demo,
        };
        let receipt = self.run(machine_actor(seat), command).await?;
        let Subject::Machine(machine) = receipt.subject else {
            return Err(DemoError::Stage("check-in answered with no machine".into()));
        };
        let hardware = player.hardware(seat);
        let look = |machine: &mut Machine| {
            machine.hardware = hardware;
            Ok(None)
        };
        self.act(machine, look).await?;
        Ok(machine)
    }

    /// A person gives it names, tags and a system.
    async fn name(&self, seat: usize, machine: MachineId) -> Result<(), DemoError> {
        let player = &CAST[seat];
        let patch = Patch {
            hostname: Some(Some(player.name.parse()?)),
            friendly_name: Some(Some(player.name.parse()?)),
            os_choice: Some(Some(player.os.parse()?)),
            tags: Some(tags(player)?),
            labels: Some(Labels::try_from(player.labels(seat))?),
            ..Patch::default()
        };
        self.set(machine, patch).await?;
        self.apply(machine).await
    }

    /// A workflow installs it, and ends as its fate wants.
    async fn install(&self, seat: usize, machine: MachineId) -> Result<(), DemoError> {
        let fate = CAST[seat].fate;
        if fate == Fate::Chosen {
            return Ok(());
        }
        self.act(machine, begin).await?;
        let minutes = 4 + i64::try_from(seat % 5).unwrap_or(0);
        self.clock.pass(SignedDuration::from_mins(minutes));
        let at = self.clock.now();
        let end = match fate {
            Fate::Failed(why) => Act::of(machine, move |machine| fail(machine, why)),
            _ => Act::of(machine, move |machine| call_home(machine, at)),
        };
        self.stage.play(end).await?;
        self.clock.pass(SignedDuration::from_secs(45));
        Ok(())
    }

    /// A lock, an edit that waits, a machine put aside, and a card that moved.
    async fn loose_ends(&self, machines: &[MachineId]) -> Result<(), DemoError> {
        let reason = Some("holds the only copy of the family's photos".to_owned());
        let machine = find(machines, "cubefs-master-01")?;
        self.person(Command::LockMachine { machine, reason })
            .await?;
        for machine in fated(machines, |fate| fate == Fate::Aside) {
            let aside = Patch {
                status: Some(StateKind::Offline),
                ..Patch::default()
            };
            self.set(machine, aside).await?;
            self.apply(machine).await?;
        }
        let rename = Patch {
            hostname: Some(Some("jellyfin01".parse()?)),
            os_choice: Some(Some("debian-13".parse()?)),
            ..Patch::default()
        };
        self.set(find(machines, "jellyfin")?, rename).await?;
        self.clock.pass(SignedDuration::from_mins(11));
        self.moved_card().await
    }

    /// Somebody took the second card of one machine and put it into another: two anchors, two machines.
    async fn moved_card(&self) -> Result<(), DemoError> {
        let (from, to) = (3, 4);
        let mut evidence = CAST[to].evidence(to);
        evidence.nics.push(NicEvidence {
            mac: CAST[from].mac(from, 1),
            kind: NicKind::Fixed,
        });
        let command = Command::CheckIn {
            evidence,
            source: Source::Demo,
        };
        self.run(machine_actor(to), command).await.map(drop)
    }

    async fn set(&self, machine: MachineId, patch: Patch) -> Result<(), DemoError> {
        self.clock.pass(SignedDuration::from_secs(50));
        let confirmed = true;
        self.person(Command::SetMachine {
            machine,
            patch,
            confirmed,
        })
        .await
    }

    async fn apply(&self, machine: MachineId) -> Result<(), DemoError> {
        self.clock.pass(SignedDuration::from_secs(15));
        self.person(Command::ApplyMachine {
            machine,
            now: false,
        })
        .await
    }

    async fn person(&self, command: Command) -> Result<(), DemoError> {
        self.run(Actor::person("ada", "demo"), command)
            .await
            .map(drop)
    }

    async fn run(&self, actor: Actor, command: Command) -> Result<Receipt, DemoError> {
        Ok(self.core.order(actor, command).await?)
    }

    async fn act(
        &self,
        machine: MachineId,
        change: impl FnOnce(&mut Machine) -> Result<Option<What>, FieldError> + Send + 'static,
    ) -> Result<(), DemoError> {
        self.stage.play(Act::of(machine, change)).await
    }
}

fn find(machines: &[MachineId], name: &str) -> Result<MachineId, DemoError> {
    let seat = CAST.iter().position(|player| player.name == name);
    let machine = seat.and_then(|seat| machines.get(seat).copied());
    machine.ok_or_else(|| DemoError::Stage(format!("no {name} in the cast")))
}

fn machine_actor(seat: usize) -> Actor {
    Actor {
        from: format!("http {}", Player::address(seat)),
        ..Actor::system("check-in")
    }
}

fn tags(player: &Player) -> Result<BTreeSet<Tag>, FieldError> {
    player.tags.iter().map(|word| word.parse()).collect()
}

/// A workflow takes it on.
pub(super) fn begin(machine: &mut Machine) -> Result<Option<What>, FieldError> {
    move_to(machine, Cause::Workflow, State::Provisioning)
}

/// A workflow gives up on it, or it fails while it runs.
pub(super) fn fail(machine: &mut Machine, why: &str) -> Result<Option<What>, FieldError> {
    move_to(
        machine,
        Cause::Failure,
        State::Error {
            message: why.into(),
        },
    )
}

/// Its new system reports.
pub(super) fn call_home(machine: &mut Machine, at: Timestamp) -> Result<Option<What>, FieldError> {
    let what = move_to(machine, Cause::CallHome, State::Provisioned)?;
    let seat = seat_of(machine.identity.primary_mac);
    machine.status.last_seen = Some(at);
    machine.observed = Observed {
        generation: Some(machine.config.generation),
        hostname: machine.config.hostname.clone(),
        os: machine.config.os_choice.as_ref().map(ToString::to_string),
        addresses: vec![Player::address(seat)],
        netboot_once: false,
        called_home_at: Some(at),
    };
    Ok(what)
}
