//! What must not get through: web pages, foreign names, floods, slow clients, oversized and broken requests.

#[path = "common/api.rs"]
mod api;

use api::{PATIENCE, Place, exchange};
use test_case::test_case;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::time::Instant;

#[test_case("evil.example"; "a name of somebody else")]
#[test_case("127.0.0.1.evil.example"; "a name that begins well")]
#[test_case("192.0.2.1:3000"; "an address of somebody else")]
#[test_case("localhost@evil.example"; "a name behind a user")]
#[test_case("[::2]:3000"; "a literal that is not loopback")]
#[test_case(""; "nothing")]
#[tokio::test]
async fn a_foreign_host_is_refused_on_every_path(host: &str) {
    let place = Place::new().await;
    for path in ["/", "/api/v1/machines", "/livez", "/nowhere"] {
        place
            .call("GET", path, &[("Host", host)], "")
            .await
            .problem(403, "forbidden");
    }
    place.stop().await;
}

#[test_case("localhost")]
#[test_case("LOCALHOST:3000")]
#[test_case("127.0.0.1:1")]
#[test_case("127.9.9.9")]
#[test_case("[::1]:3000")]
#[tokio::test]
async fn a_loopback_host_is_served(host: &str) {
    let place = Place::new().await;
    assert_eq!(
        place
            .call("GET", "/livez", &[("Host", host)], "")
            .await
            .status,
        200
    );
    place.stop().await;
}

#[tokio::test]
async fn two_hosts_and_a_foreign_target_are_refused() {
    let place = Place::new().await;
    let twice =
        "GET /livez HTTP/1.1\r\nHost: localhost\r\nHost: evil.example\r\nConnection: close\r\n\r\n";
    place.raw(twice).await.problem(403, "forbidden");
    let absolute =
        "GET http://evil.example/livez HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n";
    place.raw(absolute).await.problem(403, "forbidden");
    place.stop().await;
}

#[tokio::test]
async fn the_unix_socket_takes_any_host_and_knows_who_asks() {
    let place = Place::new().await;
    let body = r#"{"mac":"52:54:00:00:00:01"}"#;
    let request = place.request(
        "POST",
        "/api/v1/machines",
        &[("Host", "anything.example")],
        body,
    );
    assert_eq!(place.over_unix(&request).await.status, 201);
    let events = place.get("/api/v1/events").await.json();
    let from = events["items"][0]["actor"]["from"]
        .as_str()
        .unwrap()
        .to_owned();
    assert!(from.starts_with("unix uid "), "{from}");
    place.stop().await;
}

#[test_case(&[("Origin", "http://evil.example")]; "a foreign origin")]
#[test_case(&[("Origin", "null")]; "an origin that hides")]
#[test_case(&[("Origin", "http://localhost:1")]; "another port of this machine")]
#[test_case(&[("Sec-Fetch-Site", "cross-site")]; "another site")]
#[test_case(&[("Sec-Fetch-Site", "same-site")]; "a neighbour")]
#[test_case(&[("Sec-Fetch-Site", "cross-site"), ("Sec-Fetch-Mode", "navigate")]; "a link on another site")]
#[tokio::test]
async fn a_web_page_of_others_is_refused_on_everything(headers: &[(&str, &str)]) {
    let place = Place::new().await;
    for path in ["/", "/api/v1/machines", "/api/v1/events", "/livez"] {
        place
            .call("GET", path, headers, "")
            .await
            .problem(403, "forbidden");
    }
    let body = r#"{"mac":"52:54:00:00:00:01"}"#;
    place
        .call("POST", "/api/v1/machines", headers, body)
        .await
        .problem(403, "forbidden");
    let request = place.request("GET", "/livez", headers, "");
    place.over_unix(&request).await.problem(403, "forbidden");
    assert_eq!(place.get("/api/v1/machines").await.json()["total"], 0);
    place.stop().await;
}

