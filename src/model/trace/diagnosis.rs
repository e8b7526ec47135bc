//! Why a boot stopped: from the marks of its last attempt to a cause, and to what a person does about it.

mod words;

use jiff::{SignedDuration, Timestamp};
use serde::{Deserialize, Serialize};

use super::{Mark, Stage, Step};
use crate::model::boot::{Arch, NO_LOADER, ONLY_KNOWN, Rung, STAYS_SILENT, WAITS};
use crate::model::network::{NetworkConfig, Serve};
use crate::model::snippets::{Server, Snippet, snippets};

use words::{ALLOW_STAPLING, words};

/// After so long without a step an attempt is over: EDK2 waits 32 s between its last two questions, and takes six
/// times four seconds to give up a transfer.
pub const QUIET: SignedDuration = SignedDuration::from_secs(40);
/// After so long without the file it asked for: firmware goes through a list of names within moments.
const NEXT_NAME: SignedDuration = SignedDuration::from_secs(10);
/// What comes after so long belongs to another attempt.
const APART: SignedDuration = SignedDuration::from_secs(180);

/// Why it stopped.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Cause {
    /// It stands on a screen that says that a person has to approve it.
    Approval,
    /// The network answers known machines only.
    OnlyKnown,
    /// Nothing is to be done, and the network is silent then.
    NothingToDo,
    /// Nothing is given out on the network.
    NotServed,
    /// A file was asked for that is not there.
    FileMissing,
    /// A transfer over TFTP ended before its end.
    TftpBroken,
    /// A transfer over HTTP ended before its end.
    HttpBroken,
    /// The loader was fetched, and nothing was heard of it again.
    LoaderSilent,
    /// The loader runs, and did not fetch its script.
    ScriptNotFetched,
    /// The DHCP server did not answer what was relayed to it.
    RelaySilent,
    /// Another server sends boot instructions too, and firmware prefers those that come with the address.
    ForeignBoot,
    /// The firmware wants HTTP, and did not fetch from a plain http URL.
    HttpRefused,
    /// An address was refused.
    Refused,
    /// It was told on port 4011 what to boot, and did not fetch it.
    FileNotFetched,
    /// It took an address and not our offer.
    OfferIgnored,
    /// Addresses were offered, and it took none.
    OffersLost,
    /// Nobody offered it an address.
    NoAddress,
    /// There is no loader for what it is.
    NoLoader,
    /// It asked, and nothing was answered.
    Unanswered,
}

impl Cause {
    pub const ALL: [Self; 19] = [
        Self::Approval,
        Self::OnlyKnown,
        Self::NothingToDo,
        Self::NotServed,
        Self::FileMissing,
        Self::TftpBroken,
        Self::HttpBroken,
        Self::LoaderSilent,
        Self::ScriptNotFetched,
        Self::RelaySilent,
        Self::ForeignBoot,
        Self::HttpRefused,
        Self::Refused,
        Self::FileNotFetched,
        Self::OfferIgnored,
        Self::OffersLost,
        Self::NoAddress,
        Self::NoLoader,
        Self::Unanswered,
    ];
}

/// What is known beside the steps.
#[derive(Clone, Copy, Debug)]
pub struct Scene<'a> {
    pub network: &'a NetworkConfig,
    /// Where machines fetch from; none while nothing is served.
    pub server: Option<&'a Server>,
    /// What the machine says that it is, where that is known.
    pub arch: Option<Arch>,
}

/// What a person is told.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Diagnosis {
    pub kind: Cause,
    /// The likely cause, in a sentence.
    pub cause: String,
    pub what_to_do: Vec<String>,
    pub snippets: Vec<Snippet>,
}

/// The likely cause of a boot that stopped; none while it goes on, and none when it came to its script.
pub fn diagnose(steps: &[Step], now: Timestamp, scene: &Scene<'_>) -> Option<Diagnosis> {
    let last = steps.last()?;
    if last.mark == Mark::ScriptGiven && last.why == WAITS {
        return Some(told(Cause::Approval, last, scene));
    }
    let attempt = attempt(steps);
    let patience = match last.mark {
        Mark::Stopped | Mark::RungChanged | Mark::Silent => SignedDuration::ZERO,
        Mark::FileMissing => NEXT_NAME,
        _ => QUIET,
    };
    if attempt.is_empty() || now.duration_since(last.at).abs() < patience {
        return None;
    }
    let (cause, step) = cause(attempt, scene)?;
    Some(told(cause, step, scene))
}

