//! Names and values under titles, as one thing is shown in full.

use super::text::{padding, width, wrap};
use super::{Screen, Tone};
use crate::cli::failure::Failure;

/// The narrowest column of names, so that sections stand in line.
pub const NAMES: usize = 14;

/// A title and its lines.
#[derive(Debug)]
pub struct Section {
    title: &'static str,
    lines: Vec<(String, String, Tone)>,
}

impl Section {
    pub const fn new(title: &'static str) -> Self {
        Self {
            title,
            lines: Vec::new(),
        }
    }

    /// A line; the value has been cleaned.
    pub fn add(&mut self, name: impl Into<String>, value: impl Into<String>) -> &mut Self {
        self.add_toned(name, Tone::Plain, value)
    }

    pub fn add_toned(
        &mut self,
        name: impl Into<String>,
        tone: Tone,
        value: impl Into<String>,
    ) -> &mut Self {
        self.lines.push((name.into(), value.into(), tone));
        self
    }

    /// A line, if there is something to say.
    pub fn maybe(&mut self, name: &str, value: Option<&str>) -> &mut Self {
        if let Some(value) = value {
            self.add(name, super::text::clean(value));
        }
        self
    }

    pub fn is_empty(&self) -> bool {
        self.lines.is_empty()
    }

    /// Draws it, with an empty line before it; nothing when it is empty.
    pub fn draw(&self, screen: &mut Screen) -> Result<(), Failure> {
        if self.is_empty() {
            return Ok(());
        }
        if !self.title.is_empty() {
            let title = screen.paint.on(Tone::Title, self.title);
            screen.line("")?;
            screen.line(&title)?;
        }
        let names = self
            .lines
            .iter()
            .map(|(name, ..)| width(name))
            .max()
            .unwrap_or(0)
            .max(NAMES);
        let room = screen.width.saturating_sub(names + 4).max(16);
        for (name, value, tone) in &self.lines {
            for (place, part) in wrap(value, room).iter().enumerate() {
                let name = if place == 0 { name.as_str() } else { "" };
                let pad = padding(name, names);
                let name = screen.paint.on(Tone::Faint, name);
                let part = screen.paint.on(*tone, part);
                let line = format!("  {name}{pad}  {part}");
                screen.line(line.trim_end())?;
            }
        }
        Ok(())
    }
}
