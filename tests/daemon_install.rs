//! How a cluster is asked whether it is Dragonfly's: an invented API server answers well, badly, or not at all.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    reason = "what fails here fails its test"
)]
#![allow(clippy::disallowed_methods, reason = "tests measure")]

#[path = "common/daemon.rs"]
mod common;

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use common::{Daemon, Place};
use dragonfly::core::install::ClusterAnswer;
use dragonfly::core::install::cluster::{PATIENCE, ask};
use test_case::test_case;
use tokio_rustls::rustls::pki_types::pem::PemObject;
use tokio_rustls::rustls::pki_types::{CertificateDer, PrivateKeyDer};
use tokio_rustls::rustls::{ServerConfig, ServerConnection, StreamOwned, crypto::ring};

const NAMESPACE: &str =
    r#"{"kind":"Namespace","apiVersion":"v1","metadata":{"name":"tink-system"}}"#;

/// What the invented server does with each connection.
#[derive(Clone, Copy)]
enum Answer {
    Http(u16, &'static str),
    Raw(&'static [u8]),
    Silence,
    Tls(u16, &'static str),
}

struct Cluster {
    address: SocketAddr,
    asked: Arc<Mutex<Vec<String>>>,
}

impl Cluster {
    /// Serves until the test ends; its thread goes with the process.
    fn start(answer: Answer) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let asked = Arc::new(Mutex::new(Vec::new()));
        let heard = asked.clone();
        std::thread::spawn(move || {
            let mut held = Vec::new();
            for stream in listener.incoming().flatten() {
                match answer {
                    Answer::Http(status, body) => reply(stream, status, body, &heard),
                    Answer::Tls(status, body) => reply(secured(stream), status, body, &heard),
                    Answer::Raw(bytes) => {
                        let mut stream = stream;
                        stream.write_all(bytes).ok();
                    }
                    Answer::Silence => held.push(stream),
                }
            }
        });
        Self { address, asked }
    }

    /// A kubeconfig that leads here.
    fn kubeconfig(&self, folder: &Path, scheme: &str, more: &str) -> PathBuf {
        let path = folder.join("kubeconfig");
        let text = format!(
            "apiVersion: v1\nkind: Config\ncurrent-context: lab\n\
             clusters:\n- name: lab\n  cluster:\n    server: {scheme}://{}\n{more}\
             users:\n- name: ada\n  user:\n    token: secret-token\n\
             contexts:\n- name: lab\n  context:\n    cluster: lab\n    user: ada\n",
            self.address
        );
        std::fs::write(&path, text).unwrap();
        path
    }
}

fn reply(mut stream: impl Read + Write, status: u16, body: &str, heard: &Mutex<Vec<String>>) {
    let mut request = [0; 4096];
    let Ok(length) = stream.read(&mut request) else {
        return;
    };
    heard
        .lock()
        .unwrap()
        .push(String::from_utf8_lossy(&request[..length]).into_owned());
    let answer = format!(
        "HTTP/1.1 {status} Whatever\r\ncontent-type: application/json\r\ncontent-length: {}\r\nconnection: close\r\n\r\n{body}",
        body.len()
    );
    stream.write_all(answer.as_bytes()).ok();
    stream.flush().ok();
}

fn secured(stream: TcpStream) -> StreamOwned<ServerConnection, TcpStream> {
    let certificate = CertificateDer::from_pem_slice(include_bytes!("cluster/cert.pem")).unwrap();
    let key = PrivateKeyDer::from_pem_slice(include_bytes!("cluster/key.pem")).unwrap();
    let config = ServerConfig::builder_with_provider(Arc::new(ring::default_provider()))
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_no_client_auth()
        .with_single_cert(vec![certificate], key)
        .unwrap();
    StreamOwned::new(ServerConnection::new(Arc::new(config)).unwrap(), stream)
}

fn asked(answer: Answer, scheme: &str, more: &str) -> (ClusterAnswer, Vec<String>) {
    let folder = tempfile::tempdir().unwrap();
    let cluster = Cluster::start(answer);
    let said = ask(&[cluster.kubeconfig(folder.path(), scheme, more)]);
    let requests = cluster.asked.lock().unwrap().clone();
    (said, requests)
}

fn refusal(answer: ClusterAnswer) -> String {
    match answer {
        ClusterAnswer::No(why) => why,
        ClusterAnswer::Has(place) => panic!("{place} has it"),
    }
}

#[test]
fn a_cluster_with_the_namespace_says_yes_to_one_question_with_the_persons_token() {
    let (said, requests) = asked(Answer::Http(200, NAMESPACE), "http", "");
    assert!(
        matches!(&said, ClusterAnswer::Has(place) if place.starts_with("http://127.0.0.1:")),
        "{said:?}"
    );
    assert_eq!(requests.len(), 1);
    assert!(
        requests[0].starts_with("GET /api/v1/namespaces/tink-system HTTP/1.1"),
        "{requests:?}"
    );
    assert!(
        requests[0].contains("authorization: Bearer secret-token"),
        "{requests:?}"
    );
}

#[test_case(Answer::Http(404, "{}"), "there is no namespace tink-system"; "not found")]
#[test_case(Answer::Http(403, "{}"), "set DRAGONFLY_INSTALLED=true"; "forbidden")]
#[test_case(Answer::Http(401, "{}"), "it may not be looked at"; "unauthorised")]
#[test_case(Answer::Http(500, "{}"), "it answered with 500"; "broken")]
#[test_case(Answer::Http(200, "<html>hello</html>"), "what it answered is no namespace"; "another kind of server")]
#[test_case(Answer::Http(200, r#"{"kind":"Namespace","metadata":{"name":"other"}}"#), "no namespace"; "another namespace")]
#[test_case(Answer::Raw(b"SSH-2.0-OpenSSH\r\n"), "the cluster at http://127.0.0.1:"; "garbage")]
#[test_case(Answer::Raw(b""), "the cluster at http://127.0.0.1:"; "a door that shuts")]
fn any_other_answer_means_no_and_is_told(answer: Answer, words: &str) {
    let why = refusal(asked(answer, "http", "").0);
    assert!(why.contains(words), "{why}");
    assert!(!why.contains("secret-token"), "{why}");
}

#[test]
fn a_cluster_that_keeps_silent_costs_two_seconds_at_most() {
    let begun = Instant::now();
    let why = refusal(asked(Answer::Silence, "http", "").0);
    let took = begun.elapsed();
    assert!(
        why.contains("in time") || why.contains("within 2 s"),
        "{why}"
    );
    assert!(took < PATIENCE + Duration::from_millis(500), "{took:?}");
}

#[test]
fn tls_is_spoken_and_the_authority_checked() {
    let here = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/cluster/cert.pem");
    let trust = format!("    certificate-authority: {}\n", here.display());
    let (said, _) = asked(Answer::Tls(200, NAMESPACE), "https", &trust);
    assert!(
        matches!(&said, ClusterAnswer::Has(place) if place.starts_with("https://")),
        "{said:?}"
    );
    let why = refusal(asked(Answer::Tls(200, NAMESPACE), "https", "").0);
    assert!(why.contains("certificate"), "{why}");
}

#[test]
fn a_kubeconfig_that_is_not_there_or_is_none_is_told() {
    let why = refusal(ask(&["/nonexistent/kubeconfig".into()]));
    assert!(why.contains("/nonexistent/kubeconfig"), "{why}");
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("kubeconfig");
    std::fs::write(&path, "clusters: [").unwrap();
    let why = refusal(ask(std::slice::from_ref(&path)));
    assert!(why.contains("KUBECONFIG"), "{why}");
    std::fs::write(&path, "").unwrap();
    assert!(refusal(ask(&[path])).contains("KUBECONFIG"));
}

#[test]
fn a_kubeconfig_that_never_ends_costs_two_seconds_at_most() {
    let folder = tempfile::tempdir().unwrap();
    let pipe = folder.path().join("pipe");
    nix::unistd::mkfifo(&pipe, nix::sys::stat::Mode::S_IRWXU).unwrap();
    let begun = Instant::now();
    let why = refusal(ask(&[pipe]));
    assert!(why.contains("did not answer within 2 s"), "{why}");
    assert!(begun.elapsed() < PATIENCE + Duration::from_millis(500));
}

#[test]
fn a_daemon_beside_such_a_cluster_is_installed_and_makes_its_folder() {
    let place = Place::new();
    let cluster = Cluster::start(Answer::Http(200, NAMESPACE));
    let mut command = place.server();
    command.env_remove("DRAGONFLY_INSTALLED");
    command.env(
        "KUBECONFIG",
        cluster.kubeconfig(place.folder.path(), "http", ""),
    );
    let daemon = Daemon::start(&mut command);
    let status = daemon.get("/api/v1/status").1;
    assert_eq!(status["mode"], "installed");
    let by = status["installed_by"].as_str().unwrap();
    assert!(
        by.starts_with("the namespace tink-system of the cluster at http://127.0.0.1:"),
        "{by}"
    );
    assert!(place.store().exists());
}

#[test]
fn a_daemon_beside_a_cluster_without_it_is_the_demo_and_says_why() {
    let place = Place::new();
    let cluster = Cluster::start(Answer::Http(404, "{}"));
    let mut command = place.server();
    command.env_remove("DRAGONFLY_INSTALLED");
    command.env(
        "KUBECONFIG",
        cluster.kubeconfig(place.folder.path(), "http", ""),
    );
    let daemon = Daemon::start(&mut command);
    assert_eq!(daemon.get("/api/v1/status").1["mode"], "demo");
    assert!(
        daemon.log().contains("there is no namespace tink-system"),
        "{}",
        daemon.log()
    );
    assert!(!place.data().exists());
}

#[test]
fn the_demo_asks_no_cluster() {
    let folder = tempfile::tempdir().unwrap();
    let cluster = Cluster::start(Answer::Http(200, NAMESPACE));
    let mut command = common::bare("demo");
    command.args(["--listen", "127.0.0.1:0", "--log-format", "json"]);
    command.env("KUBECONFIG", cluster.kubeconfig(folder.path(), "http", ""));
    let daemon = Daemon::start(&mut command);
    assert_eq!(daemon.get("/api/v1/status").1["mode"], "demo");
    assert!(cluster.asked.lock().unwrap().is_empty());
}
