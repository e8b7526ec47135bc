//! From a template's name to what a workflow is made of.

use std::collections::BTreeMap;

use crate::core::{Core, Refusal};
use crate::model::workflow::{Blueprint, Snapshot, Step};
use crate::model::{FieldError, Machine, OsChoice, action};

impl Core {
    /// The template that is meant: the one that is named, the machine's own choice, or everybody's.
    pub fn template_for(
        &self,
        machine: &Machine,
        named: Option<OsChoice>,
    ) -> Result<OsChoice, Refusal> {
        let own = named.or_else(|| machine.config.os_choice.clone());
        if let Some(name) = own {
            return Ok(name);
        }
        self.defaults()?.os.ok_or_else(|| {
            let reason = "no template is named, and none is chosen for this machine or for all";
            FieldError::new("os", reason, "debian-13").into()
        })
    }

    /// What a workflow by this template is made of.
    pub fn blueprint(
        &self,
        name: &OsChoice,
        params: BTreeMap<String, String>,
    ) -> Result<Blueprint, Refusal> {
        let missing = || Refusal::NotFound {
            what: "template",
            name: name.to_string(),
        };
        // Asked for first, since that one tells what is wrong with it.
        let template = self.template(name)?.ok_or_else(missing)?;
        let view = self.template_view(name)?.ok_or_else(missing)?;
        let steps = template.outline().map(|(name, action)| {
            // The time of each is known when it is made for the machine.
            Step::new(name, action, action::DEFAULT_TIMEOUT)
        });
        Ok(Blueprint {
            steps: steps.collect(),
            template: Snapshot {
                name: name.to_string(),
                source: view.source.to_string(),
            },
            params,
            timeout_seconds: template.timeout_seconds,
        })
    }
}
