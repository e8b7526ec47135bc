//! Documents that are drawn from the code are true: each is compared with what the code would draw. With
//! `UPDATE_DOCS=1` they are written anew.

#![allow(clippy::unwrap_used, reason = "a test may fail where it stands")]

use std::fs;
use std::path::PathBuf;

use dragonfly::model::{state, template, workflow};

/// What `docs/states.md` has to be.
fn states() -> String {
    let head = "# The states of a machine\n\n\
        This page is drawn from the table in `src/model/state.rs`; a test compares the two. After a change of \
        the table:\n`UPDATE_DOCS=1 cargo test --test docs`.\n";
    let notes = "What moves a machine (`by`):\n\n\
        - *choice of a system*: `os_choice` was set, or cleared;\n\
        - *person*: somebody set the status by hand;\n\
        - *workflow*: a workflow took the machine on;\n\
        - *failure*: a workflow failed, or its deadline passed;\n\
        - *call home*: the installed system reported.\n\n\
        A person may say *ready* only when a system is chosen, and *provisioned* only of a machine that once \
        called home.\n";
    format!(
        "{head}\n```mermaid\n{}```\n\n{}\n{notes}",
        state::diagram(),
        state::table()
    )
}

/// What stands in `docs/workflows.md` between its two marks.
fn workflows(kept: &str) -> String {
    let (begin, end) = ("<!-- drawn from here -->\n", "<!-- to here -->\n");
    let head = kept.split(begin).next().unwrap_or_default();
    let tail = kept.split(end).nth(1).unwrap_or_default();
    format!(
        "{head}{begin}\n```mermaid\n{}```\n\n{}\n{end}{tail}",
        workflow::diagram(),
        workflow::table()
    )
}

/// Compares a page with what the code draws of it, or writes it.
fn compare(page: &str, source: &str, draw: impl Fn(&str) -> String) {
    let path = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join(page);
    let kept = fs::read_to_string(&path).unwrap_or_default();
    let drawn = draw(&kept);
    if std::env::var_os("UPDATE_DOCS").is_some() {
        fs::write(&path, &drawn).unwrap();
        return;
    }
    let differs = kept.lines().zip(drawn.lines()).position(|(a, b)| a != b);
    let shorter = kept.lines().count().min(drawn.lines().count());
    assert!(
        kept == drawn,
        "{page} differs from {source} from line {} on: run UPDATE_DOCS=1 cargo test --test docs",
        differs.unwrap_or(shorter) + 1
    );
}

#[test]
fn the_page_of_states_is_what_the_code_says() {
    compare("docs/states.md", "src/model/state.rs", |_| states());
}

#[test]
fn the_page_of_workflows_draws_what_the_engine_does() {
    compare(
        "docs/workflows.md",
        "src/model/workflow/engine.rs",
        workflows,
    );
}

/// Every `dragonfly …` line of a page's code blocks, without its comment.
fn commands(page: &str) -> Vec<Vec<String>> {
    let path = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join(page);
    let text = fs::read_to_string(path).unwrap_or_default();
    let blocks = text.split("```").skip(1).step_by(2);
    let lines = blocks
        .flat_map(str::lines)
        .filter(|line| line.starts_with("dragonfly "));
    let words = |line: &str| {
        line.split('#')
            .next()
            .unwrap_or_default()
            .split_whitespace()
            .map(str::to_owned)
            .collect()
    };
    lines.map(words).collect()
}

#[test]
fn every_command_that_the_readme_and_the_pages_tell_can_be_typed() {
    let told = ["README.md", "docs/workflows.md", "docs/templates.md"].map(commands);
    assert!(
        told.iter().all(|told| told.len() > 3),
        "the commands were not found"
    );
    let told = told.into_iter().flatten();
    for words in told {
        let line = words.join(" ");
        let parsed = dragonfly::cli::args::parse(words.into_iter().map(Into::into));
        assert!(
            parsed.is_ok(),
            "{line}: {}",
            parsed.err().map(|e| e.to_string()).unwrap_or_default()
        );
    }
}

/// The page about templates, with the tables that the code has.
fn templates(kept: &str) -> String {
    let drawn = [
        ("actions", template::schema::page()),
        ("variables", template::page_of_variables()),
    ];
    drawn
        .into_iter()
        .fold(kept.to_owned(), |page, (word, drawn)| {
            let (begin, end) = (
                format!("<!-- drawn: {word} -->\n"),
                format!("<!-- end: {word} -->"),
            );
            let marked = page.split_once(&begin).and_then(|(before, rest)| {
                let (_, after) = rest.split_once(&end)?;
                Some((before, after))
            });
            let Some((before, after)) = marked else {
                panic!("the page has no place for its {word}");
            };
            format!("{before}{begin}{}\n{end}{after}", drawn.trim())
        })
}

#[test]
fn the_page_of_templates_tells_every_key_and_variable() {
    compare(
        "docs/templates.md",
        "src/model/template/schema.rs",
        templates,
    );
}

#[test]
fn every_whole_template_on_the_page_is_right() {
    let path = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("docs/templates.md");
    let page = fs::read_to_string(&path).unwrap();
    let blocks = page
        .split("```yaml\n")
        .skip(1)
        .filter_map(|rest| rest.split("```").next());
    let whole: Vec<_> = blocks
        .filter(|block| block.contains("apiVersion:") || block.contains("tasks:"))
        .collect();
    assert!(whole.len() >= 2);
    for block in whole {
        if let Err(errors) = template::Template::parse(block) {
            panic!("{errors:#?}\n{block}");
        }
    }
}
