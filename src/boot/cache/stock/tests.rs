use std::os::unix::fs::MetadataExt;

use proptest::prelude::*;
use test_case::test_case;

use super::*;

fn stock(folder: &Path) -> Stock {
    Stock::open(folder, 1024 * 1024).unwrap()
}

fn key(name: &str) -> Key {
    Key::Image(name.parse().unwrap())
}

fn put(folder: &Path, file: &str, text: &str) {
    std::fs::write(folder.join(file), text).unwrap();
}

#[test_case(""; "nothing")]
#[test_case("{"; "half")]
#[test_case("[]"; "another shape")]
#[test_case(r#"{"format":1}"#; "from nowhere")]
#[test_case(r#"{"format":2,"url":"http://a/b"}"#; "of a later version")]
#[test_case(r#"{"format":1,"url":"file:///etc/passwd"}"#; "a url that is none")]
#[test_case(r#"{"format":1,"url":"http://a/b","digest":"sha256:00"}"#; "a digest that is none")]
fn a_record_that_is_not_whole_is_left_out_and_left_alone(text: &str) {
    let folder = tempfile::tempdir().unwrap();
    drop(stock(folder.path()));
    put(folder.path(), "index/x.json", text);
    put(
        folder.path(),
        "index/y.json",
        r#"{"format":1,"url":"http://a/b"}"#,
    );
    let stock = stock(folder.path());
    assert!(stock.get(&key("x")).is_none() && stock.get(&key("y")).is_some());
    assert!(folder.path().join("index/x.json").exists());
}

#[test]
fn what_nothing_speaks_of_and_what_has_another_length_is_removed() {
    let folder = tempfile::tempdir().unwrap();
    drop(stock(folder.path()));
    let (short, orphan) = ("a".repeat(64), "b".repeat(64));
    let record =
        format!(r#"{{"format":1,"url":"http://a/b","digest":"sha256:{short}","bytes":4}}"#);
    put(folder.path(), "index/x.json", &record);
    put(folder.path(), "index/x.new", "half a record");
    put(folder.path(), &format!("blobs/sha256/{short}"), "abc");
    put(folder.path(), &format!("blobs/sha256/{orphan}"), "abc");
    put(folder.path(), "partial/lonely", "abc");
    put(folder.path(), "partial/gone.json", "{}");
    let stock = stock(folder.path());
    assert!(stock.blob(&short.parse().unwrap()).is_none());
    for below in ["blobs/sha256", "partial"] {
        assert_eq!(
            std::fs::read_dir(folder.path().join(below))
                .unwrap()
                .count(),
            0
        );
    }
    assert!(!folder.path().join("index/x.new").exists());
    assert!(stock.get(&key("x")).is_some());
}

#[test]
fn the_folders_are_their_owners_alone() {
    let folder = tempfile::tempdir().unwrap();
    drop(stock(&folder.path().join("images")));
    let mode = std::fs::metadata(folder.path().join("images/blobs"))
        .unwrap()
        .mode();
    assert_eq!(mode & 0o777, 0o700);
}

mod properties {
    use super::*;

    proptest! {
        /// Whatever stands in a record's file, the stock opens, and what it takes is a record that it writes back as
        /// the same.
        #[test]
        fn no_record_breaks_the_shelf(bytes in proptest::collection::vec(any::<u8>(), 0..300)) {
            let folder = tempfile::tempdir().unwrap();
            drop(stock(folder.path()));
            std::fs::write(folder.path().join("index/x.json"), &bytes).unwrap();
            let first = stock(folder.path());
            if let Some(shown) = first.get(&key("x")) {
                first.save(&key("x")).unwrap();
                let again = stock(folder.path()).get(&key("x")).unwrap();
                prop_assert_eq!(again.record, shown.record);
            }
        }

        /// A record that the power cut off anywhere, or in which a byte turned, is the same or none.
        #[test]
        fn a_torn_record_is_whole_or_none(cut in 0_usize..400, turned in 0_usize..400, bit in 0_u8..8) {
            let folder = tempfile::tempdir().unwrap();
            let path = folder.path().join("index/x.json");
            let whole = stock(folder.path());
            let mut record = Record::new(Some("https://a.example/b".parse().unwrap()), None);
            record.digest = Some(format!("sha256:{}", "7".repeat(64)).parse().unwrap());
            record.bytes = Some(12);
            whole.edit(&key("x"), |_| Some(Shown { record: record.clone(), trouble: None }));
            whole.save(&key("x")).unwrap();
            let bytes = std::fs::read(&path).unwrap();
            std::fs::write(&path, &bytes[..cut.min(bytes.len())]).unwrap();
            let read = stock(folder.path()).get(&key("x")).map(|shown| shown.record);
            prop_assert!(read.is_none_or(|read| read == record));
            let mut other = bytes.clone();
            let at = turned % other.len();
            other[at] ^= 1 << bit;
            std::fs::write(&path, &other).unwrap();
            drop(stock(folder.path()));
        }
    }
}
