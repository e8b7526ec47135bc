use std::io::{Read as _, Write as _};
use std::net::TcpListener;
use std::thread::{self, JoinHandle};

use rustls::server::WebPkiClientVerifier;
use rustls::{RootCertStore, ServerConfig, ServerConnection};

use super::*;

/// A real TLS server that answers each connection's calls in order, and tells what it was shown.
struct Peer {
    address: SocketAddr,
    pin: [u8; 32],
    thread: JoinHandle<Vec<String>>,
}

/// The texts answer one call each; an empty one closes the connection instead.
fn peer(client: &Identity, connections: Vec<Vec<&'static str>>) -> Peer {
    let own = Identity::of(Identity::new_key().unwrap()).unwrap();
    let mut roots = RootCertStore::empty();
    roots.add(client.certificate()).unwrap();
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let verifier =
        WebPkiClientVerifier::builder_with_provider(Arc::new(roots), Arc::clone(&provider));
    let config = ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_client_cert_verifier(verifier.build().unwrap())
        .with_single_cert(vec![own.certificate()], own.private_key())
        .unwrap();
    let (config, pin) = (Arc::new(config), trust::pin_of(&own.certificate()).unwrap());
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    let thread = thread::spawn(move || {
        let mut heard = Vec::new();
        for calls in connections {
            let (socket, _) = listener.accept().unwrap();
            let tls = ServerConnection::new(Arc::clone(&config)).unwrap();
            let mut stream = StreamOwned::new(tls, socket);
            for answer in calls {
                let mut buffer = [0; 4096];
                let Ok(read) = stream.read(&mut buffer) else {
                    break;
                };
                heard.push(String::from_utf8_lossy(&buffer[..read]).into_owned());
                if answer.is_empty() {
                    break;
                }
                let start = format!(
                    "HTTP/1.1 {}\r\nContent-Length: {}\r\n\r\n",
                    &answer[..3],
                    answer.len() - 3
                );
                stream
                    .write_all(format!("{start}{}", &answer[3..]).as_bytes())
                    .unwrap();
                stream.flush().unwrap();
            }
        }
        heard
    });
    Peer {
        address,
        pin,
        thread,
    }
}

fn identity() -> Identity {
    Identity::of(Identity::new_key().unwrap()).unwrap()
}

#[test]
fn calls_go_over_one_connection_and_a_broken_one_is_made_anew() {
    let own = identity();
    let peer = peer(&own, vec![vec!["200\"one\"", ""], vec!["200\"two\""]]);
    let mut client = Client::new(peer.address, peer.pin, Some(&own)).unwrap();
    let mut call = |path: &str| client.call::<_, String>(path, &"q", ANSWER);
    assert_eq!(call("/a").unwrap(), "one");
    assert_eq!(call("/b").unwrap(), "two");
    let heard = peer.thread.join().unwrap();
    let lines: Vec<_> = heard
        .iter()
        .map(|text| text.lines().next().unwrap())
        .collect();
    assert_eq!(
        lines,
        ["POST /a HTTP/1.1", "POST /b HTTP/1.1", "POST /b HTTP/1.1"]
    );
    assert!(heard[0].ends_with("\r\n\r\n\"q\""));
}

#[test]
fn a_server_with_another_key_is_told_nothing() {
    let own = identity();
    let peer = peer(&own, vec![vec!["200\"one\""]]);
    let mut client = Client::new(peer.address, [0; 32], Some(&own)).unwrap();
    let error = client
        .call::<_, String>("/a", &"secret", ANSWER)
        .unwrap_err();
    assert!(matches!(error, CallError::Away { .. }), "{error}");
    drop(client);
    assert!(
        peer.thread
            .join()
            .unwrap()
            .iter()
            .all(|heard| !heard.contains("secret"))
    );
}

#[test]
fn a_refusal_tells_whether_to_try_again_or_to_stop() {
    let own = identity();
    let busy = r#"503{"error":"busy","retry":true}"#;
    let stop = r#"403{"error":"used","halt":true}"#;
    let peer = peer(&own, vec![vec![busy, stop]]);
    let mut client = Client::new(peer.address, peer.pin, Some(&own)).unwrap();
    let mut failures = 0;
    let error = client.call_until_answered::<_, String>("/a", &"q", ANSWER, |_| {
        failures += 1;
        true
    });
    assert!(error.unwrap_err().halts());
    assert_eq!(failures, 2);
}

#[test]
fn an_answer_without_a_body_is_nothing() {
    let own = identity();
    let peer = peer(&own, vec![vec!["204"]]);
    let mut client = Client::new(peer.address, peer.pin, Some(&own)).unwrap();
    client.call::<_, ()>("/a", &"q", ANSWER).unwrap();
}
