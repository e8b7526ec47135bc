//! `dragonfly machine boot-once` and `dragonfly machine loader`.

use hyper::Method;
use serde_json::json;

use super::{change_one, path_of};
use crate::api;
use crate::cli::args::machine::{BootOnce, Loader};
use crate::cli::client::{Ask, Client};
use crate::cli::failure::Failure;
use crate::cli::out::Screen;

pub async fn once(args: BootOnce, client: &mut Client, screen: &mut Screen) -> Result<(), Failure> {
    let path = format!("{}/boot-once", path_of(&args.machine)?);
    let ask = if args.cancel {
        Ask::new(Method::DELETE, path)
    } else {
        let order = match (args.chain, args.kernel) {
            (Some(url), _) => api::BootOnce::Chain { url },
            (None, Some(kernel)) => api::BootOnce::Kernel {
                kernel,
                initrds: args.initrd,
                cmdline: args.cmdline.unwrap_or_default(),
            },
            (None, None) => api::BootOnce::Shell {},
        };
        Ask::new(Method::POST, path).body(json!(order))
    };
    change_one(ask, &args.change, &args.machine, client, screen)
        .await
        .map(drop)
}

pub async fn loader(args: Loader, client: &mut Client, screen: &mut Screen) -> Result<(), Failure> {
    let loader = args.choice;
    let ask = Ask::new(Method::PUT, format!("{}/loader", path_of(&args.machine)?))
        .body(json!(api::SetLoader { loader }));
    change_one(ask, &args.change, &args.machine, client, screen)
        .await
        .map(drop)
}
