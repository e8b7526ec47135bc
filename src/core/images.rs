//! Images: what a person does to them is told to the log; the bytes themselves are the cache's, outside the store.

use crate::model::{ImageChange, ImageName, Subject, What};

use super::plan::Plan;

pub(super) fn note(name: &ImageName, change: &ImageChange) -> Plan {
    let mut plan = Plan::new(Subject::Appliance, 0);
    plan.say(What::ImageChanged {
        name: name.clone(),
        how: change.to_string(),
    });
    if *change == ImageChange::Remove {
        plan.next("see all images", "dragonfly image list");
    } else {
        plan.next("look at it", format!("dragonfly image show {name}"));
    }
    plan
}
