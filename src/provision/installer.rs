//! A workflow that a distribution's own installer carries out: what its machine boots, and what that is told.

use std::collections::BTreeMap;

use serde_json::json;

use super::answers::{AnswersError, Links, Questions, answers, cmdline, finish};
use super::first_boot::cloud_init;
use crate::model::action::{Action, Installer};
use crate::model::template::{Template, variables};
use crate::model::workflow::Taking;
use crate::model::{Defaults, Machine, Once, Workflow};

/// An installer for one machine, with every variable known.
#[derive(Clone, Debug, PartialEq)]
pub struct Prepared {
    pub installer: Installer,
    step: (String, String, u64),
    base: String,
}

/// Makes the installer of a workflow's template, or tells what is wrong in a person's words. `base` is where the
/// machine reaches us: `http://10.0.0.2:3080`.
pub fn prepare(
    workflow: &Workflow,
    machine: &Machine,
    defaults: &Defaults,
    base: &str,
) -> Result<Prepared, String> {
    let template = &workflow.template;
    let parsed = Template::parse(&template.source).map_err(|errors| {
        let first = errors.first().map(ToString::to_string);
        format!("template {}: {}", template.name, first.unwrap_or_default())
    })?;
    let texts = cloud_init(machine, defaults, Some(workflow.id.0));
    let texts = json!({
        "user_data": texts.user_data,
        "meta_data": texts.meta_data,
        "network_config": texts.network_config,
    });
    let params: &BTreeMap<String, String> = &workflow.params;
    let server = json!({ "http": base });
    let values = variables(machine, defaults, texts, server, params);
    let steps = parsed.render(&values).map_err(|error| error.to_string())?;
    let [step] = steps.as_slice() else {
        return Err("beside the installer a template has no other step".to_owned());
    };
    let Action::Installer(installer) = &step.action else {
        return Err("its step is no installer".to_owned());
    };
    let action = step.action.name().to_owned();
    Ok(Prepared {
        installer: near(installer, base),
        step: (step.name.clone(), action, step.timeout_seconds),
        base: base.to_owned(),
    })
}

/// Images of our own, by their address.
fn near(installer: &Installer, base: &str) -> Installer {
    let place = |url: &String| match url.strip_prefix("image:") {
        Some(name) => format!("{base}/images/{name}"),
        None => url.clone(),
    };
    Installer {
        kernel: place(&installer.kernel),
        initrd: installer.initrd.as_ref().map(place),
        ..installer.clone()
    }
}

impl Prepared {
    /// What the machine boots. It is checked as a person's order is.
    pub fn boot(&self, machine: &Machine) -> Result<Once, String> {
        let answers = cmdline(self.installer.answers, machine, &self.base);
        let once = Once::Kernel {
            kernel: self.installer.kernel.clone(),
            initrds: self.installer.initrd.iter().cloned().collect(),
            cmdline: format!("{answers} {}", self.installer.cmdline)
                .trim()
                .to_owned(),
        };
        once.check().map_err(|error| error.to_string())?;
        Ok(once)
    }

    /// What the workflow has to know of it. `secret_hash` is of the secret in the answers.
    pub fn taking(&self, secret_hash: String) -> Taking {
        Taking {
            secret_hash: Some(secret_hash),
            steps: vec![self.step.clone()],
            ..Taking::default()
        }
    }

    pub fn answers(
        &self,
        machine: &Machine,
        defaults: &Defaults,
        links: &Links,
    ) -> Result<String, AnswersError> {
        answers(&self.questions(machine, defaults, links))
    }

    /// The script for the end of the installation.
    pub fn finish(&self, machine: &Machine, defaults: &Defaults, links: &Links) -> String {
        finish(&self.questions(machine, defaults, links))
    }

    fn questions<'a>(
        &'a self,
        machine: &'a Machine,
        defaults: &'a Defaults,
        links: &'a Links,
    ) -> Questions<'a> {
        Questions {
            machine,
            defaults,
            installer: &self.installer,
            links,
        }
    }
}
