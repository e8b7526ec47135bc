//! Templates of a person's own beside those of the catalogue.

use super::*;
use crate::core::ReceiptStatus;
use crate::core::templates::{CATALOGUE, Origin};
use crate::model::OsChoice;

fn name(text: &str) -> OsChoice {
    text.parse().unwrap()
}

fn source(called: &str, action: &str) -> String {
    format!(
        "apiVersion: dragonfly.computer/v1\nkind: Template\nmetadata: {{name: {called}}}\nspec:\n  actions:\n    - {{action: {action}}}\n"
    )
}

fn put(called: &str, source: &str) -> Command {
    Command::PutTemplate {
        name: name(called),
        source: source.into(),
    }
}

fn delete(called: &str) -> Command {
    Command::DeleteTemplate { name: name(called) }
}

#[tokio::test]
async fn a_template_is_kept_changed_and_deleted() {
    let house = House::new();
    let before = house.count();
    let first = house
        .run(put("own", &source("own", "reboot")))
        .await
        .unwrap();
    assert_eq!((first.version, first.diff[0].field.as_str()), (1, "source"));
    let same = house
        .run(put("own", &source("own", "reboot")))
        .await
        .unwrap();
    assert_eq!(same.status, ReceiptStatus::Unchanged);
    house
        .run(put("own", &source("own", "poweroff")))
        .await
        .unwrap();
    let view = house.core.template_view(&name("own")).unwrap().unwrap();
    assert_eq!((view.origin, view.version), (Origin::Own, 2));
    let template = house.core.template(&name("own")).unwrap().unwrap();
    assert_eq!(
        template.outline().collect::<Vec<_>>(),
        [("poweroff", "poweroff")]
    );
    house.run(delete("own")).await.unwrap();
    assert!(house.core.template(&name("own")).unwrap().is_none());
    assert!(matches!(
        house.run(delete("own")).await.unwrap_err(),
        Refusal::NotFound {
            what: "template",
            ..
        }
    ));
    let told = ["template.saved", "template.saved", "template.deleted"];
    assert_eq!(house.names(before), told);
    assert!(house.events()[before..].iter().all(|event| event.audit));
}

#[tokio::test]
async fn ones_own_stands_before_the_catalogues_until_it_is_deleted() {
    let house = House::new();
    let all = house.core.templates().unwrap();
    assert_eq!(all.len(), CATALOGUE.len());
    let receipt = house
        .run(put("debian-13", &source("debian-13", "reboot")))
        .await;
    assert!(receipt.unwrap().notes[0].contains("before the catalogue's"));
    let view = house
        .core
        .template_view(&name("debian-13"))
        .unwrap()
        .unwrap();
    assert_eq!(view.origin, Origin::Override);
    assert_eq!(house.core.templates().unwrap().len(), CATALOGUE.len());
    house.run(delete("debian-13")).await.unwrap();
    let view = house
        .core
        .template_view(&name("debian-13"))
        .unwrap()
        .unwrap();
    assert_eq!(view.origin, Origin::Catalogue);
    let refusal = house.run(delete("debian-13")).await.unwrap_err();
    assert!(refusal.to_string().contains("belongs to the catalogue"));
}

#[tokio::test]
async fn a_wrong_template_is_not_kept_and_all_of_it_is_told() {
    let house = House::new();
    let wrong = source("own", "rebot").replace("kind: Template", "kind: Tempalte");
    let refusal = house.run(put("own", &wrong)).await.unwrap_err();
    assert!(matches!(refusal, Refusal::Template(errors) if errors.len() == 2));
    let other = house
        .run(put("own", &source("other", "reboot")))
        .await
        .unwrap_err();
    assert!(other.to_string().contains("calls itself other, not own"));
    assert!(house.core.template_view(&name("own")).unwrap().is_none());
}

#[tokio::test]
async fn a_template_is_changed_only_at_the_version_that_was_seen() {
    let house = House::new();
    house
        .run(put("own", &source("own", "reboot")))
        .await
        .unwrap();
    let mut call = house.call(ada(), put("own", &source("own", "poweroff")));
    call.if_version = Some(7);
    let refusal = house.core.run(call).await.unwrap_err();
    assert!(matches!(
        refusal,
        Refusal::Stale {
            expected: 7,
            found: 1
        }
    ));
}
