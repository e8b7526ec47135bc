#![allow(
    clippy::cast_possible_truncation,
    reason = "a test's numbers are small"
)]

use std::sync::Mutex;
use std::sync::atomic::{AtomicU32, Ordering};

use test_case::test_case;

use super::liar::{Answer, Liar};
use super::*;

/// Waits for nothing, and gives up after so many troubles.
struct Impatient {
    troubles: Mutex<Vec<String>>,
    left: AtomicU32,
}

impl Impatient {
    fn new(left: u32) -> Self {
        Self {
            troubles: Mutex::default(),
            left: AtomicU32::new(left),
        }
    }
}

impl Watch for Impatient {
    fn stopped(&self) -> bool {
        self.left.load(Ordering::Relaxed) == 0
    }

    fn wait(&self, _: Duration) {}

    fn trouble(&self, what: Option<String>) {
        if let Some(what) = what {
            self.troubles.lock().unwrap().push(what);
            self.left.fetch_sub(1, Ordering::Relaxed);
        }
    }
}

fn bytes(len: usize) -> Vec<u8> {
    (0..len).map(|at| (at * 31 % 251) as u8).collect()
}

fn fetch(url: Url, watch: &Impatient) -> Result<Vec<u8>, HttpError> {
    let mut fetch = Fetch::open(url, watch)?;
    let mut got = vec![0; fetch.length() as usize + 1];
    let len = fetch.fill(&mut got)?;
    got.truncate(len);
    Ok(got)
}

#[test_case("http://10.0.0.1/x", "10.0.0.1:80", "http://10.0.0.1/x")]
#[test_case("http://10.0.0.1:3080", "10.0.0.1:3080", "http://10.0.0.1:3080/")]
#[test_case("http://[fd00::1]/a?b=c#d", "[fd00::1]:80", "http://[fd00::1]/a?b=c"; "v6, a query, a fragment")]
#[test_case("http://[fd00::1]:81?q", "[fd00::1]:81", "http://[fd00::1]:81/?q"; "no path")]
fn a_url_names_an_address(text: &str, address: &str, shown: &str) {
    let url: Url = text.parse().unwrap();
    assert_eq!(url.address().to_string(), address);
    assert_eq!(url.to_string(), shown);
}

#[test_case("https://10.0.0.1/x", "http://"; "another scheme")]
#[test_case("http://example.net/x", "resolver"; "a name")]
#[test_case("http://10.0.0.1/a b", "space"; "a space")]
#[test_case("http://10.0.0.1/a\r\nX: y", "space"; "a line of its own")]
#[test_case("http://fd00::1/x", "address"; "v6 without brackets")]
#[test_case("", "http://"; "nothing")]
fn what_is_no_such_url_is_refused_with_the_reason(text: &str, why: &str) {
    let error = text.parse::<Url>().unwrap_err().to_string();
    assert!(error.contains(why), "{error}");
}

#[test_case(3, 0; "cut again and again")]
#[test_case(1000, 0; "cut seldom")]
#[test_case(5000, 1; "cut once")]
fn a_fetch_that_is_cut_goes_on_where_it_was(each: usize, _: usize) {
    let file = bytes(8000);
    let body = file.clone();
    let server =
        Liar::start(move |request| Answer::file(request, &body, "\"1\"").cut(each.max(80)));
    assert_eq!(fetch(server.url(), &Impatient::new(1000)).unwrap(), file);
    let asked = server.asked();
    assert!(asked.len() > 1);
    for (before, request) in asked.iter().zip(&asked[1..]) {
        let from = before.range.as_ref().map_or(0, |range| range.start);
        assert!(request.range.as_ref().unwrap().start > from);
        assert_eq!(request.if_range.as_deref(), Some("\"1\""));
    }
}

#[test]
fn a_server_that_knows_no_range_sends_all_again() {
    let file = bytes(8000);
    let body = file.clone();
    let server = Liar::start(move |request| {
        let mut plain = request.clone();
        plain.range = None;
        let cut = 3000 * (request.number + 1);
        Answer::file(&plain, &body, "\"1\"").cut(cut)
    });
    assert_eq!(fetch(server.url(), &Impatient::new(10)).unwrap(), file);
    assert_eq!(server.asked().len(), 3);
}

#[test_case("\"2\"", 8000, "its tag was \"1\", and is \"2\" now"; "another tag")]
#[test_case("\"1\"", 7000, "it had 8000 bytes, and has 7000 now"; "another length")]
#[test_case("\"1\"", 1000, "it has no bytes"; "shorter than what is there")]
fn a_file_that_changed_meanwhile_is_an_error(etag: &'static str, length: usize, why: &str) {
    let server = Liar::start(move |request| match &request.range {
        None => Answer::file(request, &bytes(8000), "\"1\"").cut(3000),
        Some(range) if range.start >= length as u64 => Answer::status(416),
        Some(_) => Answer::file(request, &bytes(length), etag),
    });
    let error = fetch(server.url(), &Impatient::new(10)).unwrap_err();
    assert!(matches!(error, HttpError::Changed { .. }), "{error}");
    assert!(error.to_string().contains(why), "{error}");
}

#[test]
fn a_range_that_was_not_asked_for_is_no_answer() {
    let server = Liar::start(|request| match &request.range {
        None => Answer::file(request, &bytes(8000), "\"1\"").cut(3000),
        Some(_) => Answer::status(206).field("Content-Range: bytes 0-9/8000"),
    });
    let error = fetch(server.url(), &Impatient::new(10)).unwrap_err();
    assert!(matches!(error, HttpError::Nonsense { .. }), "{error}");
}

