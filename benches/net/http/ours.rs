//! Our side: the machine plane alone, as the daemon runs it.

use std::path::Path;
use std::sync::Arc;

use dragonfly::boot::files::Files;
use dragonfly::boot::http::{self, Ask, Given, Machines, Plane, Seen, Unavailable, Watcher};
use dragonfly::boot::ipxe::Scripts;
use dragonfly::core::SystemClock;
use futures_util::FutureExt;
use futures_util::future::BoxFuture;
use tokio::net::TcpListener;
use tokio::sync::watch;

use crate::Result;

struct Nobody;

impl Machines for Nobody {
    fn script<'a>(&'a self, _: &'a Ask) -> BoxFuture<'a, std::result::Result<Given, Unavailable>> {
        std::future::ready(Err(Unavailable("no machines here".into()))).boxed()
    }
}

impl Watcher for Nobody {
    fn seen(&self, _: &Seen<'_>) {}
}

/// Until it is ended.
pub fn serve(address: &str, root: &str) -> Result<()> {
    let files = Files::new(Path::new(root).into(), Vec::new(), Scripts::new()?);
    let clock = Arc::new(SystemClock);
    let plane = Plane::new(Arc::new(files), Box::new(Nobody), Box::new(Nobody), clock);
    let (_stop, stopped) = watch::channel(false);
    tokio::runtime::Runtime::new()?.block_on(async {
        let listener = TcpListener::bind(address).await?;
        http::serve(listener, Arc::new(plane), stopped).await;
        Ok(())
    })
}