/// The steps since the machine was given something to boot, or was not heard of for long.
fn attempt(steps: &[Step]) -> &[Step] {
    let given = |step: &Step| matches!(step.mark, Mark::ScriptGiven | Mark::LocalBoot);
    let after_script = steps.iter().rposition(given).map_or(0, |place| place + 1);
    // A question begins an attempt. The clock may be set forward before any other step, and a verdict comes late.
    let asks = |step: &Step| matches!(step.mark, Mark::Discover | Mark::BinlAsked);
    let gap =
        |pair: &[Step]| asks(&pair[1]) && pair[1].at.duration_since(pair[0].at).abs() >= APART;
    let after_gap = steps.windows(2).rposition(gap).map_or(0, |place| place + 1);
    &steps[after_script.max(after_gap)..]
}

/// The first that fits, from the end of a boot to its beginning; with the step that shows it.
fn cause<'a>(attempt: &'a [Step], scene: &Scene<'_>) -> Option<(Cause, &'a Step)> {
    let last = |mark: Mark| attempt.iter().rposition(|step| step.mark == mark);
    let at = |place: usize, cause| attempt.get(place).map(|step| (cause, step));
    let fetched = last(Mark::FileDone);
    let later = |place: &usize| fetched.is_none_or(|fetched| fetched < *place);
    if let Some(place) = last(Mark::FileMissing).filter(later) {
        return at(place, Cause::FileMissing);
    }
    let begun = last(Mark::FileBegun).max(last(Mark::FileProbed));
    let begun = begun.max(last(Mark::FileBroken));
    if let Some(place) = begun.filter(later) {
        let http = attempt[place].stage == Stage::Http;
        let broken = if http {
            Cause::HttpBroken
        } else {
            Cause::TftpBroken
        };
        return at(place, broken);
    }
    // Without a question at its beginning it is what a script fetched, which goes well.
    let asked = last(Mark::Discover).max(last(Mark::BinlAsked))?;
    if let Some(fetched) = fetched {
        let again = if fetched < asked {
            Cause::ScriptNotFetched
        } else {
            Cause::LoaderSilent
        };
        return at(fetched, again);
    }
    let answered = |step: &Step| {
        matches!(
            step.mark,
            Mark::Offered | Mark::BinlAnswered | Mark::Acknowledged | Mark::Relayed
        )
    };
    if attempt.iter().any(answered) {
        return at(asked, unfetched(attempt, scene));
    }
    let silent = last(Mark::Silent).unwrap_or(asked);
    at(silent, unanswered(&attempt[silent], scene))
}

/// It was answered, and fetched nothing.
fn unfetched(attempt: &[Step], scene: &Scene<'_>) -> Cause {
    let seen = |mark: Mark| attempt.iter().any(|step| step.mark == mark);
    if seen(Mark::RelaySilent) && !seen(Mark::Acknowledged) {
        Cause::RelaySilent
    } else if seen(Mark::ForeignBoot) {
        Cause::ForeignBoot
    } else if seen(Mark::Refused) && !seen(Mark::Acknowledged) {
        Cause::Refused
    } else if scene.arch.is_some_and(Arch::is_http) {
        Cause::HttpRefused
    } else if seen(Mark::BinlAnswered) || seen(Mark::Acknowledged) {
        Cause::FileNotFetched
    } else if seen(Mark::Request) {
        Cause::OfferIgnored
    } else if seen(Mark::ForeignOffer) {
        Cause::OffersLost
    } else {
        Cause::NoAddress
    }
}

/// It asked, and we said nothing, for the reason that stands in the step.
fn unanswered(step: &Step, scene: &Scene<'_>) -> Cause {
    match &*step.why {
        ONLY_KNOWN => Cause::OnlyKnown,
        STAYS_SILENT => Cause::NothingToDo,
        NO_LOADER => Cause::NoLoader,
        _ if scene.network.serve == Serve::Off => Cause::NotServed,
        _ => Cause::Unanswered,
    }
}

fn told(kind: Cause, step: &Step, scene: &Scene<'_>) -> Diagnosis {
    let link = step.link.as_ref().map_or("LINK", |link| link.as_str());
    let port = scene.server.map_or(3080, |server| server.http_port);
    let fill = |words: &str| {
        let words = words.replace("{link}", link);
        words.replace("{port}", &port.to_string())
    };
    let row = words(kind);
    // What is from the wire comes last, so that nothing is filled into it.
    let mut cause = fill(row.cause).replace("{text}", &step.text);
    if kind == Cause::Unanswered && !step.why.is_empty() {
        cause.push_str(": ");
        cause.push_str(&step.why);
    }
    let mut what_to_do: Vec<_> = row.what_to_do.iter().map(|words| fill(words)).collect();
    if kind == Cause::OfferIgnored && !scene.network.rungs.contains(&Rung::Staple) {
        what_to_do.push(fill(ALLOW_STAPLING));
    }
    let server = scene.server.into_iter();
    let topics = server.flat_map(|server| row.topics.iter().map(move |topic| (server, *topic)));
    Diagnosis {
        kind,
        cause,
        what_to_do,
        snippets: topics
            .flat_map(|(server, topic)| snippets(topic, server))
            .collect(),
    }
}

#[cfg(test)]
mod tests;
