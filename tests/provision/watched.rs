//! A workflow that is watched to its end, and a machine beside it that nobody asked anything of.

use std::path::PathBuf;

use dragonfly::lab::Vm;
use serde_json::Value;

use crate::site::{BOOTS_WITHIN, INSTALLS_WITHIN, Site};
use crate::small;

/// The newest workflow of the machine, once it is in this state.
pub fn wait_workflow(site: &Site, vm: &Vm, state: &str) -> Value {
    let what = format!("{}'s workflow to be {state}", vm.name);
    site.until(&what, INSTALLS_WITHIN, || {
        let workflow = newest(site, vm)?;
        let over = workflow["active"] == false && workflow["state"] != state;
        assert!(!over, "{what}: {workflow:#}");
        Ok((workflow["state"] == state).then_some(workflow))
    })
}

/// Waits for the workflow to fail; what `workflow show` and the machine's record say of it has to be the same.
pub fn wait_failed(site: &Site, vm: &Vm) -> String {
    let workflow = wait_workflow(site, vm, "failed");
    let error = workflow["error"].as_str().unwrap().to_owned();
    let machine = site.machine(&vm.mac);
    assert_eq!(machine["state"], "error", "{machine}");
    assert_eq!(machine["state_message"], error.as_str(), "{machine}");
    let shown = site.cli(&["workflow", "show", &vm.mac]);
    // It stands there in lines of a screen's width.
    let words: Vec<&str> = shown.split_whitespace().collect();
    let told = error.split_whitespace().collect::<Vec<_>>().join(" ");
    assert!(words.join(" ").contains(&told), "{shown}");
    error
}

pub fn newest(site: &Site, vm: &Vm) -> Result<Value, dragonfly::lab::LabError> {
    let path = format!("/api/v1/workflows/{}", vm.mac);
    site.dragonfly.get(&path)
}

/// A machine with a blank disk whose agent waits.
pub struct Bystander {
    pub vm: Vm,
    disk: PathBuf,
    record: Value,
    sum: String,
}

impl Bystander {
    pub fn start(site: &Site) -> Bystander {
        let mac = "52:54:00:99:00:01";
        let vm = site.lab.boot(&small::spec("bystander", mac, 1)).unwrap();
        site.wait_inventory(&vm);
        let disk = small::disk(&site.lab, &vm.name);
        Bystander {
            record: site.machine(&vm.mac),
            sum: small::sum(&disk),
            vm,
            disk,
        }
    }

    /// Its disk, its record and with that its agent's key and tokens are as they were, and its agent is still believed:
    /// it takes work without another boot.
    pub fn is_untouched(&self, site: &Site, template: &str) {
        assert_eq!(small::sum(&self.disk), self.sum, "its disk was written to");
        let record = site.machine(&self.vm.mac);
        assert_eq!(record["version"], self.record["version"], "{record}");
        site.cli(&["reimage", &self.vm.mac, "--os", template, "--yes"]);
        site.wait_state(&self.vm, "ready", BOOTS_WITHIN);
        let after = site.machine(&self.vm.mac);
        assert_eq!(after["boot"]["at"], record["boot"]["at"], "it booted anew");
    }
}
