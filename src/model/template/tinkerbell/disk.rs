//! Devices as Tinkerbell names them: a disk and its partition in one word.

use crate::model::template::expression::Operand;
use crate::model::template::node::{Node, Word};

use super::word;

/// The keys `disk`, `partition` and `device` that stand for a device.
pub(super) fn place(node: &Node) -> Vec<(Word, Node)> {
    let at = node.at;
    let put = |key: &str, text: String| (word(at, key), Node::text(at, text));
    let Some(scalar) = node.scalar() else {
        return vec![(word(at, "disk"), node.clone())];
    };
    if let Some(Operand::Disk(partition)) = scalar.whole().map(|hole| &hole.operand) {
        // The rule `auto`: the only disk there is.
        return partition
            .iter()
            .map(|number| put("partition", number.to_string()))
            .collect();
    }
    let text = scalar.text.as_str();
    if ["/dev/mapper/", "/dev/md", "/dev/dm-"]
        .iter()
        .any(|prefix| text.starts_with(prefix))
    {
        return vec![put("device", text.to_owned())];
    }
    match split(text) {
        Some((disk, number)) => vec![
            put("disk", disk.to_owned()),
            put("partition", number.to_owned()),
        ],
        None => vec![(word(at, "disk"), node.clone())],
    }
}

/// `/dev/sda1` and `/dev/nvme0n1p1`.
fn split(device: &str) -> Option<(&str, &str)> {
    let name = device.trim_end_matches(|c: char| c.is_ascii_digit());
    let number = &device[name.len()..];
    if number.is_empty() {
        return None;
    }
    let numbered = ["/dev/nvme", "/dev/mmcblk", "/dev/loop"];
    if numbered.iter().any(|prefix| device.starts_with(prefix)) {
        let disk = name.strip_suffix('p')?;
        return disk
            .ends_with(|c: char| c.is_ascii_digit())
            .then_some((disk, number));
    }
    let short = ["/dev/sd", "/dev/vd", "/dev/hd", "/dev/xvd"];
    short
        .iter()
        .any(|prefix| name.starts_with(prefix))
        .then_some((name, number))
}

#[cfg(test)]
mod tests {
    use test_case::test_case;

    use super::*;

    #[test_case("/dev/sda1", Some(("/dev/sda", "1")))]
    #[test_case("/dev/vdb12", Some(("/dev/vdb", "12")))]
    #[test_case("/dev/nvme0n1p2", Some(("/dev/nvme0n1", "2")))]
    #[test_case("/dev/mmcblk0p1", Some(("/dev/mmcblk0", "1")))]
    #[test_case("/dev/sda", None; "a whole disk")]
    #[test_case("/dev/nvme0n1", None; "a whole disk that ends in a digit")]
    fn a_partition_is_told_from_its_disk(device: &str, parts: Option<(&str, &str)>) {
        assert_eq!(split(device), parts);
    }
}
