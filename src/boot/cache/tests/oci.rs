//! Images in container registries.

use serde_json::{Value, json};
use test_case::test_case;

use super::*;

const INDEX: &str = "application/vnd.oci.image.index.v1+json";

/// A registry with one image, `disk:1`, for two platforms.
struct Registry(Source);

impl Registry {
    async fn new() -> Self {
        let registry = Self(Source::new(b"", []).await);
        let amd64 = registry.manifest(&json!([registry.layer(b"for amd64")]));
        let arm64 = registry.manifest(&json!([registry.layer(b"for arm64")]));
        registry.tag(&json!({"mediaType": INDEX, "manifests": [
            {"digest": amd64, "platform": {"os": "linux", "architecture": "amd64"}},
            {"digest": arm64, "platform": {"os": "linux", "architecture": "arm64"}},
            {"digest": arm64, "platform": {"os": "unknown", "architecture": "unknown"}},
        ]}));
        registry
    }

    fn layer(&self, content: &[u8]) -> Value {
        let digest = sum(content);
        self.0.put(&format!("v2/disk/blobs/{digest}"), content);
        json!({"mediaType": "application/octet-stream", "digest": digest})
    }

    /// A manifest of these layers, by its digest.
    fn manifest(&self, layers: &Value) -> String {
        let manifest = json!({"layers": layers}).to_string();
        let digest = sum(manifest.as_bytes());
        self.0
            .put(&format!("v2/disk/manifests/{digest}"), manifest.as_bytes());
        digest
    }

    fn tag(&self, manifest: &Value) {
        self.0
            .put("v2/disk/manifests/1", manifest.to_string().as_bytes());
    }

    fn url(&self) -> String {
        format!("oci://{}/disk:1", self.0.address)
    }
}

async fn add(house: &House, url: &str) {
    house.add("x", url, None).await;
    house.settle().await;
}

#[tokio::test]
async fn a_name_leads_to_the_layer_of_the_platform() {
    let registry = Registry::new().await;
    for (query, content) in [("", "for amd64"), ("?arch=arm64", "for arm64")] {
        let house = House::new();
        add(&house, &format!("{}{query}", registry.url())).await;
        assert_eq!(house.read("x").await.unwrap(), content.as_bytes());
        let digest = house.image("x").digest.map(|digest| digest.to_string());
        assert_eq!(digest, Some(sum(content.as_bytes())));
    }
}

#[tokio::test]
async fn a_tag_that_moved_changes_nothing_until_a_person_takes_the_new() {
    let (house, registry) = (House::new(), Registry::new().await);
    add(&house, &registry.url()).await;
    let layer = registry.layer(b"newer");
    registry.tag(&json!({"layers": [layer]}));
    let name: ImageName = "x".parse().unwrap();
    let path = house
        .folder
        .path()
        .join("blobs/sha256")
        .join(&sum(b"for amd64")[7..]);
    std::fs::write(path, "damaged !").unwrap();
    assert!(matches!(
        house.cache.verify(&name).await.unwrap(),
        Verdict::Damaged(_)
    ));
    assert_eq!(
        house.read("x").await.unwrap(),
        b"for amd64",
        "by its digest"
    );
    house.settle().await;
    house
        .cache
        .change(&name, ImageChange::Refresh)
        .await
        .unwrap();
    house.settle().await;
    assert_eq!(house.read("x").await.unwrap(), b"newer");
}

#[tokio::test]
async fn a_registry_that_wants_a_token_gets_the_one_that_it_gives_to_anybody() {
    let house = House::new();
    let realm = Source::new(br#"{"token":"abc"}"#, []).await;
    let source = Source::new(b"", [Manner::Wants(realm.url("token"))]).await;
    let registry = Registry(source);
    let layer = registry.layer(b"content");
    registry.tag(&json!({"layers": [layer]}));
    add(&house, &registry.url()).await;
    assert_eq!(house.read("x").await.unwrap(), b"content");
    let asked = registry.0.asked();
    assert_eq!(asked.len(), 3, "{asked:?}");
    assert!(!asked[0].contains("authorization"), "{asked:?}");
    let with = |head: &String| head.contains("authorization: Bearer abc");
    assert!(asked[1..].iter().all(with), "{asked:?}");
}

#[test_case("two layers", "this has 2: sha256:"; "two layers")]
#[test_case("none", "this has 0"; "no layer")]
#[test_case("platform", "none for the platform amd64; there are arm64"; "another platform")]
#[test_case("rubbish", "cannot be read"; "no manifest")]
#[test_case("other", "another manifest than was asked for"; "a manifest that is not its digest")]
#[test_case("lies", "the checksum is wrong"; "a layer that is not its digest")]
#[test_case("gone", "the source answered 404"; "no such tag")]
#[tokio::test]
async fn what_is_no_image_is_not_kept(what: &str, words: &str) {
    let (house, registry) = (House::new(), Registry::new().await);
    let layer = registry.layer(b"one");
    match what {
        "two layers" => registry.tag(&json!({"layers": [layer, layer]})),
        "none" => registry.tag(&json!({"layers": []})),
        "platform" => registry.tag(&json!({"manifests": [
            {"digest": sum(b"x"), "platform": {"architecture": "arm64"}},
        ]})),
        "rubbish" => registry.tag(&json!("hello")),
        "other" => {
            registry
                .0
                .put(&format!("v2/disk/manifests/{}", sum(b"x")), b"{}");
            registry.tag(&json!({"manifests": [{"digest": sum(b"x")}]}));
        }
        "lies" => {
            registry
                .0
                .put(&format!("v2/disk/blobs/{}", sum(b"one")), b"two");
            registry.tag(&json!({"layers": [layer]}));
        }
        _ => registry.0.gone("v2/disk/manifests/1"),
    }
    add(&house, &registry.url()).await;
    let Progress::Failed(why) = house.image("x").progress else {
        panic!("{:?}", house.image("x"));
    };
    assert!(why.contains(words), "{why}");
    assert!(house.files("blobs/sha256").is_empty() && house.files("partial").is_empty());
}
