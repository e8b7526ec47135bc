mod oci;
mod signed;
mod source;

use std::os::unix::fs::FileExt;

use jiff::SignedDuration;
use tempfile::TempDir;
use test_case::test_case;
use tokio::task::JoinHandle;

use super::change::Verdict;
use super::*;
use crate::core::clock::ManualClock;
use crate::model::{Digest, ImageChange};
use source::{Manner, Source};

const MIB: u64 = 1024 * 1024;

struct House {
    folder: TempDir,
    clock: Arc<ManualClock>,
    cache: Cache,
    stop: watch::Sender<bool>,
    keeper: JoinHandle<Result<(), String>>,
}

impl House {
    fn new() -> Self {
        Self::with(tempfile::tempdir().unwrap(), 64 * MIB, false)
    }

    fn with(folder: TempDir, quota: u64, offline: bool) -> Self {
        let settings = Settings {
            folder: folder.path().to_owned(),
            quota,
            offline,
            registries: Registries::new(),
            environment: Environment::default(),
        };
        let clock = Arc::new(ManualClock::at("2026-11-24T12:00:00Z".parse().unwrap()));
        let (cache, keeper) = Cache::open(&settings, clock.clone()).unwrap();
        let (stop, stopped) = watch::channel(false);
        let keeper = tokio::spawn(keeper.run(stopped));
        Self {
            folder,
            clock,
            cache,
            stop,
            keeper,
        }
    }

    /// Stops as the daemon does, and gives the folder back.
    async fn close(self) -> TempDir {
        self.stop.send_replace(true);
        self.keeper.await.unwrap().unwrap();
        self.folder
    }

    async fn add(&self, name: &str, url: &str, checksum: Option<&str>) {
        let change = ImageChange::Add {
            url: url.parse().unwrap(),
            proof: checksum.map(|sum| Proof::Checksum(sum.parse().unwrap())),
            pin: false,
        };
        self.cache
            .change(&name.parse().unwrap(), change)
            .await
            .unwrap();
    }

    async fn read(&self, name: &str) -> Result<Vec<u8>, String> {
        let opened = self
            .cache
            .serve(name)
            .await
            .map_err(|missing| missing.to_string())?;
        read(opened).await.map_err(|error| error.to_string())
    }

    /// Waits until nothing is on its way.
    async fn settle(&self) {
        let settled = async {
            while !self.cache.flights().is_empty() {
                tokio::time::sleep(Duration::from_millis(5)).await;
            }
        };
        timeout(Duration::from_secs(20), settled)
            .await
            .expect("downloads end");
    }

    /// Waits for what happens beside the downloads.
    async fn until(&self, what: impl Fn(&Self) -> bool) {
        let there = async {
            while !what(self) {
                tokio::time::sleep(Duration::from_millis(5)).await;
            }
        };
        timeout(Duration::from_secs(20), there)
            .await
            .expect("it comes to that");
    }

    fn image(&self, name: &str) -> Image {
        self.cache.image(&name.parse().unwrap()).unwrap()
    }

    fn files(&self, below: &str) -> Vec<String> {
        let all = std::fs::read_dir(self.folder.path().join(below)).unwrap();
        let mut names: Vec<_> = all
            .map(|entry| entry.unwrap().file_name().into_string().unwrap())
            .collect();
        names.sort();
        names
    }
}

/// All bytes, as a client gets them.
async fn read(opened: Opened) -> io::Result<Vec<u8>> {
    let mut whole = vec![0; usize::try_from(opened.bytes).unwrap()];
    match opened.content {
        Content::Whole(file, _lease) => file.read_exact_at(&mut whole, 0)?,
        Content::Growing(mut growing) => {
            let mut at = 0;
            while at < opened.bytes {
                let ready = growing.beyond(at).await?;
                let (from, to) = (
                    usize::try_from(at).unwrap(),
                    usize::try_from(ready).unwrap(),
                );
                growing.file().read_exact_at(&mut whole[from..to], at)?;
                at = ready;
            }
        }
    }
    Ok(whole)
}

