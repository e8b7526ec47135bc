//! Pages that are made for the very machine that asks: metadata, answers of installers.
//!
//! Who is not the one that a page is for is told that there is nothing, whatever the reason.

use std::borrow::Cow;
use std::net::SocketAddr;

use futures_util::future::BoxFuture;

use super::Plane;
use super::answer::{Answer, Body, Status, TEXT};
use super::request::{Method, Request};

/// The first parts of paths that lead to such pages.
const FOLDERS: [&str; 4] = ["metadata", "latest", "2009-04-04", "answers"];
const NOTHING: &str = "there is nothing here for you";

/// What is asked for, and by whom.
#[derive(Clone, Debug)]
pub struct PageAsk {
    /// The parts of the path.
    pub path: Vec<String>,
    pub peer: SocketAddr,
    /// The address that the request came in on.
    pub local: SocketAddr,
}

/// Makes pages. A call is a page handed out, so it is not made for a HEAD.
pub trait Pages: Send + Sync {
    /// The text, if there is one for who asks.
    fn page<'a>(&'a self, ask: &'a PageAsk) -> BoxFuture<'a, Option<String>>;
}

/// Whether a path leads to such a page.
pub(super) fn leads_here(path: &str) -> bool {
    path.split('/')
        .next()
        .is_some_and(|first| FOLDERS.contains(&first))
}

pub(super) async fn page(
    plane: &Plane,
    request: &Request,
    peer: SocketAddr,
    local: SocketAddr,
) -> Answer {
    if request.method == Method::Head {
        let line = "a page of a machine's own is made when it is fetched, by GET";
        return Answer::text(Status::MethodNotAllowed, line);
    }
    let path = request.target.path().split('/').map(str::to_owned);
    let ask = PageAsk {
        path: path.collect(),
        peer,
        local,
    };
    let text = match &plane.pages {
        Some(pages) => pages.page(&ask).await,
        None => None,
    };
    match text {
        Some(text) => Answer {
            status: Status::Ok,
            kind: Cow::Borrowed(TEXT),
            entity: None,
            part: None,
            body: Body::Bytes(text.into()),
            more: Vec::new(),
        },
        None => Answer::text(Status::NotFound, NOTHING),
    }
}

#[cfg(test)]
mod tests {
    use test_case::test_case;

    use super::*;

    #[test_case("metadata/nocloud/user-data", true)]
    #[test_case("latest", true)]
    #[test_case("answers/preseed", true)]
    #[test_case("latest.txt", false)]
    #[test_case("boot/answers", false)]
    #[test_case("", false; "the root")]
    fn a_path_leads_to_a_machines_own_page(path: &str, leads: bool) {
        assert_eq!(leads_here(path), leads);
    }
}
