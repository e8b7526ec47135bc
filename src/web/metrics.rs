//! Figures for Prometheus, in the text format of `OpenMetrics`.
//!
//! What the web does is counted here; what core and store know is asked for when somebody looks. A label
//! is always a word of this program: a route's template, a status class, a command's name.

use std::fmt;
use std::sync::Mutex;
use std::time::Duration;

use axum::http::{Method, StatusCode};
use prometheus_client::collector::Collector;
use prometheus_client::encoding::text::encode;
use prometheus_client::encoding::{DescriptorEncoder, EncodeLabelSet, EncodeMetric};
use prometheus_client::metrics::MetricType;
use prometheus_client::metrics::counter::{ConstCounter, Counter};
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::{ConstGauge, Gauge};
use prometheus_client::metrics::histogram::Histogram;
use prometheus_client::registry::Registry;

use super::problem::Fault;
use crate::core::Core;
use crate::model::StateKind;
use crate::model::workflow::State;

/// From a read out of memory to the time limit of a request, in seconds.
const BUCKETS: [f64; 11] = [
    0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.5, 2.0, 10.0,
];

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct RequestLabels {
    method: &'static str,
    route: &'static str,
    status: &'static str,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct RouteLabels {
    method: &'static str,
    route: &'static str,
}

/// The web's own counters, and the registry that shows all.
pub struct Metrics {
    registry: Mutex<Registry>,
    requests: Family<RequestLabels, Counter>,
    seconds: Family<RouteLabels, Histogram, fn() -> Histogram>,
    streams: Gauge,
    panics: Counter,
}

impl Metrics {
    pub fn new(core: Core) -> Self {
        let requests = Family::<RequestLabels, Counter>::default();
        let seconds =
            Family::new_with_constructor((|| Histogram::new(BUCKETS)) as fn() -> Histogram);
        let (streams, panics) = (Gauge::default(), Counter::default());
        let mut registry = Registry::with_prefix("dragonfly");
        registry.register(
            "http_requests",
            "Requests that were answered",
            requests.clone(),
        );
        registry.register(
            "http_request_seconds",
            "Time from the head of a request to the head of its answer",
            seconds.clone(),
        );
        registry.register("event_streams", "Live streams of events", streams.clone());
        registry.register("panics", "Requests that ended in a panic", panics.clone());
        registry.register_collector(Box::new(FromCore(core)));
        Self {
            registry: Mutex::new(registry),
            requests,
            seconds,
            streams,
            panics,
        }
    }

    pub fn request(
        &self,
        method: &Method,
        route: &'static str,
        status: StatusCode,
        took: Duration,
    ) {
        let method = method_label(method);
        let status = class(status);
        self.requests
            .get_or_create(&RequestLabels {
                method,
                route,
                status,
            })
            .inc();
        self.seconds
            .get_or_create(&RouteLabels { method, route })
            .observe(took.as_secs_f64());
    }

    pub fn panicked(&self) {
        self.panics.inc();
    }

    /// Counts a stream for as long as the token lives.
    pub fn streaming(&self) -> Streaming {
        self.streams.inc();
        Streaming(self.streams.clone())
    }

    pub fn text(&self) -> Result<String, Fault> {
        let mut text = String::new();
        let registry = self
            .registry
            .lock()
            .unwrap_or_else(std::sync::PoisonError::into_inner);
        encode(&mut text, &registry).map_err(|error| Fault::internal(&error))?;
        Ok(text)
    }
}

impl fmt::Debug for Metrics {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Metrics")
            .field("streams", &self.streams.get())
            .finish_non_exhaustive()
    }
}

/// One live stream, counted until it is dropped.
#[derive(Debug)]
pub struct Streaming(Gauge);

impl Drop for Streaming {
    fn drop(&mut self) {
        self.0.dec();
    }
}

/// A method of HTTP's own, or none of them: clients may invent methods.
fn method_label(method: &Method) -> &'static str {
    let known = ["GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"];
    known
        .into_iter()
        .find(|name| method == name)
        .unwrap_or("other")
}

fn class(status: StatusCode) -> &'static str {
    match status.as_u16() / 100 {
        1 => "1xx",
        2 => "2xx",
        3 => "3xx",
        4 => "4xx",
        _ => "5xx",
    }
}

/// What core and store know, read at the moment of the scrape.
#[derive(Debug)]
struct FromCore(Core);