fn content(bytes: usize) -> Vec<u8> {
    let mut seed: u32 = 7;
    let byte = |_| {
        seed = seed.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        seed.to_be_bytes()[0]
    };
    (0..bytes).map(byte).collect()
}

fn sum(bytes: &[u8]) -> String {
    format!("sha256:{}", hex(&Sha256::digest(bytes)))
}

#[tokio::test]
async fn fifty_clients_get_one_download() {
    let house = House::new();
    let whole = content(3_000_000);
    let source = Source::new(&whole, [Manner::Wait(1_000_000)]).await;
    house.cache.adopt(&source.url("x.raw"), None).unwrap();
    let name = house.cache.images()[0].name.to_string();
    let clients: Vec<_> = (0..50)
        .map(|_| {
            let (cache, name) = (house.cache.clone(), name.clone());
            tokio::spawn(async move { read(cache.serve(&name).await.unwrap()).await.unwrap() })
        })
        .collect();
    source.go_on();
    for client in clients {
        assert_eq!(client.await.unwrap(), whole);
    }
    assert_eq!(source.asked().len(), 1);
    house.settle().await;
    assert_eq!(house.read(&name).await.unwrap(), whole);
    assert_eq!((source.asked().len(), house.files("partial").len()), (1, 0));
}

#[tokio::test]
async fn bytes_are_sent_while_they_arrive_and_the_last_with_the_verdict() {
    let house = House::new();
    let whole = content(200_000);
    let source = Source::new(&whole, [Manner::Wait(100_000)]).await;
    house.add("x", &source.url("x"), None).await;
    let opened = house.cache.serve("x").await.unwrap();
    assert_eq!(opened.bytes, 200_000);
    let Content::Growing(mut growing) = opened.content else {
        panic!("it is here already");
    };
    let mut ready = 0;
    while ready < 100_000 {
        ready = growing.beyond(ready).await.unwrap();
    }
    assert_eq!(ready, 100_000);
    assert!(matches!(
        house.image("x").progress,
        Progress::Arriving(100_000, None)
    ));
    source.go_on();
    while ready < 200_000 {
        ready = growing.beyond(ready).await.unwrap();
    }
    house.settle().await;
    let image = house.image("x");
    assert_eq!(
        (image.progress, image.bytes),
        (Progress::Here, Some(200_000))
    );
    assert_eq!(image.digest.unwrap().to_string(), sum(&whole));
}

#[test_case(None; "sha256")]
#[test_case(Some(128); "sha512")]
#[tokio::test]
async fn a_wrong_checksum_cuts_the_clients_and_keeps_nothing(long: Option<usize>) {
    let house = House::new();
    let source = Source::new(&content(100_000), []).await;
    let wrong = match long {
        Some(digits) => format!("sha512:{}", "0".repeat(digits)),
        None => sum(b"other"),
    };
    house.add("x", &source.url("x"), Some(&wrong)).await;
    let error = house.read("x").await.unwrap_err();
    assert!(
        error.contains("checksum is wrong") && error.contains(&wrong),
        "{error}"
    );
    house.settle().await;
    assert!(house.files("blobs/sha256").is_empty() && house.files("partial").is_empty());
    assert!(matches!(house.image("x").progress, Progress::Failed(why) if why.contains("checksum")));
}

#[tokio::test]
async fn a_cut_source_is_gone_on_with_by_range() {
    let house = House::new();
    let whole = content(300_000);
    let source = Source::new(&whole, [Manner::Cut(100_000), Manner::Cut(50_000)]).await;
    house.add("x", &source.url("x"), None).await;
    assert_eq!(house.read("x").await.unwrap(), whole);
    let asked = source.asked();
    assert_eq!(asked.len(), 3);
    assert!(asked[1].contains("range: bytes=100000-") && asked[1].contains("if-range: \"one\""));
    assert!(asked[2].contains("range: bytes=150000-"));
}

