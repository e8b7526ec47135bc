//! Templates: those that come with Dragonfly, those of a person's own, and what the choices of a person come to.
//!
//! A person's own template of a name stands before the catalogue's; deleted, the catalogue's shows again.

mod catalogue;
mod choices;

use std::collections::BTreeMap;
use std::sync::Arc;

use serde_json::json;
use sha2::Digest as _;

use crate::model::digest::hex;
use crate::model::template::TemplateError;
use crate::model::{FieldChange, OsChoice, Subject, Template, TemplateFile, What};
use crate::store::{Index, Key, MAX_PAGE, Object, Query};

use super::plan::{Plan, View};
use super::{Core, Refusal};

pub use catalogue::{CATALOGUE, Entry};

/// As many templates of a person's own as are kept.
pub const MAX_OWN: usize = 500;

/// A template as it is in force.
#[derive(Clone, Debug)]
pub struct TemplateView {
    pub name: OsChoice,
    pub origin: Origin,
    pub source: Arc<str>,
    /// What was read from it, or what this version of Dragonfly finds wrong with it.
    pub template: Result<Arc<Template>, Vec<TemplateError>>,
    /// 0 for one of the catalogue.
    pub version: u64,
}

/// Where a template is from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Origin {
    Catalogue,
    Own,
    /// A person's own of a name that the catalogue has too.
    Override,
}

impl Origin {
    pub const fn name(self) -> &'static str {
        match self {
            Self::Catalogue => "catalogue",
            Self::Own => "own",
            Self::Override => "override",
        }
    }
}

impl Core {
    /// The template of this name.
    pub fn template(&self, name: &OsChoice) -> Result<Option<Arc<Template>>, Refusal> {
        let Some(view) = self.template_view(name)? else {
            return Ok(None);
        };
        view.template.map(Some).map_err(|errors| {
            let first = errors.first().map(ToString::to_string);
            Refusal::Conflict {
                reason: format!(
                    "template {name} is wrong for this version of Dragonfly: {}",
                    first.unwrap_or_default()
                ),
                hint: format!("see all of it: dragonfly template show {name}"),
            }
        })
    }

    /// Every template there is, by name.
    pub fn templates(&self) -> Result<Vec<TemplateView>, Refusal> {
        let mut views: BTreeMap<OsChoice, TemplateView> = BTreeMap::new();
        for view in catalogue::all() {
            views.insert(view.name.clone(), view);
        }
        let page = self.store().page(&Query {
            by: Index::Templates,
            after: None,
            limit: MAX_PAGE,
            descending: false,
        })?;
        for stored in page.items {
            if let Object::Template(file) = stored.object {
                views.insert(file.name.clone(), own(&file, stored.version));
            }
        }
        Ok(views.into_values().collect())
    }

    pub fn template_view(&self, name: &OsChoice) -> Result<Option<TemplateView>, Refusal> {
        let stored = self.store().get(&Key::Template(name.clone()))?;
        let found = stored.and_then(|stored| match stored.object {
            Object::Template(file) => Some(own(&file, stored.version)),
            _ => None,
        });
        Ok(found.or_else(|| catalogue::find(name.as_str())))
    }
}

fn own(file: &TemplateFile, version: u64) -> TemplateView {
    let origin = match catalogue::find(file.name.as_str()) {
        Some(_) => Origin::Override,
        None => Origin::Own,
    };
    TemplateView {
        name: file.name.clone(),
        origin,
        source: file.source.as_str().into(),
        template: Template::parse(&file.source).map(Arc::new),
        version,
    }
}

/// Keeps a template that is right, under the name that stands in it.
pub(super) fn put(view: &View, name: &OsChoice, source: &str) -> Result<Plan, Refusal> {
    let template = Template::parse(source).map_err(Refusal::Template)?;
    if template.name != *name {
        return Err(Refusal::Conflict {
            reason: format!("the template calls itself {}, not {name}", template.name),
            hint: format!(
                "write `name: {name}` under metadata, or save it as {}",
                template.name
            ),
        });
    }
    let (before, version) = standing(view, name)?;
    let mut plan = Plan::new(Subject::Template(name.clone()), version);
    plan.next("see it", format!("dragonfly template show {name}"));
    if before.as_ref().is_some_and(|file| file.source == source) {
        plan.note("it is kept so already");
        return Ok(plan);
    }
    if before.is_none() {
        room(view)?;
    }
    if before.is_none() && catalogue::find(name.as_str()).is_some() {
        plan.note("it stands before the catalogue's of this name until it is deleted");
    }
    let old = before.map(|file| digest(&file.source));
    let new = digest(source);
    plan.diff = vec![FieldChange::new("source", json!(old), json!(new))];
    plan.say(What::TemplateSaved {
        name: name.clone(),
        digest: new,
    });
    let file = TemplateFile {
        name: name.clone(),
        source: source.to_owned(),
    };
    plan.put(Object::Template(Arc::new(file)), version);
    Ok(plan)
}

pub(super) fn delete(view: &View, name: &OsChoice) -> Result<Plan, Refusal> {
    let (before, version) = standing(view, name)?;
    let Some(before) = before else {
        return Err(match catalogue::find(name.as_str()) {
            Some(_) => Refusal::Conflict {
                reason: format!(
                    "template {name} belongs to the catalogue, which comes with Dragonfly"
                ),
                hint:
                    "a template of your own of this name stands before it: dragonfly template add"
                        .into(),
            },
            None => Refusal::NotFound {
                what: "template",
                name: name.to_string(),
            },
        });
    };
    let mut plan = Plan::new(Subject::Template(name.clone()), version);
    plan.next("see the others", "dragonfly template list");
    let old = digest(&before.source);
    plan.diff = vec![FieldChange::new("source", json!(old), json!(null))];
    if catalogue::find(name.as_str()).is_some() {
        plan.note("the catalogue's of this name is in force again");
    }
    plan.say(What::TemplateDeleted { name: name.clone() });
    plan.delete(Key::Template(name.clone()), version);
    Ok(plan)
}

/// What a person keeps under a name, and the version that this would replace.
fn standing(view: &View, name: &OsChoice) -> Result<(Option<Arc<TemplateFile>>, u64), Refusal> {
    let stored = view.core.store().get(&Key::Template(name.clone()))?;
    Ok(match stored {
        Some(stored) => match stored.object {
            Object::Template(file) => (Some(file), stored.version),
            _ => (None, stored.version),
        },
        None => (None, 0),
    })
}

fn room(view: &View) -> Result<(), Refusal> {
    if view.core.counts()?.templates < MAX_OWN {
        return Ok(());
    }
    Err(Refusal::Conflict {
        reason: format!("{MAX_OWN} templates of your own are kept, and more are not"),
        hint: "delete one first: dragonfly template rm NAME".into(),
    })
}

fn digest(source: &str) -> String {
    format!("sha256:{}", hex(&sha2::Sha256::digest(source)))
}
