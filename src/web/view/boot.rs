//! How machines boot, as [`crate::api::boot`] shows it.

use serde_json::json;

use crate::api::boot as api;
use crate::model::trace::{Cause, Diagnosis, Mark, Step};
use crate::model::{BootRecord, Once};

pub fn boot(record: &BootRecord) -> api::Boot {
    let once = record.once.as_ref().map(|once| match once.clone() {
        Once::Shell => api::BootOnce::Shell {},
        Once::Chain { url } => api::BootOnce::Chain { url },
        Once::Kernel {
            kernel,
            initrds,
            cmdline,
        } => api::BootOnce::Kernel {
            kernel,
            initrds,
            cmdline,
        },
    });
    api::Boot {
        once,
        rung: record.rung.map(|rung| rung.to_string()),
        loader: record.loader.to_string(),
        platform: record.arch.map(|arch| arch.to_string()),
        arch: record.arch.map(|arch| arch.0),
        at: record.at.map(|at| at.to_string()),
    }
}

pub fn step((number, step): &(u64, Step)) -> api::Step {
    api::Step {
        number: *number,
        at: step.at.to_string(),
        stage: step.stage.to_string(),
        mark: json!(step.mark).as_str().unwrap_or_default().to_owned(),
        link: step.link.as_ref().map(ToString::to_string),
        text: step.text.clone(),
        why: (!step.why.is_empty()).then(|| step.why.clone()),
    }
}

/// Where a boot stands.
pub fn state_of(steps: &[Step], found: Option<&Diagnosis>) -> &'static str {
    let given = |step: &Step| matches!(step.mark, Mark::ScriptGiven | Mark::LocalBoot);
    let asks = |step: &Step| matches!(step.mark, Mark::Discover | Mark::BinlAsked);
    if steps.is_empty() {
        return "unseen";
    }
    match found.map(|found| found.kind) {
        Some(Cause::Approval) => return "waiting",
        Some(_) => return "stopped",
        None => {}
    }
    match (steps.iter().rposition(given), steps.iter().rposition(asks)) {
        (Some(given), Some(asks)) if asks > given => "going_on",
        (Some(_), _) => "arrived",
        (None, _) => "going_on",
    }
}

/// The same with the machine's own name in the commands that are proposed.
pub fn diagnosis(found: Diagnosis, name: &str, mac: &str) -> api::Diagnosis {
    let own = |text: String| {
        let named = text.replace(" MACHINE", &format!(" {}", word(name)));
        named.replace(" MAC", &format!(" {mac}"))
    };
    let snippets = found.snippets.into_iter().map(|snippet| api::Snippet {
        topic: snippet.topic.to_string(),
        product: json!(snippet.product)
            .as_str()
            .unwrap_or_default()
            .replace('_', "-"),
        title: snippet.product.to_string(),
        text: snippet.text,
    });
    api::Diagnosis {
        kind: json!(found.kind).as_str().unwrap_or_default().to_owned(),
        cause: found.cause,
        what_to_do: found.what_to_do.into_iter().map(own).collect(),
        snippets: snippets.collect(),
    }
}

/// A name as a shell takes it.
fn word(name: &str) -> String {
    let plain = |c: char| c.is_ascii_alphanumeric() || "-_.:".contains(c);
    if !name.is_empty() && name.chars().all(plain) {
        return name.to_owned();
    }
    format!("'{}'", name.replace('\'', "'\\''"))
}
