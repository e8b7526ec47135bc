//! Fetching into blocks, and summing them: the first stages.

use std::sync::Arc;
use std::sync::mpsc::{Receiver, SyncSender};

use ring::digest;

use super::block::{BLOCK, Block, Pool};
use super::decode::Piece;
use super::error::ImageError;
use super::run::Run;
use crate::agent::http::Fetch;
use crate::model::digest::{Digest, DigestKind};

/// Blocks of what is fetched: 16 MiB between the network and what follows.
pub const BLOCKS: usize = 16;

/// The stage: the first block, which was looked at, and all others, to each of the next stages. Nothing, when one of
/// them is gone.
pub fn run(
    run: &Run,
    fetch: &mut Fetch<'_>,
    pool: &Arc<Pool>,
    first: Block,
    outputs: &[SyncSender<Piece>],
) -> Result<Option<()>, ImageError> {
    let send = |piece: &Piece| {
        let sent = outputs
            .iter()
            .all(|output| output.send(piece.clone()).is_ok());
        sent.then_some(())
    };
    let mut next = Some(first);
    while let Some(block) = next {
        let is_last = block.len() < BLOCK;
        run.advance(block.len() as u64);
        if send(&Piece::Data(Arc::new(block))).is_none() {
            return Ok(None);
        }
        if is_last {
            break;
        }
        let Some(mut block) = pool.take(run) else {
            return Ok(None);
        };
        let len = fetch.fill(&mut block)?;
        block.truncate(len);
        next = (len > 0).then_some(block);
    }
    Ok(send(&Piece::End))
}

/// The sum of what is fetched. Nothing, when the stage before is gone.
pub fn sum(kind: DigestKind, input: &Receiver<Piece>) -> Option<Digest> {
    let mut context = digest::Context::new(match kind {
        DigestKind::Sha256 => &digest::SHA256,
        DigestKind::Sha512 => &digest::SHA512,
    });
    loop {
        match input.recv() {
            Ok(Piece::Data(block)) => context.update(&block),
            Ok(Piece::End) => return Digest::of(kind, context.finish().as_ref()),
            Err(_) => return None,
        }
    }
}
