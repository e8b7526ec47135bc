//! How much memory unpacking may take in this machine.

use std::fs;

const MEBIBYTE: u64 = 1 << 20;
/// What the smallest machine has to spare: enough for `xz -9` and a window of zstd's level 19.
const LEAST: u64 = 80 * MEBIBYTE;
const MOST: u64 = 1024 * MEBIBYTE;

/// Half of what the kernel says is to be had.
pub fn spare() -> u64 {
    let text = fs::read_to_string("/proc/meminfo").unwrap_or_default();
    (available(&text) / 2).clamp(LEAST, MOST)
}

fn available(meminfo: &str) -> u64 {
    let line = meminfo
        .lines()
        .find_map(|line| line.strip_prefix("MemAvailable:"));
    let kibibytes: Option<u64> = line.and_then(|rest| rest.split_whitespace().next()?.parse().ok());
    kibibytes.unwrap_or_default() * 1024
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn half_of_what_is_available_within_bounds() {
        let text = "MemTotal:  506652 kB\nMemAvailable:  409600 kB\n";
        assert_eq!(available(text), 400 * MEBIBYTE);
        assert_eq!(available("nothing"), 0);
        assert!((LEAST..=MOST).contains(&spare()));
    }
}