#[tokio::test]
async fn a_source_that_knows_no_ranges_sends_all_again_and_it_is_compared() {
    let house = House::new();
    let whole = content(300_000);
    let source = Source::new(&whole, [Manner::Cut(100_000), Manner::Whole]).await;
    house.add("x", &source.url("x"), None).await;
    assert_eq!(house.read("x").await.unwrap(), whole);
}

#[tokio::test]
async fn what_changes_while_it_is_fetched_is_never_made_into_one_file() {
    let house = House::new();
    let source = Source::new(&content(300_000), [Manner::Cut(100_000), Manner::Code(503)]).await;
    house.add("x", &source.url("x"), None).await;
    let opened = house.cache.serve("x").await.unwrap();
    let other: Vec<u8> = content(300_000).iter().map(|byte| !byte).collect();
    source.change(&other, Some("\"two\""));
    assert!(read(opened).await.is_err());
    house.settle().await;
    assert!(house.files("blobs/sha256").is_empty());
    house.clock.advance(REST);
    assert_eq!(house.read("x").await.unwrap(), other);
}

#[tokio::test]
async fn a_source_that_promises_more_than_it_has_is_found_out() {
    let house = House::new();
    let manners = std::iter::repeat_n(Manner::Says(20_000), 9);
    let source = Source::new(&content(10_000), manners).await;
    source.change(&content(10_000), None);
    house.add("x", &source.url("x"), None).await;
    let error = house.read("x").await.unwrap_err();
    assert!(error.contains("broke off after 10000 bytes"), "{error}");
    house.settle().await;
    assert!(house.files("blobs/sha256").is_empty());
}

#[test_case(Manner::Code(404), "the source answered 404"; "absent")]
#[test_case(Manner::Code(403), "the source answered 403"; "forbidden")]
#[test_case(Manner::Packed, "packs what it sends: 'gzip'"; "packed")]
#[test_case(Manner::To("ftp://host/x".into()), "cannot be followed: ftp://host/x"; "a redirect to nowhere")]
#[tokio::test]
async fn a_source_that_says_no_is_not_asked_again_at_once(manner: Manner, words: &str) {
    let house = House::new();
    let source = Source::new(b"abc", [manner]).await;
    house.add("x", &source.url("x"), None).await;
    house.settle().await;
    for _ in 0..3 {
        let error = house.read("x").await.unwrap_err();
        assert!(error.contains(words), "{error}");
    }
    assert_eq!(source.asked().len(), 1);
    house.clock.advance(REST + SignedDuration::from_millis(1));
    assert_eq!(house.read("x").await.unwrap(), b"abc");
}

#[tokio::test]
async fn a_source_that_is_busy_is_asked_again_until_it_answers() {
    let house = House::new();
    let source = Source::new(
        b"abc",
        [Manner::Code(503), Manner::Code(429), Manner::Cut(0)],
    )
    .await;
    house.add("x", &source.url("x"), None).await;
    assert_eq!(house.read("x").await.unwrap(), b"abc");
    assert_eq!(source.asked().len(), 4);
}

#[tokio::test]
async fn redirects_are_followed_as_far_as_they_may() {
    let house = House::new();
    let other = Source::new(b"abc", []).await;
    let source = Source::new(b"", [Manner::To("/b".into()), Manner::To(other.url("c"))]).await;
    house.add("x", &source.url("a"), None).await;
    assert_eq!(house.read("x").await.unwrap(), b"abc");
    let around = Source::new(b"", std::iter::repeat_n(Manner::To("/a".into()), 20)).await;
    house.add("y", &around.url("a"), None).await;
    assert!(
        house
            .read("y")
            .await
            .unwrap_err()
            .contains("redirects more than")
    );
    assert_eq!(around.asked().len(), upstream::MAX_REDIRECTS + 1);
}