impl Collector for FromCore {
    fn encode(&self, mut encoder: DescriptorEncoder) -> fmt::Result {
        let stats = self.0.stats();
        let gauges = [
            ("events_kept", "Events in the log", stats.events),
            (
                "store_bytes",
                "Bytes of the store on disk",
                stats.file_bytes,
            ),
            (
                "store_memory_bytes",
                "Bytes of the store's read model",
                stats.memory_bytes,
            ),
            (
                "store_cached_bodies",
                "Objects held in memory in full",
                stats.cached_bodies,
            ),
        ];
        for (name, help, value) in gauges {
            gauge(&mut encoder, name, help, value)?;
        }
        if let Some(bytes) = resident_bytes() {
            let help = "Bytes of memory that the process holds";
            gauge(&mut encoder, "process_resident_memory_bytes", help, bytes)?;
        }
        counter(
            &mut encoder,
            "store_commits",
            "Commits made durable",
            stats.commits,
        )?;
        counter(&mut encoder, "store_syncs", "Syncs to disk", stats.syncs)?;
        self.machines(&mut encoder)?;
        self.workflows(&mut encoder)?;
        self.commands(&mut encoder)
    }
}

impl FromCore {
    fn machines(&self, encoder: &mut DescriptorEncoder) -> fmt::Result {
        let Ok(counts) = self.0.counts() else {
            return Ok(());
        };
        let name = "machines";
        let help = "Machines by state";
        let mut family = encoder.encode_descriptor(name, help, None, MetricType::Gauge)?;
        for kind in StateKind::ALL {
            let count = counts.by_state.iter().find(|(state, _)| *state == kind);
            let count = count.map_or(0, |(_, count)| signed(*count as u64));
            let labels = [("state", kind.as_str())];
            ConstGauge::new(count).encode(family.encode_family(&labels)?)?;
        }
        let conflicts = counts.conflicts as u64;
        gauge(
            encoder,
            "conflicts",
            "Conflicts that wait for a person",
            conflicts,
        )
    }

    /// A label here is a template's name, which a person who may write templates chose; core bounds how many there are.
    fn workflows(&self, encoder: &mut DescriptorEncoder) -> fmt::Result {
        let ended = self.0.tallies().all();
        let name = "deployments";
        let help = "Workflows that ended since the start, by template and result";
        let mut family = encoder.encode_descriptor(name, help, None, MetricType::Counter)?;
        for (template, state, count, _) in &ended {
            let labels = [("template", template.as_str()), ("result", state.as_str())];
            ConstCounter::new(*count).encode(family.encode_family(&labels)?)?;
        }
        let name = "deployment_seconds";
        let help = "Seconds from the first agent to the end of these workflows, altogether";
        let mut family = encoder.encode_descriptor(name, help, None, MetricType::Counter)?;
        for (template, state, _, seconds) in &ended {
            let labels = [("template", template.as_str()), ("result", state.as_str())];
            ConstCounter::new(*seconds).encode(family.encode_family(&labels)?)?;
        }
        let Ok(active) = self.0.active_workflows() else {
            return Ok(());
        };
        let help = "Workflows that something may still come of, by state";
        let mut family = encoder.encode_descriptor("workflows", help, None, MetricType::Gauge)?;
        for state in State::ALL.into_iter().filter(|state| state.is_active()) {
            let count = active
                .iter()
                .filter(|(workflow, _)| workflow.state == state);
            let labels = [("state", state.as_str())];
            let count = signed(count.count() as u64);
            ConstGauge::new(count).encode(family.encode_family(&labels)?)?;
        }
        Ok(())
    }

    fn commands(&self, encoder: &mut DescriptorEncoder) -> fmt::Result {
        let name = "commands";
        let help = "Commands by what became of them";
        let mut family = encoder.encode_descriptor(name, help, None, MetricType::Counter)?;
        for (command, outcome, count) in self.0.meter().read() {
            let labels = [("command", command), ("outcome", outcome)];
            ConstCounter::new(count).encode(family.encode_family(&labels)?)?;
        }
        Ok(())
    }
}

fn gauge(encoder: &mut DescriptorEncoder, name: &str, help: &str, value: u64) -> fmt::Result {
    let metric = ConstGauge::new(signed(value));
    metric.encode(encoder.encode_descriptor(name, help, None, MetricType::Gauge)?)
}

fn counter(encoder: &mut DescriptorEncoder, name: &str, help: &str, value: u64) -> fmt::Result {
    let metric = ConstCounter::new(value);
    metric.encode(encoder.encode_descriptor(name, help, None, MetricType::Counter)?)
}

fn signed(value: u64) -> i64 {
    i64::try_from(value).unwrap_or(i64::MAX)
}

/// The second figure of statm, in pages of 4 KiB.
fn resident_bytes() -> Option<u64> {
    const PAGE: u64 = 4096;
    let statm = std::fs::read_to_string("/proc/self/statm").ok()?;
    let pages: u64 = statm.split(' ').nth(1)?.parse().ok()?;
    Some(pages * PAGE)
}