#[test_case(404, "no such file")]
#[test_case(403, "to this machine")]
#[test_case(418, "418")]
fn what_is_not_there_is_not_asked_for_again(status: u16, why: &str) {
    let server = Liar::start(move |_| Answer::status(status));
    let error = fetch(server.url(), &Impatient::new(10)).unwrap_err();
    assert!(error.to_string().contains(why), "{error}");
    assert_eq!(server.asked().len(), 1);
}

#[test_case("x cannot be had: the checksum is wrong\nmore", ": x cannot be had: the checksum is wrong"; "its first line")]
#[test_case("<html>Gateway</html>", ""; "but no page")]
#[test_case("\u{1b}[2J", ": \\u{1b}[2J"; "harmless to a screen")]
fn what_the_server_says_of_it_is_told(body: &'static str, told: &str) {
    let server = Liar::start(move |_| Answer {
        status: 424,
        fields: vec![format!("Content-Length: {}", body.len())],
        body: body.into(),
        cut: None,
    });
    let error = fetch(server.url(), &Impatient::new(10)).unwrap_err();
    let whole = format!("{} was answered with 424{told}", server.url());
    assert_eq!(error.to_string(), whole);
    assert_eq!(server.asked().len(), 1);
}

#[test]
fn a_server_that_is_busy_is_asked_again_and_the_trouble_told() {
    let server = Liar::start(|request| match request.number {
        0..=2 => Answer::status(503),
        _ => Answer::file(request, &bytes(100), "\"1\""),
    });
    let watch = Impatient::new(10);
    assert_eq!(fetch(server.url(), &watch).unwrap(), bytes(100));
    assert_eq!(watch.troubles.lock().unwrap().len(), 3);
    assert!(watch.troubles.lock().unwrap()[0].ends_with("the server answers 503"));
}

#[test]
fn a_server_that_is_away_is_waited_for_until_the_watch_stops() {
    let address = {
        let server = Liar::honest(Vec::new());
        server.address
    };
    let watch = Impatient::new(3);
    let url = format!("http://{address}/x").parse().unwrap();
    assert_eq!(fetch(url, &watch), Err(HttpError::Stopped));
    assert!(watch.troubles.lock().unwrap()[0].contains("refused"));
}

#[test_case(&["Transfer-Encoding: chunked"]; "in chunks")]
#[test_case(&["Content-Length: 10", "Content-Encoding: gzip"]; "encoded on the way")]
#[test_case(&[]; "without a length")]
fn an_answer_without_its_length_is_refused(fields: &'static [&'static str]) {
    let server = Liar::start(move |_| Answer {
        status: 200,
        fields: fields.iter().map(ToString::to_string).collect(),
        body: Vec::new(),
        cut: None,
    });
    let error = fetch(server.url(), &Impatient::new(10)).unwrap_err();
    assert!(matches!(error, HttpError::NoLength { .. }), "{error}");
}

#[test]
fn a_redirection_is_followed_and_a_circle_left() {
    let server = Liar::start(|request| match request.path.as_str() {
        "/image" => Answer::status(302).field("Location: /there"),
        "/there" => Answer::file(request, &bytes(10), "\"1\""),
        _ => Answer::status(307).field("Location: /again"),
    });
    assert_eq!(fetch(server.url(), &Impatient::new(1)).unwrap(), bytes(10));
    let url = format!("http://{}/circle", server.address).parse().unwrap();
    let error = fetch(url, &Impatient::new(1)).unwrap_err();
    assert!(matches!(error, HttpError::Redirects { .. }), "{error}");
}

#[test]
fn parts_are_read_over_one_connection_that_is_kept() {
    let server = Liar::honest(bytes(8000));
    let watch = Impatient::new(1);
    let whole = Fetch::open(server.url(), &watch).unwrap();
    let mut parts = whole.again();
    for (at, len) in [(7000, 1000), (0, 10), (4000, 0), (100, 3000)] {
        let mut part = vec![0; len];
        parts.read_at(at, &mut part).unwrap();
        assert_eq!(part, bytes(8000)[at as usize..at as usize + len]);
    }
    assert_eq!(watch.troubles.lock().unwrap().len(), 0);
}

#[test]
fn parts_of_a_server_without_range_are_an_error() {
    let server = Liar::start(|request| {
        let mut plain = request.clone();
        plain.range = None;
        Answer::file(&plain, &bytes(8000), "\"1\"")
    });
    let watch = Impatient::new(1);
    let mut parts = Fetch::open(server.url(), &watch).unwrap().again();
    let error = parts.read_at(10, &mut [0; 10]).unwrap_err();
    assert!(matches!(error, HttpError::NoRange { .. }), "{error}");
}

mod properties {
    use proptest::prelude::*;

    use super::super::connection::Head;

    proptest! {
        #[test]
        fn no_head_ends_the_agent(bytes in proptest::collection::vec(any::<u8>(), 0..300)) {
            let _ = Head::parse(&bytes);
            let mut after = b"HTTP/1.1 206 x\r\nContent-Range: ".to_vec();
            after.extend(&bytes);
            after.extend(b"\r\n\r\n");
            let _ = Head::parse(&after);
        }
    }
}
