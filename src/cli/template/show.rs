//! One template in full.

use serde_json::Value;

use super::path_of;
use crate::api::Template;
use crate::cli::client::{Ask, Client};
use crate::cli::failure::Failure;
use crate::cli::out::sections::Section;
use crate::cli::out::text::clean;
use crate::cli::out::{Screen, Tone};

pub async fn run(
    name: &str,
    source: bool,
    client: &mut Client,
    screen: &mut Screen,
) -> Result<(), Failure> {
    let found: Template = client.read(Ask::get(path_of(name)?)).await?;
    if screen.json {
        return screen.answer("template.show", &found);
    }
    if source || screen.quiet {
        // Line by line, since what a terminal would obey is taken out.
        let text = found.source.unwrap_or_default();
        return text.lines().try_for_each(|line| screen.line(&clean(line)));
    }
    let title = screen.paint.on(Tone::Title, &clean(&found.name));
    screen.line(&title)?;
    about(&found).draw(screen)?;
    parameters(&found).draw(screen)?;
    steps(&found).draw(screen)?;
    let mut wrong = Section::new("What is wrong with it");
    for error in &found.errors {
        let place = format!("line {}", error.line);
        wrong.add_toned(place, Tone::Bad, clean(&error.message));
    }
    wrong.draw(screen)?;
    let hint = format!(
        "Its text: dragonfly template show {} --source",
        clean(&found.name)
    );
    let hint = screen.paint.on(Tone::Faint, &hint);
    screen.line("")?;
    screen.line(&hint)
}

fn about(found: &Template) -> Section {
    let mut section = Section::new("");
    let origin = match found.origin.as_str() {
        "catalogue" => "the catalogue, which comes with Dragonfly",
        "override" => "your own; it stands before the catalogue's of this name",
        _ => "your own",
    };
    section
        .maybe("what", found.description.as_deref())
        .add("from", origin)
        .maybe("version", found.template_version.as_deref());
    if found.format == "tinkerbell" {
        section.add("format", "Tinkerbell's");
    }
    if let Some(seconds) = found.timeout_seconds {
        section.add("timeout", format!("{seconds} s for the whole of it"));
    }
    for (name, value) in &found.annotations {
        let short = name.rsplit('/').next().unwrap_or(name);
        section.add(clean(short), clean(value));
    }
    section
}

fn parameters(found: &Template) -> Section {
    let mut section = Section::new("Parameters");
    for parameter in &found.parameters {
        let about = parameter.description.as_deref().unwrap_or("");
        let else_ = match &parameter.default {
            _ if parameter.required => "has to be given".to_owned(),
            None | Some(Value::Null) => "may be left out".to_owned(),
            Some(Value::String(text)) => format!("'{text}' where it is not given"),
            Some(other) => format!("{other} where it is not given"),
        };
        let text = if about.is_empty() {
            else_
        } else {
            format!("{about}; {else_}")
        };
        section.add(clean(&parameter.name), clean(&text));
    }
    section
}

fn steps(found: &Template) -> Section {
    let mut section = Section::new("Steps");
    for step in &found.steps {
        let name = if step.name == step.action {
            ""
        } else {
            step.name.as_str()
        };
        section.add(clean(&step.action), clean(name));
    }
    section
}