#[tokio::test]
async fn a_source_without_a_length_is_sent_when_it_is_here() {
    let house = House::new();
    let whole = content(50_000);
    let source = Source::new(&whole, [Manner::Chunked]).await;
    house.add("x", &source.url("x"), None).await;
    assert_eq!(house.read("x").await.unwrap(), whole);
}

#[tokio::test]
async fn an_empty_image_is_one() {
    let house = House::new();
    let source = Source::new(b"", []).await;
    house.add("x", &source.url("x"), None).await;
    assert_eq!(house.read("x").await.unwrap(), b"");
    house.settle().await;
    assert_eq!(house.read("x").await.unwrap(), b"");
    assert_eq!(source.asked().len(), 1);
}

#[tokio::test]
async fn a_stopped_download_is_gone_on_with_after_the_start() {
    let house = House::new();
    let whole = content(300_000);
    let source = Source::new(&whole, [Manner::Wait(100_000)]).await;
    house.add("x", &source.url("x"), None).await;
    let opened = house.cache.serve("x").await.unwrap();
    let Content::Growing(mut growing) = opened.content else {
        panic!("it is here already");
    };
    let mut ready = 0;
    while ready < 100_000 {
        ready = growing.beyond(ready).await.unwrap();
    }
    let folder = house.close().await;
    assert!(growing.beyond(ready).await.is_err());
    let house = House::with(folder, 64 * MIB, false);
    assert_eq!(house.read("x").await.unwrap(), whole);
    assert!(source.asked()[1].contains("range: bytes=100000-"));
}

/// A machine that was being written to when the daemon was killed found its image called by another name afterwards,
/// took it for another image, and its workflow failed.
#[test_case(Some("\"one\""), true; "by its tag")]
#[test_case(Some("\"two\""), false; "another content")]
#[test_case(None, false; "by nothing")]
#[tokio::test]
async fn a_content_keeps_its_name_over_a_restart_where_its_source_knows_it(
    tag: Option<&str>,
    keeps: bool,
) {
    let house = House::new();
    let source = Source::new(&content(300_000), [Manner::Wait(100_000)]).await;
    house.add("x", &source.url("x"), None).await;
    let before = house.cache.serve("x").await.unwrap().tag;
    // As a kill leaves it: nothing was written down of the part that is here.
    let folder = house.close().await;
    for file in std::fs::read_dir(folder.path().join("partial")).unwrap() {
        std::fs::remove_file(file.unwrap().path()).unwrap();
    }
    let house = House::with(folder, 64 * MIB, false);
    source.change(&content(300_000), tag);
    let opened = house.cache.serve("x").await.unwrap();
    assert_eq!(opened.first_tag == before, keeps);
    read(opened).await.unwrap();
    house.settle().await;
    let later = house.cache.serve("x").await.unwrap();
    assert_eq!(later.first_tag == before, keeps);
}

/// The daemon was upgraded: all that clients have of it is here, and is compared with what the source sends.
#[tokio::test]
async fn a_content_that_is_gone_on_with_keeps_its_name_over_a_stop() {
    let house = House::new();
    let source = Source::new(&content(300_000), [Manner::Wait(100_000), Manner::Whole]).await;
    source.change(&content(300_000), None);
    house.add("x", &source.url("x"), None).await;
    let before = house.cache.serve("x").await.unwrap();
    let Content::Growing(mut growing) = before.content else {
        panic!("it is here already");
    };
    growing.beyond(0).await.unwrap();
    let house = House::with(house.close().await, 64 * MIB, false);
    let after = house.cache.serve("x").await.unwrap();
    assert_eq!(after.tag, before.tag);
    assert_eq!(read(after).await.unwrap(), content(300_000));
}

