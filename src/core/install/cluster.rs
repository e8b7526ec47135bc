//! Asks a cluster for one namespace, within a bound of time.
//!
//! The question is put on a thread of its own: a kubeconfig may lie on a dead network share or run a helper
//! that never answers, and neither may keep the daemon from starting. Such a thread is left to its fate.

use std::path::PathBuf;
use std::sync::mpsc;
use std::time::Duration;

use http_body_util::{BodyExt, Limited};
use kube::config::{KubeConfigOptions, Kubeconfig};
use kube::{Client, Config};

use super::ClusterAnswer;

/// The namespace that Tinkerbell lives in.
pub const NAMESPACE: &str = "tink-system";
/// As long as the daemon waits for the cluster.
pub const PATIENCE: Duration = Duration::from_secs(2);
/// As much of an answer as is read; a namespace takes about 1 KiB.
const MAX_ANSWER: usize = 256 * 1024;

/// Whether the cluster of these files has the namespace.
pub fn ask(paths: &[PathBuf]) -> ClusterAnswer {
    let (tell, told) = mpsc::sync_channel(1);
    let paths = paths.to_vec();
    let thread = std::thread::Builder::new().name("kubeconfig".into());
    let started = thread.spawn(move || {
        // Nobody listens any more when it took too long.
        tell.send(ask_now(&paths)).ok();
    });
    if let Err(error) = started {
        return ClusterAnswer::No(format!("the cluster could not be asked: {error}"));
    }
    told.recv_timeout(PATIENCE).unwrap_or_else(|_| {
        let seconds = PATIENCE.as_secs();
        ClusterAnswer::No(format!("the cluster did not answer within {seconds} s"))
    })
}

fn ask_now(paths: &[PathBuf]) -> ClusterAnswer {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build();
    let answer = match runtime {
        Ok(runtime) => runtime.block_on(async {
            let bounded = tokio::time::timeout(PATIENCE, question(paths));
            bounded
                .await
                .unwrap_or_else(|_| Err("it did not answer in time".into()))
        }),
        Err(error) => Err(error.to_string()),
    };
    match answer {
        Ok(place) => ClusterAnswer::Has(place),
        Err(why) => ClusterAnswer::No(format!("KUBECONFIG: {why}")),
    }
}

async fn question(paths: &[PathBuf]) -> Result<String, String> {
    let config = config(paths).await?;
    // Credentials have no business in a log line.
    let place = format!(
        "{}://{}:{}",
        config.cluster_url.scheme_str().unwrap_or("https"),
        config.cluster_url.host().unwrap_or_default(),
        config.cluster_url.port_u16().unwrap_or(443)
    );
    let at = |error: String| format!("the cluster at {place}: {error}");
    let client = Client::try_from(config).map_err(|error| at(chain(&error)))?;
    let request = hyper::Request::get(format!("/api/v1/namespaces/{NAMESPACE}"))
        .body(kube::client::Body::empty())
        .map_err(|error| at(chain(&error)))?;
    let answer = client
        .send(request)
        .await
        .map_err(|error| at(chain(&error)))?;
    match answer.status().as_u16() {
        200 => {}
        404 => return Err(at(format!("there is no namespace {NAMESPACE}"))),
        401 | 403 => {
            let help = "to rely on it all the same, set DRAGONFLY_INSTALLED=true";
            return Err(at(format!("it may not be looked at; {help}")));
        }
        other => return Err(at(format!("it answered with {other}"))),
    }
    let body = Limited::new(answer.into_body(), MAX_ANSWER).collect().await;
    let body = body.map_err(|error| at(error.to_string()))?.to_bytes();
    let object: serde_json::Value = serde_json::from_slice(&body).unwrap_or_default();
    if object["kind"] == "Namespace" && object["metadata"]["name"] == NAMESPACE {
        Ok(place)
    } else {
        Err(at("what it answered is no namespace".into()))
    }
}

async fn config(paths: &[PathBuf]) -> Result<Config, String> {
    let mut whole = Kubeconfig::default();
    for path in paths {
        let one = Kubeconfig::read_from(path);
        let one = one.map_err(|error| format!("{}: {}", path.display(), chain(&error)))?;
        whole = whole.merge(one).map_err(|error| chain(&error))?;
    }
    let names_a_proxy = whole.clusters.iter().any(|named| {
        let cluster = named.cluster.as_ref();
        cluster.is_some_and(|cluster| cluster.proxy_url.is_some())
    });
    let options = KubeConfigOptions::default();
    let config = Config::from_custom_kubeconfig(whole, &options).await;
    let mut config = config.map_err(|error| chain(&error))?;
    config.connect_timeout = Some(PATIENCE);
    config.default_retry = false;
    if !names_a_proxy {
        // One from the environment is meant for the web, not for the cluster.
        config.proxy_url = None;
    }
    Ok(config)
}

/// An error with all that led to it, on one line and without what a terminal would obey.
fn chain(error: &dyn std::error::Error) -> String {
    let mut words = error.to_string();
    let mut source = error.source();
    while let Some(inner) = source {
        let more = inner.to_string();
        if !words.contains(&more) {
            words = format!("{words}: {more}");
        }
        source = inner.source();
    }
    words
        .escape_debug()
        .to_string()
        .replace("\\'", "'")
        .replace("\\\"", "\"")
}
