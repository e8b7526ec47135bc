//! Dice that fall the same way again for the same seed (xorshift64*).

use std::time::Duration;

#[derive(Clone, Debug)]
pub struct Dice(u64);

impl Dice {
    pub fn new(seed: u64) -> Self {
        let mut dice = Self(seed.wrapping_add(1).wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1);
        // The first roll of a small seed is a small number.
        dice.roll();
        dice.roll();
        dice
    }

    pub fn roll(&mut self) -> u64 {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        self.0.wrapping_mul(0x2545_f491_4f6c_dd1d)
    }

    /// From 0 up to `below`; 0 when that is 0.
    pub fn below(&mut self, below: u64) -> u64 {
        // The upper bits are the better ones.
        (self.roll() >> 16) % below.max(1)
    }

    /// Whether something happens that happens so often in a hundred.
    pub fn percent(&mut self, often: u64) -> bool {
        self.below(100) < often
    }

    pub fn millis(&mut self, least: u64, most: u64) -> Duration {
        Duration::from_millis(least + self.below(most.saturating_sub(least) + 1))
    }

    pub fn number(&mut self) -> u32 {
        u32::try_from(self.roll() >> 32).unwrap_or(u32::MAX)
    }
}