#[tokio::test]
async fn what_is_here_stays_here_over_a_restart_and_is_served_offline() {
    let house = House::new();
    let source = Source::new(b"abc", []).await;
    house.add("x", &source.url("x"), Some(&sum(b"abc"))).await;
    house.settle().await;
    house.cache.adopt(&source.url("never"), None).unwrap();
    let house = House::with(house.close().await, 64 * MIB, true);
    assert_eq!(house.read("x").await.unwrap(), b"abc");
    let others = house.cache.images();
    let other = others
        .iter()
        .find(|image| &*image.name.to_string() != "x")
        .unwrap();
    let error = house.read(&other.name.to_string()).await.unwrap_err();
    assert!(error.contains("nothing is fetched"), "{error}");
    assert_eq!(source.asked().len(), 1);
}

#[tokio::test]
async fn what_was_not_used_for_longest_makes_room_and_what_is_pinned_or_read_stays() {
    let house = House::with(tempfile::tempdir().unwrap(), 10_000, false);
    let source = Source::new(&content(3_000), []).await;
    for (name, last) in [("a", 1_u8), ("b", 2), ("c", 3)] {
        let mut own = content(3_000);
        own.push(last);
        source.change(&own, None);
        house.add(name, &source.url(name), None).await;
        house.settle().await;
        house.clock.advance(SignedDuration::from_secs(1));
    }
    let name = "a".parse().unwrap();
    house.cache.change(&name, ImageChange::Pin).await.unwrap();
    let held = house.cache.serve("b").await.unwrap();
    house.add("d", &source.url("d"), None).await;
    house.settle().await;
    let states = |house: &House| {
        let here = |image: &Image| image.progress == Progress::Here;
        house.cache.images().iter().map(here).collect::<Vec<_>>()
    };
    // c and d have the same bytes, so the room of c was needed only while d arrived.
    assert_eq!(states(&house), [true, true, true, true]);
    source.change(&content(3_500), None);
    house.add("e", &source.url("e"), None).await;
    house.settle().await;
    assert_eq!(states(&house), [true, true, false, false, true]);
    drop(held);
    source.change(&content(7_500), None);
    house.add("f", &source.url("f"), None).await;
    house.settle().await;
    assert!(matches!(house.image("f").progress, Progress::Failed(why) if why.contains("quota")));
}

#[tokio::test]
async fn what_came_first_is_what_it_stays_until_a_person_takes_the_new() {
    let house = House::new();
    let source = Source::new(b"old", []).await;
    house.add("x", &source.url("x"), None).await;
    house.settle().await;
    source.change(b"new", Some("\"two\""));
    assert_eq!(house.read("x").await.unwrap(), b"old");
    std::fs::remove_file(
        house
            .folder
            .path()
            .join("blobs/sha256")
            .join(&house.files("blobs/sha256")[0]),
    )
    .unwrap();
    let house = House::with(house.close().await, 64 * MIB, false);
    let error = house.read("x").await.unwrap_err();
    assert!(error.contains("dragonfly image refresh"), "{error}");
    let name = "x".parse().unwrap();
    house.settle().await;
    house
        .cache
        .change(&name, ImageChange::Refresh)
        .await
        .unwrap();
    house.settle().await;
    assert_eq!(house.read("x").await.unwrap(), b"new");
}

#[tokio::test]
async fn a_damaged_file_is_found_removed_and_fetched_again() {
    let house = House::new();
    let source = Source::new(b"abc", []).await;
    house.add("x", &source.url("x"), None).await;
    house.settle().await;
    let name = "x".parse().unwrap();
    let sound = house.cache.verify(&name).await.unwrap();
    assert_eq!(sound, Verdict::Sound(sum(b"abc").parse().unwrap()));
    let blob = &house.files("blobs/sha256")[0];
    std::fs::write(house.folder.path().join("blobs/sha256").join(blob), "abX").unwrap();
    assert!(matches!(
        house.cache.verify(&name).await.unwrap(),
        Verdict::Damaged(_)
    ));
    assert_eq!(house.read("x").await.unwrap(), b"abc");
}

