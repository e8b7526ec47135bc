//! The memory that bytes move in: blocks that lie as a disk wants them, used again and again.
//!
//! A pool makes so many and no more, so that a stage that is faster than the next one waits for it.

use std::ops::{Deref, DerefMut};
use std::sync::{Arc, Condvar, Mutex, PoisonError};
use std::time::Duration;

use super::run::Run;

/// Bytes of a block, and of most of what is asked of a disk at once.
pub const BLOCK: usize = 1 << 20;
/// Where a block begins in memory: what the largest logical sector asks for.
const ALIGNMENT: usize = 4096;
const LOOKS_UP: Duration = Duration::from_millis(100);

/// Memory of a whole block, beginning at a multiple of the alignment.
#[derive(Debug)]
struct Memory {
    bytes: Box<[u8]>,
    start: usize,
}

impl Memory {
    fn new(len: usize) -> Self {
        let bytes = vec![0; len + ALIGNMENT].into_boxed_slice();
        let start = bytes.as_ptr().align_offset(ALIGNMENT).min(ALIGNMENT);
        Self { bytes, start }
    }
}

#[derive(Debug)]
struct Free {
    memory: Vec<Memory>,
    /// How many may still be made.
    unmade: usize,
}

#[derive(Debug)]
pub struct Pool {
    len: usize,
    free: Mutex<Free>,
    returned: Condvar,
}

impl Pool {
    pub fn new(blocks: usize) -> Arc<Self> {
        Self::of(blocks, BLOCK)
    }

    /// Of blocks that have so many bytes.
    pub fn of(blocks: usize, len: usize) -> Arc<Self> {
        Arc::new(Self {
            len,
            free: Mutex::new(Free {
                memory: Vec::with_capacity(blocks),
                unmade: blocks,
            }),
            returned: Condvar::new(),
        })
    }

    /// A block with old bytes in it, as soon as there is one; none once the run is stopped.
    pub fn take(self: &Arc<Self>, run: &Run) -> Option<Block> {
        let mut free = self.free.lock().unwrap_or_else(PoisonError::into_inner);
        while !run.is_stopped() {
            if let Some(memory) = free.memory.pop() {
                return Some(self.block(memory));
            }
            if free.unmade > 0 {
                free.unmade -= 1;
                drop(free);
                return Some(self.block(Memory::new(self.len)));
            }
            let waited = self.returned.wait_timeout(free, LOOKS_UP);
            free = waited.unwrap_or_else(PoisonError::into_inner).0;
        }
        None
    }

    fn block(self: &Arc<Self>, memory: Memory) -> Block {
        Block {
            memory: Some(memory),
            len: self.len,
            pool: Arc::clone(self),
        }
    }
}

/// Bytes on their way. Dropped, its memory goes back to the pool.
#[derive(Debug)]
pub struct Block {
    memory: Option<Memory>,
    len: usize,
    pool: Arc<Pool>,
}

impl Block {
    pub fn truncate(&mut self, len: usize) {
        self.len = self.len.min(len);
    }

    /// Makes it longer by zeros, up to a multiple of `unit`.
    pub fn pad(&mut self, unit: usize) {
        let len = self.len.next_multiple_of(unit).min(self.pool.len);
        let from = std::mem::replace(&mut self.len, len);
        self[from..].fill(0);
    }
}

impl Deref for Block {
    type Target = [u8];

    fn deref(&self) -> &[u8] {
        match &self.memory {
            Some(memory) => &memory.bytes[memory.start..memory.start + self.len],
            None => &[],
        }
    }
}

impl DerefMut for Block {
    fn deref_mut(&mut self) -> &mut [u8] {
        match &mut self.memory {
            Some(memory) => &mut memory.bytes[memory.start..memory.start + self.len],
            None => &mut [],
        }
    }
}

impl Drop for Block {
    fn drop(&mut self) {
        let mut free = self
            .pool
            .free
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        free.memory.extend(self.memory.take());
        drop(free);
        self.pool.returned.notify_one();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_block_lies_as_a_disk_wants_it_and_comes_back() {
        let (run, pool) = (Run::new(), Pool::new(2));
        let mut block = pool.take(&run).unwrap();
        assert_eq!(block.as_ptr().align_offset(ALIGNMENT), 0);
        assert_eq!(block.len(), BLOCK);
        block.fill(7);
        block.truncate(100);
        block.pad(512);
        assert_eq!(
            (block.len(), block[99], block[100], block[511]),
            (512, 7, 0, 0)
        );
        let other = pool.take(&run).unwrap();
        drop((block, other));
        assert_eq!(pool.take(&run).unwrap().len(), BLOCK, "whole again");
    }

    #[test]
    fn no_more_are_made_than_the_pool_may() {
        let (run, pool) = (Run::new(), Pool::new(1));
        let block = pool.take(&run).unwrap();
        std::thread::scope(|scope| {
            let waiting = scope.spawn(|| pool.take(&run).is_some());
            drop(block);
            assert!(waiting.join().unwrap());
        });
        let _held = pool.take(&run).unwrap();
        run.stop();
        assert!(pool.take(&run).is_none());
    }
}
