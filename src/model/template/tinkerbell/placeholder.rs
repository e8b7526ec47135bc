//! The placeholders of Go's templates that Tinkerbell's templates commonly have.

use crate::model::template::expression::{Hole, Operand};
use crate::model::template::node::Spot;

/// `.device_1`, `index .Hardware.Disks 0` and `formatPartition (index .Hardware.Disks 0) 1`.
pub(in crate::model::template) fn read(source: &str, at: Spot) -> Result<Hole, String> {
    let bare = source
        .trim()
        .trim_start_matches("- ")
        .trim_end_matches(" -");
    let apart = bare.replace('(', " ( ").replace(')', " ) ");
    let words: Vec<&str> = apart.split_whitespace().collect();
    let operand = match words.as_slice() {
        [".device_1"] => Operand::Name(vec!["machine".into(), "mac".into()]),
        ["index", disks, index] if is_disks(disks) => disk(index, None)?,
        [
            "formatPartition",
            "(",
            "index",
            disks,
            index,
            ")",
            partition,
        ] if is_disks(disks) => {
            let number = partition
                .parse()
                .ok()
                .filter(|number| (1..=128).contains(number));
            let wrong = || format!("'{partition}' is no number of a partition");
            disk(index, Some(number.ok_or_else(wrong)?))?
        }
        _ => {
            return Err(format!(
                "the placeholder {{{{{source}}}}} is not known here; there are {{{{.device_1}}}}, {{{{ index \
                 .Hardware.Disks 0 }}}} and {{{{ formatPartition (index .Hardware.Disks 0) 1 }}}}"
            ));
        }
    };
    Ok(Hole {
        at,
        operand,
        filters: Vec::new(),
    })
}

fn is_disks(word: &str) -> bool {
    matches!(word, ".Hardware.Disks" | ".hardware.disks")
}

/// Tinkerbell's disks are a list that a person wrote into the hardware; here a rule has to point at one.
fn disk(index: &str, partition: Option<u32>) -> Result<Operand, String> {
    if index != "0" {
        return Err(format!(
            "disk {index} of .Hardware.Disks is not known here: there is no such list; name the disk by its device, or \
             write the template in Dragonfly's own format and name it by its serial number"
        ));
    }
    Ok(Operand::Disk(partition))
}