#[tokio::test]
async fn a_removed_image_is_gone_with_its_bytes_unless_another_has_the_same() {
    let house = House::new();
    let source = Source::new(b"abc", []).await;
    for name in ["x", "y"] {
        house.add(name, &source.url(name), None).await;
        house.settle().await;
    }
    assert_eq!(house.files("blobs/sha256").len(), 1);
    for (name, left) in [("x", 1), ("y", 0)] {
        let name = name.parse().unwrap();
        house
            .cache
            .change(&name, ImageChange::Remove)
            .await
            .unwrap();
        assert_eq!(house.files("blobs/sha256").len(), left);
        assert!(house.cache.image(&name).is_none());
    }
    assert!(house.files("index").is_empty());
}

#[tokio::test]
async fn an_adopted_url_has_one_name_that_ends_as_its_file_does() {
    let house = House::new();
    let checksum = Proof::Checksum(sum(b"x").parse().unwrap());
    let url = "https://images.example.net/debian 13/a+b.raw.zst?x=y".replace(' ', "%20");
    let name = house.cache.adopt(&url, None).unwrap();
    assert_eq!(name, house.cache.adopt(&url, None).unwrap());
    assert_ne!(name, house.cache.adopt(&url, Some(&checksum)).unwrap());
    assert!(name.as_str().ends_with("-a+b.raw.zst"), "{name}");
    let known = house.cache.lookup(&name).unwrap();
    assert_eq!(
        (known.path, known.digest),
        (format!("/images/{name}"), None)
    );
    assert!(house.cache.adopt("file:///etc/passwd", None).is_err());
}

#[tokio::test]
async fn what_a_person_brings_is_an_image_once_it_is_whole() {
    let house = House::new();
    let name: ImageName = "mine".parse().unwrap();
    let sum: Digest = sum(b"abcdef").parse().unwrap();
    let short = house.cache.receive(6, Some(sum.clone())).await.unwrap();
    assert!(short.finish().await.is_err());
    let mut long = house.cache.receive(2, None).await.unwrap();
    assert!(long.write(vec!["abcdef".into()]).await.is_err());
    drop(long);
    let mut wrong = house.cache.receive(6, Some(sum.clone())).await.unwrap();
    wrong.write(vec!["abcdeX".into()]).await.unwrap();
    assert!(
        wrong
            .finish()
            .await
            .unwrap_err()
            .to_string()
            .contains("checksum is wrong")
    );
    assert!(house.files("partial").is_empty() && house.files("blobs/sha256").is_empty());
    let mut right = house.cache.receive(6, Some(sum)).await.unwrap();
    right.write(vec!["abc".into(), "def".into()]).await.unwrap();
    let kept = right.finish().await.unwrap();
    assert!(house.cache.serve("mine").await.is_err());
    house.cache.take_in(&name, kept, false).await.unwrap();
    assert_eq!(house.read("mine").await.unwrap(), b"abcdef");
    let again = house.cache.check(&name, &ImageChange::Upload { bytes: 1 });
    assert!(
        again
            .unwrap_err()
            .to_string()
            .contains("brought by a person")
    );
    let house = House::with(house.close().await, 64 * MIB, false);
    assert_eq!(house.read("mine").await.unwrap(), b"abcdef");
}

async fn bundle(house: &House) -> Vec<u8> {
    use futures_util::StreamExt;
    let export = house.cache.export(&[]).unwrap();
    let bytes = export.bytes;
    let pieces: Vec<_> = export.stream().collect().await;
    let whole: Vec<u8> = pieces
        .into_iter()
        .flat_map(|piece| piece.unwrap())
        .collect();
    assert_eq!(whole.len() as u64, bytes);
    whole
}

