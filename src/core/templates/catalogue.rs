//! The templates that come with Dragonfly: the files of `catalogue/`.

use std::sync::{Arc, LazyLock};

use super::{Origin, TemplateView};
use crate::model::Template;

/// One file of the catalogue.
#[derive(Clone, Copy, Debug)]
pub struct Entry {
    pub name: &'static str,
    pub source: &'static str,
}

macro_rules! catalogue {
    ($($name:literal)*) => {
        /// Every file there is, by name.
        pub const CATALOGUE: &[Entry] = &[
            $(Entry {
                name: $name,
                source: include_str!(concat!("../../../catalogue/", $name, ".yaml")),
            },)*
        ];
    };
}

catalogue! {
    "alma-9"
    "arch"
    "debian-12"
    "debian-13"
    "debian-13-installer"
    "fedora-43"
    "image"
    "rocky-10"
    "ubuntu-22.04"
    "ubuntu-24.04"
}

/// Read once; a test reads all of them, so none is missing here.
static READ: LazyLock<Vec<TemplateView>> = LazyLock::new(|| {
    let read = CATALOGUE.iter().filter_map(|entry| {
        let template = Template::parse(entry.source).ok()?;
        Some(TemplateView {
            name: template.name.clone(),
            origin: Origin::Catalogue,
            source: entry.source.into(),
            template: Ok(Arc::new(template)),
            version: 0,
        })
    });
    read.collect()
});

pub(super) fn all() -> impl Iterator<Item = TemplateView> {
    READ.iter().cloned()
}

pub(super) fn find(name: &str) -> Option<TemplateView> {
    READ.iter().find(|view| view.name.as_str() == name).cloned()
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;
    use std::fs;
    use std::path::Path;

    use serde_json::json;

    use super::*;
    use crate::model::Action;

    #[test]
    fn every_file_of_the_folder_is_a_template_of_its_name() {
        for entry in CATALOGUE {
            let template = Template::parse(entry.source).unwrap_or_else(|errors| {
                panic!("catalogue/{}.yaml: {errors:#?}", entry.name);
            });
            assert_eq!(template.name.as_str(), entry.name);
            assert!(find(entry.name).is_some());
        }
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("catalogue");
        let files = fs::read_dir(folder).unwrap().map(|file| {
            let name = file.unwrap().file_name().into_string().unwrap();
            name.trim_end_matches(".yaml").to_owned()
        });
        let files: BTreeSet<_> = files.filter(|name| name != "keys").collect();
        let names: BTreeSet<_> = CATALOGUE
            .iter()
            .map(|entry| entry.name.to_owned())
            .collect();
        assert_eq!(files, names);
        assert!(CATALOGUE.is_sorted_by(|a, b| a.name < b.name));
    }

    #[test]
    fn every_one_of_them_fits_machines_of_both_firmwares() {
        for (entry, firmware) in CATALOGUE
            .iter()
            .flat_map(|entry| [(entry, "bios"), (entry, "uefi")])
        {
            let template = Template::parse(entry.source).unwrap();
            let url = template
                .parameters
                .iter()
                .any(|parameter| parameter.name == "url");
            let params = if url {
                json!({ "url": "image:x" })
            } else {
                json!({})
            };
            let texts =
                json!({ "user_data": "#cloud-config\n", "meta_data": "", "network_config": "" });
            let values = json!({
                "hardware": { "firmware": firmware },
                "cloud_init": texts,
                "params": params,
            });
            let steps = template
                .render(&values)
                .unwrap_or_else(|error| panic!("{error}"));
            let names: Vec<_> = steps.iter().map(|step| step.action.name()).collect();
            if entry.name.ends_with("-installer") {
                assert_eq!(names, ["installer"], "{}", entry.name);
                continue;
            }
            assert_eq!(names[0], "image2disk", "{}", entry.name);
            assert_eq!(
                names.contains(&"efibootmgr"),
                firmware == "uefi",
                "{}",
                entry.name
            );
            assert_eq!(
                names[names.len() - 2..],
                ["call_home", "reboot"],
                "{}",
                entry.name
            );
        }
    }

    #[test]
    fn an_image_of_a_vendor_is_believed_by_its_vendors_checksums_and_key() {
        let texts = json!({ "user_data": "", "meta_data": "", "network_config": "" });
        let values = json!({
            "hardware": { "firmware": "uefi" }, "cloud_init": texts, "params": {},
        });
        // The one without an image, and the one with the person's own.
        let own = ["debian-13-installer", "image"];
        for entry in CATALOGUE.iter().filter(|entry| !own.contains(&entry.name)) {
            let template = Template::parse(entry.source).unwrap();
            let steps = template.render(&values).unwrap();
            let Action::Image2disk(image) = &steps[0].action else {
                panic!("{}", entry.name);
            };
            let told = image.checksums.as_ref().expect(entry.name);
            assert!(told.url.as_str().starts_with("https://"), "{}", entry.name);
            let key = told.signed.as_ref().map(|by| by.key.as_str());
            let wanted = match entry.name {
                "debian-12" | "debian-13" | "arch" => None,
                "ubuntu-22.04" | "ubuntu-24.04" => Some("ubuntu-cloudimage"),
                other => Some(other),
            };
            assert_eq!(key, wanted, "{}", entry.name);
        }
    }
}
