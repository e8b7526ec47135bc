//! Serves the people's API, the live stream, the page, and what operators' tools ask for.
//!
//! [`router`] makes a router out of the table of `routes`; [`serve`] puts it behind listeners. On its way a
//! request passes the frame (its ids, its time limit, the headers and the counting of its answer), the
//! guards, the policy of its route, and its handler, which asks the core and nothing else.

mod ask;
mod boots;
mod conflicts;
mod events;
mod frame;
mod guard;
mod health;
pub mod images;
mod machines;
mod metrics;
mod networks;
mod openapi;
mod page;
mod param;
mod patch;
mod peer;
mod problem;
mod routes;
mod server;
mod settings;
mod status;
mod tags;
mod templates;
mod view;
mod watched;
mod workflows;

use std::sync::Arc;

use axum::Router;
use axum::routing::MethodRouter;
use jiff::Timestamp;
use tokio::sync::{Semaphore, watch};

use crate::api::PortUse;
use crate::core::Core;
use crate::model::nearest;

pub use peer::Peer;
pub use server::{Listeners, Stop, serve};

/// What the daemon knows of itself and tells the page and the status.
#[derive(Clone, Debug)]
pub struct About {
    pub version: String,
    pub mode: Mode,
    /// Which of the ways to be installed was found, in words.
    pub installed_by: Option<String>,
    pub started_at: Timestamp,
    pub ports: Vec<PortUse>,
    /// Where machines fetch from over HTTP.
    pub boot_port: u16,
    /// Whether requests are welcome yet.
    pub ready: watch::Receiver<Ready>,
}

/// Whether this is the real thing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mode {
    Installed,
    Demo,
}

impl Mode {
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Installed => "installed",
            Self::Demo => "demo",
        }
    }

    /// What every page shows while this is the demo.
    pub const fn banner(self) -> Option<&'static str> {
        match self {
            Self::Installed => None,
            Self::Demo => Some(
                "Demo Mode: Dragonfly is not installed. This is a preview — none of your hardware is touched.",
            ),
        }
    }
}

/// Whether the daemon can serve, or what it waits for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Ready {
    Yes,
    No(String),
}

/// What handlers share. Cheap to clone.
#[derive(Clone, Debug)]
pub struct Web(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    core: Core,
    about: About,
    metrics: metrics::Metrics,
    streams: Arc<Semaphore>,
    page: page::Page,
    plugs: Plugs,
    document: bytes::Bytes,
}

impl Web {
    fn new(core: Core, about: About, plugs: Plugs) -> Self {
        let document = bytes::Bytes::from(openapi::document(&about.version).to_string());
        Self(Arc::new(Inner {
            metrics: metrics::Metrics::new(core.clone()),
            core,
            about,
            streams: Arc::new(Semaphore::new(events::MAX_STREAMS)),
            page: page::Page::new(),
            plugs,
            document,
        }))
    }

    fn core(&self) -> &Core {
        &self.0.core
    }

    fn about(&self) -> &About {
        &self.0.about
    }

    fn images(&self) -> Option<&dyn images::Images> {
        self.0.plugs.images.as_deref()
    }

    fn metrics(&self) -> &metrics::Metrics {
        &self.0.metrics
    }
}

/// What other rooms do for this one; what is not plugged in is answered as unavailable.
#[derive(Clone, Debug, Default)]
pub struct Plugs {
    pub images: Option<Arc<dyn images::Images>>,
}

/// The router of the people's plane, with nothing plugged in.
pub fn router(core: Core, about: About) -> Router {
    router_with(core, about, Plugs::default())
}

/// The router of the people's plane.
pub fn router_with(core: Core, about: About, plugs: Plugs) -> Router {
    let web = Web::new(core, about, plugs);
    let mut router = Router::new();
    for route in routes::all() {
        router = router.route(route.path, frame::mount(route, &web));
    }
    router
        .fallback(health::nowhere)
        .method_not_allowed_fallback(health::no_such_method)
        .layer(axum::middleware::from_fn_with_state(web, frame::frame))
}

/// Handlers are mounted without a state: each carries what it needs.
type Mounted = MethodRouter<()>;

#[cfg(test)]
mod tests {
    use axum::body::Body;
    use axum::http::Request;
    use axum::routing::get;
    use http_body_util::BodyExt;
    use tower::ServiceExt;

    use super::*;

    async fn breaks() -> &'static str {
        panic!("with a secret")
    }

    #[tokio::test]
    async fn a_panic_is_a_problem_that_is_counted_and_takes_nothing_down() {
        let core = Core::in_memory();
        let about = About {
            version: "0.0.0".into(),
            mode: Mode::Installed,
            installed_by: None,
            started_at: core.clock().now(),
            ports: Vec::new(),
            boot_port: 3080,
            ready: watch::channel(Ready::Yes).1,
        };
        let web = Web::new(core, about, Plugs::default());
        let broken: Router =
            Router::new()
                .route("/", get(breaks))
                .layer(axum::middleware::from_fn_with_state(
                    web.clone(),
                    frame::frame,
                ));
        for _ in 0..2 {
            let request = Request::new(Body::empty());
            let response = broken.clone().oneshot(request).await.unwrap();
            assert_eq!(response.status(), 500);
            let body = response.into_body().collect().await.unwrap().to_bytes();
            let problem: crate::api::Problem = serde_json::from_slice(&body).unwrap();
            assert_eq!(problem.code, crate::api::Code::Internal);
            assert!(!problem.request_id.is_empty() && !problem.detail.contains("secret"));
        }
        assert!(
            web.metrics()
                .text()
                .unwrap()
                .contains("dragonfly_panics_total 2")
        );
    }
}