#[test_case(1; "byte by byte")]
#[test_case(700; "in pieces")]
#[test_case(usize::MAX; "at once")]
#[tokio::test]
async fn a_bundle_carries_images_to_another_place(piece: usize) {
    let (here, there) = (
        House::new(),
        House::with(tempfile::tempdir().unwrap(), 64 * MIB, true),
    );
    let source = Source::new(&content(2_000), []).await;
    for name in ["x", "y"] {
        here.add(name, &source.url(name), None).await;
        here.settle().await;
    }
    source.change(b"", None);
    here.add("empty", &source.url("empty"), None).await;
    here.settle().await;
    let whole = bundle(&here).await;
    let mut import = there.cache.import();
    for piece in whole.chunks(piece.min(whole.len())) {
        import.write(piece).await.unwrap();
    }
    assert!(there.cache.images().is_empty());
    import.finish().await.unwrap();
    assert_eq!(there.read("x").await.unwrap(), content(2_000));
    assert_eq!(there.read("empty").await.unwrap(), b"");
    assert_eq!(
        (
            there.cache.images().len(),
            there.files("blobs/sha256").len()
        ),
        (3, 2)
    );
}

#[tokio::test]
async fn a_bundle_that_is_not_whole_or_not_sound_brings_nothing() {
    let here = House::new();
    let source = Source::new(&content(2_000), []).await;
    here.add("x", &source.url("x"), None).await;
    here.settle().await;
    let whole = bundle(&here).await;
    for (at, cut) in [
        (600, whole.len()),
        (0, 512),
        (0, 1_000),
        (0, whole.len() - 1_024),
        (3_000, whole.len()),
    ] {
        let there = House::new();
        let mut bytes = whole[..cut].to_vec();
        if at > 0 {
            bytes[at] ^= 1;
        }
        let mut import = there.cache.import();
        let written = import.write(&bytes).await;
        let ended = written.and_then(|()| import.names().map(drop));
        assert!(ended.is_err(), "{at} {cut}");
        drop(import);
        assert!(there.cache.images().is_empty());
        let there = House::with(there.close().await, 64 * MIB, false);
        assert!(there.files("blobs/sha256").is_empty() && there.files("partial").is_empty());
    }
}

#[tokio::test]
async fn an_import_does_not_take_the_place_of_another_content() {
    let (here, there) = (House::new(), House::new());
    let source = Source::new(b"one", []).await;
    here.add("x", &source.url("x"), None).await;
    here.settle().await;
    source.change(b"two", None);
    there.add("x", &source.url("x"), None).await;
    there.settle().await;
    let mut import = there.cache.import();
    let error = import.write(&bundle(&here).await).await.unwrap_err();
    assert!(error.to_string().contains("another content"), "{error}");
    assert_eq!(there.read("x").await.unwrap(), b"two");
}

#[tokio::test]
async fn a_download_that_nobody_wants_any_more_is_given_up() {
    let house = House::new();
    let source = Source::new(&content(200_000), [Manner::Wait(100_000)]).await;
    house.add("x", &source.url("x"), None).await;
    let opened = house.cache.serve("x").await.unwrap();
    let name = "x".parse().unwrap();
    house
        .cache
        .change(&name, ImageChange::Remove)
        .await
        .unwrap();
    house.settle().await;
    assert!(read(opened).await.is_err());
    assert!(house.files("partial").is_empty() && house.cache.images().is_empty());
}

#[tokio::test]
async fn what_has_not_changed_at_its_source_is_not_fetched_again() {
    let house = House::new();
    let source = Source::new(b"abc", []).await;
    house.add("x", &source.url("x"), None).await;
    house.settle().await;
    let name = "x".parse().unwrap();
    house
        .cache
        .change(&name, ImageChange::Refresh)
        .await
        .unwrap();
    house.settle().await;
    assert!(source.asked()[1].contains("if-none-match: \"one\""));
    let image = house.image("x");
    assert_eq!(
        (image.progress, house.read("x").await.unwrap()),
        (Progress::Here, b"abc".to_vec())
    );
    source.change(b"new", Some("\"two\""));
    house
        .cache
        .change(&name, ImageChange::Refresh)
        .await
        .unwrap();
    house.settle().await;
    assert_eq!(house.read("x").await.unwrap(), b"new");
    house
        .until(|house| house.files("blobs/sha256").len() == 1)
        .await;
}
