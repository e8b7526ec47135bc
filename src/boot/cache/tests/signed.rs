//! Images that are believed because their vendor signed their checksums.

use test_case::test_case;

use super::*;
use crate::boot::cache::openpgp::gpg::Gpg;
use crate::model::{Checksums, SigningKey};

/// A vendor with a key, and its server.
struct Vendor {
    gpg: Gpg,
    key: String,
    source: Source,
}

impl Vendor {
    async fn new(image: &[u8]) -> Self {
        let gpg = Gpg::new();
        let key = gpg.key("vendor@example.net", "ed25519", "sign");
        let source = Source::new(b"", []).await;
        source.put("x.img", image);
        Self { gpg, key, source }
    }

    fn signing_key(&self) -> SigningKey {
        let file = self.gpg.public(&self.key);
        str::from_utf8(&file).unwrap().parse().unwrap()
    }

    /// Tells this, signed beside it.
    fn tell(&self, text: &str) {
        self.source.put("SUMS", text.as_bytes());
        let signature = self.gpg.sign(&self.key, text.as_bytes(), &[]);
        self.source.put("SUMS.gpg", &signature);
    }

    fn checksums(&self, signature: Option<&str>, key: Option<SigningKey>) -> Proof {
        let url = |path: &str| self.source.url(path).parse().unwrap();
        let told = Checksums::new(url("SUMS"), signature.map(url), key);
        Proof::Checksums(told.unwrap())
    }

    /// The image in this house, believed by the signature beside the checksums.
    async fn add(&self, house: &House) {
        let proof = self.checksums(Some("SUMS.gpg"), Some(self.signing_key()));
        self.add_by(house, proof).await;
    }

    async fn add_by(&self, house: &House, proof: Proof) {
        let change = ImageChange::Add {
            url: self.source.url("x.img").parse().unwrap(),
            proof: Some(proof),
            pin: false,
        };
        let name = "x".parse().unwrap();
        house.cache.change(&name, change).await.unwrap();
        house.settle().await;
    }
}

/// The line of sha256sum for this content.
fn line_of(content: &[u8]) -> String {
    format!("{}  x.img\n", &sum(content)["sha256:".len()..])
}

fn why(house: &House) -> String {
    match house.image("x").progress {
        Progress::Failed(why) => why,
        other => panic!("{other:?}"),
    }
}

#[tokio::test]
async fn an_image_is_what_its_vendor_signed_and_stays_that() {
    let (house, vendor) = (House::new(), Vendor::new(b"one").await);
    vendor.tell(&line_of(b"one"));
    vendor.add(&house).await;
    assert_eq!(house.read("x").await.unwrap(), b"one");
    let image = house.image("x");
    assert_eq!(image.signer.as_ref(), Some(&vendor.key));
    assert_eq!(image.checksum.map(|sum| sum.to_string()), Some(sum(b"one")));
    // Its bytes go, the vendor signs others, and what it told first is what is wanted.
    let name: ImageName = "x".parse().unwrap();
    let path = house
        .folder
        .path()
        .join("blobs/sha256")
        .join(&sum(b"one")[7..]);
    std::fs::write(path, "two").unwrap();
    assert!(matches!(
        house.cache.verify(&name).await.unwrap(),
        Verdict::Damaged(_)
    ));
    vendor.source.put("x.img", b"two");
    vendor.tell(&line_of(b"two"));
    let house = House::with(house.close().await, 64 * MIB, false);
    assert!(
        house
            .read("x")
            .await
            .unwrap_err()
            .contains("checksum is wrong")
    );
    // A person takes the new one, which is signed as well.
    house
        .cache
        .change(&name, ImageChange::Refresh)
        .await
        .unwrap();
    house.settle().await;
    assert_eq!(house.read("x").await.unwrap(), b"two");
    let house = House::with(house.close().await, 64 * MIB, true);
    assert_eq!(house.image("x").signer, Some(vendor.key.clone()));
}

#[tokio::test]
async fn checksums_may_be_signed_in_themselves() {
    let (house, vendor) = (House::new(), Vendor::new(b"one").await);
    let text = format!("# x.img: 3 bytes\nSHA256 (x.img) = {}\n", &sum(b"one")[7..]);
    vendor
        .source
        .put("SUMS", &vendor.gpg.clear(&vendor.key, text.as_bytes()));
    let proof = vendor.checksums(None, Some(vendor.signing_key()));
    vendor.add_by(&house, proof).await;
    assert_eq!(house.read("x").await.unwrap(), b"one");
    assert_eq!(house.image("x").signer, Some(vendor.key.clone()));
}