#[tokio::test]
async fn our_own_page_and_the_address_bar_are_served() {
    let place = Place::new().await;
    let own = format!("http://{}", place.address);
    let headers = [("Origin", own.as_str()), ("Sec-Fetch-Site", "same-origin")];
    assert_eq!(place.call("GET", "/", &headers, "").await.status, 200);
    assert_eq!(
        place
            .call("GET", "/", &[("Sec-Fetch-Site", "none")], "")
            .await
            .status,
        200
    );
    place.stop().await;
}

#[test_case("text/plain")]
#[test_case("application/x-www-form-urlencoded")]
#[test_case("multipart/form-data; boundary=x")]
#[test_case("")]
#[tokio::test]
async fn a_body_that_is_not_announced_as_json_is_refused(media: &str) {
    let place = Place::new().await;
    let body = r#"{"mac":"52:54:00:00:00:01"}"#;
    let headers = [("Content-Type", media)];
    place
        .call("POST", "/api/v1/machines", &headers, body)
        .await
        .problem(415, "unsupported");
    place.stop().await;
}

#[tokio::test]
async fn a_body_over_the_limit_is_refused_whether_it_says_so_or_not() {
    let place = Place::new().await;
    let big = format!(r#"{{"mac":"{}"}}"#, "x".repeat(1024 * 1024));
    place
        .send("POST", "/api/v1/machines", &big)
        .await
        .problem(413, "too_large");

    let mut chunked = place.request(
        "POST",
        "/api/v1/machines",
        &[
            ("Transfer-Encoding", "chunked"),
            ("Content-Type", "application/json"),
        ],
        "",
    );
    for _ in 0..17 {
        chunked += "10000\r\n";
        chunked += &" ".repeat(0x10000);
        chunked += "\r\n";
    }
    chunked += "0\r\n\r\n";
    place.raw(&chunked).await.problem(413, "too_large");
    place.stop().await;
}

#[tokio::test]
async fn an_address_over_the_limit_is_refused() {
    let place = Place::new().await;
    let path = format!("/api/v1/machines?q={}", "x".repeat(9000));
    place.get(&path).await.problem(414, "too_large");
    let request = place.request("GET", "/livez", &[("X-Long", &"x".repeat(40_000))], "");
    assert_eq!(place.raw(&request).await.status, 431);
    place.stop().await;
}

#[tokio::test]
async fn an_unknown_path_and_a_wrong_method_say_what_there_is() {
    let place = Place::new().await;
    let problem = place.get("/api/v1/machnes").await.problem(404, "not_found");
    assert_eq!(problem["hint"], "did you mean /api/v1/machines?");
    let reply = place.send("PUT", "/api/v1/machines", "{}").await;
    reply.problem(405, "unsupported");
    assert_eq!(reply.header("allow"), Some("GET, POST, HEAD, OPTIONS"));
    let reply = place.call("OPTIONS", "/api/v1/machines", &[], "").await;
    assert_eq!(reply.status, 204);
    assert_eq!(reply.header("allow"), Some("GET, POST, HEAD, OPTIONS"));
    let reply = place.call("BREW", "/livez", &[], "").await;
    reply.problem(405, "unsupported");
    place.stop().await;
}

#[tokio::test]
async fn head_is_get_without_its_body() {
    let place = Place::new().await;
    let get = place.get("/api/v1/machines").await;
    let head = place.call("HEAD", "/api/v1/machines", &[], "").await;
    assert_eq!((head.status, head.body.as_str()), (200, ""));
    assert_eq!(head.header("content-length"), get.header("content-length"));
    place.stop().await;
}

#[tokio::test]
async fn ids_are_taken_made_and_sent_back() {
    let place = Place::new().await;
    let id = "019aa4f0-7c1e-7000-8000-5254001234ab";
    let reply = place
        .call("GET", "/livez", &[("X-Request-Id", id)], "")
        .await;
    assert_eq!(reply.header("x-request-id"), Some(id));
    assert_eq!(reply.header("x-correlation-id"), Some(id));
    let made = place.get("/livez").await;
    assert_eq!(made.header("x-request-id").map(str::len), Some(36));
    place
        .call("GET", "/livez", &[("X-Request-Id", "abc")], "")
        .await
        .refused("X-Request-Id");
    place.stop().await;
}

#[tokio::test]
async fn every_answer_carries_the_security_headers() {
    let place = Place::new().await;
    for path in [
        "/",
        "/style.css",
        "/api/v1/machines",
        "/nowhere",
        "/metrics",
    ] {
        let reply = place.get(path).await;
        assert_eq!(
            reply.header("x-content-type-options"),
            Some("nosniff"),
            "{path}"
        );
        assert_eq!(reply.header("x-frame-options"), Some("DENY"), "{path}");
        assert_eq!(reply.header("cache-control"), Some("no-store"), "{path}");
        let policy = reply.header("content-security-policy").unwrap();
        assert!(policy.starts_with("default-src 'none'"), "{path}: {policy}");
    }
    let refused = place
        .call("GET", "/", &[("Host", "evil.example")], "")
        .await;
    assert_eq!(refused.header("x-frame-options"), Some("DENY"));
    place.stop().await;
}

#[tokio::test]
async fn a_thousand_half_open_connections_keep_nobody_out() {
    let place = Place::new().await;
    let mut open = Vec::new();
    for round in 0..1000 {
        let mut socket = TcpStream::connect(place.address).await.unwrap();
        if round % 2 == 0 {
            let _ = socket
                .write_all(b"GET /livez HTTP/1.1\r\nHost: local")
                .await;
        }
        open.push(socket);
    }
    let began = Instant::now();
    for _ in 0..20 {
        assert_eq!(place.get("/livez").await.status, 200);
    }
    assert!(began.elapsed().as_secs() < 5, "{:?}", began.elapsed());
    place.stop().await;
}

#[tokio::test]
async fn a_head_that_trickles_is_cut_off_in_time() {
    let place = Place::new().await;
    let mut socket = TcpStream::connect(place.address).await.unwrap();
    let began = Instant::now();
    let trickle = async {
        for byte in "GET /livez HTTP/1.1\r\nX-Slow: "
            .bytes()
            .chain(std::iter::repeat(b'a'))
        {
            if socket.write_all(&[byte]).await.is_err() {
                break;
            }
            let mut answer = [0];
            let wait = std::time::Duration::from_millis(200);
            if let Ok(read) = tokio::time::timeout(wait, socket.read(&mut answer)).await {
                assert!(matches!(read, Ok(0) | Err(_)) || answer[0] == b'H');
                break;
            }
        }
    };
    tokio::time::timeout(PATIENCE, trickle)
        .await
        .expect("the server to cut it off");
    assert!(began.elapsed().as_secs() < 15, "{:?}", began.elapsed());
    place.stop().await;
}

#[tokio::test]
async fn a_body_that_trickles_is_answered_in_time() {
    let place = Place::new().await;
    let socket = TcpStream::connect(place.address).await.unwrap();
    let request = "POST /api/v1/machines HTTP/1.1\r\nHost: localhost\r\nContent-Length: 100\r\n\
        Content-Type: application/json\r\n\r\n{";
    exchange(socket, request.as_bytes())
        .await
        .problem(408, "unavailable");
    place.stop().await;
}

#[tokio::test]
async fn a_stop_is_quick_though_clients_sit_idle_or_half_open() {
    let place = Place::new().await;
    let _idle = TcpStream::connect(place.address).await.unwrap();
    let mut half = TcpStream::connect(place.address).await.unwrap();
    half.write_all(b"GET /livez HT").await.unwrap();
    let mut kept = TcpStream::connect(place.address).await.unwrap();
    kept.write_all(b"GET /livez HTTP/1.1\r\nHost: localhost\r\n\r\n")
        .await
        .unwrap();
    let mut some = [0; 64];
    assert!(kept.read(&mut some).await.unwrap() > 0);
    let took = place.stop().await;
    assert!(took.as_millis() < 1000, "{took:?}");
}
