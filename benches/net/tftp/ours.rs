//! Our server as a process of its own: the files of a folder, and nobody who watches.

use std::fs::File;
use std::net::{Ipv4Addr, SocketAddr};
use std::path::PathBuf;
use std::sync::Arc;

use dragonfly::model::trace::Mark;
use dragonfly::net::tftp::{
    FileRequest, Files, Limits, OnDisk, OpenError, Source, Watcher, serve as serve_tftp,
};
use tokio::net::UdpSocket;
use tokio::sync::watch;

use super::super::Result;

struct Folder(PathBuf);

impl Files for Folder {
    fn open(&self, request: &FileRequest<'_>) -> std::result::Result<Box<dyn Source>, OpenError> {
        let opened = File::open(self.0.join(request.name)).and_then(OnDisk::new);
        match opened {
            Ok(file) => Ok(Box::new(file)),
            Err(_) => Err(OpenError::Missing),
        }
    }
}

struct Nobody;

impl Watcher for Nobody {
    fn tftp(&self, _: SocketAddr, _: Mark, _: String) {}
}

/// Serves until it is killed.
pub fn serve(address: &str, root: &str) -> Result<()> {
    let address: Ipv4Addr = address.parse()?;
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()?;
    let (_stop, stopped) = watch::channel(false);
    runtime.block_on(async {
        let listener = UdpSocket::bind((address, 69)).await?;
        println!("serving");
        let files = Arc::new(Folder(PathBuf::from(root)));
        serve_tftp(
            listener,
            files,
            Arc::new(Nobody),
            Limits::default(),
            stopped,
        )
        .await
    })?;
    Ok(())
}