#[tokio::test]
async fn checksums_that_nobody_signed_are_pinned_and_say_so() {
    let (house, vendor) = (House::new(), Vendor::new(b"one").await);
    vendor.source.put("SUMS", line_of(b"one").as_bytes());
    vendor.add_by(&house, vendor.checksums(None, None)).await;
    assert_eq!(house.read("x").await.unwrap(), b"one");
    let image = house.image("x");
    assert_eq!((image.signer, image.checksum.is_some()), (None, true));
}

#[test_case("changed", "this is not what was signed"; "the checksums were changed")]
#[test_case("stranger", "another one"; "another key signed them")]
#[test_case("no signature", "the source answered 404"; "the signature is not there")]
#[test_case("rubbish", "no armored block"; "the signature is none")]
#[test_case("no line", "no line for x.img"; "the image is not among them")]
#[test_case("two lines", "two different checksums for x.img"; "the image has two")]
#[test_case("weak", "MD5"; "only a weak sum")]
#[test_case("long", "longer than 1048576 bytes"; "a file without an end")]
#[test_case("another image", "the checksum is wrong"; "the image is another")]
#[tokio::test]
async fn what_is_not_proven_is_not_kept(what: &str, words: &str) {
    let (house, vendor) = (House::new(), Vendor::new(b"one").await);
    let good = line_of(b"one");
    vendor.tell(&good);
    match what {
        "changed" => vendor.source.put("SUMS", line_of(b"two").as_bytes()),
        "stranger" => {
            let other = vendor.gpg.key("stranger@example.net", "ed25519", "sign");
            let signature = vendor.gpg.sign(&other, good.as_bytes(), &[]);
            vendor.source.put("SUMS.gpg", &signature);
        }
        "no signature" => vendor.source.gone("SUMS.gpg"),
        "rubbish" => vendor.source.put("SUMS.gpg", b"<html>not found</html>"),
        "no line" => vendor.tell(&good.replace("x.img", "old/x.img")),
        "two lines" => vendor.tell(&format!("{good}{}", line_of(b"two"))),
        "weak" => vendor.tell("d41d8cd98f00b204e9800998ecf8427e  x.img\n"),
        "long" => vendor.source.put("SUMS", &vec![b'x'; 1024 * 1024 + 1]),
        _ => vendor.source.put("x.img", b"two"),
    }
    vendor.add(&house).await;
    let why = why(&house);
    assert!(why.contains(words), "{why}");
    assert!(house.files("blobs/sha256").is_empty() && house.files("partial").is_empty());
    assert_eq!(house.image("x").checksum, None);
    assert!(house.read("x").await.unwrap_err().contains(words));
}

#[tokio::test]
async fn a_key_that_is_none_is_refused_before_anything_is_fetched() {
    let (house, vendor) = (House::new(), Vendor::new(b"one").await);
    let key = "-----BEGIN PGP PUBLIC KEY BLOCK-----\n\nmQ==\n-----END PGP PUBLIC KEY BLOCK-----";
    let change = ImageChange::Add {
        url: vendor.source.url("x.img").parse().unwrap(),
        proof: Some(vendor.checksums(None, Some(key.parse().unwrap()))),
        pin: false,
    };
    let refused = house
        .cache
        .change(&"x".parse().unwrap(), change)
        .await
        .unwrap_err();
    assert!(
        refused
            .to_string()
            .contains("a key of your own cannot be used"),
        "{refused}"
    );
    assert!(vendor.source.asked().is_empty() && house.cache.images().is_empty());
}

#[tokio::test]
async fn one_url_is_another_image_for_another_key() {
    let (house, vendor) = (House::new(), Vendor::new(b"one").await);
    let url = vendor.source.url("x.img");
    let own = vendor.checksums(None, Some(vendor.signing_key()));
    let theirs = vendor.checksums(None, Some("fedora-43".parse().unwrap()));
    let first = house.cache.adopt(&url, Some(&own)).unwrap();
    assert_ne!(first, house.cache.adopt(&url, Some(&theirs)).unwrap());
    assert_eq!(first, house.cache.adopt(&url, Some(&own)).unwrap());
}
