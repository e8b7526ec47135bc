//! What a person sees, or a program reads: the screen with its width and colours, and what is drawn on it.
//!
//! Everything that came over the wire goes through [`text::clean`] before it reaches a terminal.

pub mod receipt;
pub mod sections;
pub mod table;
pub mod text;
pub mod time;

use std::io::{self, BufRead, IsTerminal, Write};

use jiff::Timestamp;
use serde::Serialize;
use serde_json::{Value, json};

use super::args::Global;
use super::failure::Failure;

/// The version of everything that `--json` prints.
pub const JSON_VERSION: u32 = 1;

/// How wide a line is when nobody says so.
const WIDTH: usize = 80;

/// Where a command writes, and how.
pub struct Screen {
    out: Box<dyn Write + Send>,
    err: Box<dyn Write + Send>,
    /// The person, when there is one who can be asked.
    person: Option<Box<dyn BufRead + Send>>,
    pub width: usize,
    pub paint: Paint,
    paint_errors: Paint,
    pub json: bool,
    pub quiet: bool,
    /// JSON for eyes, not for pipes.
    pretty: bool,
    clock: fn() -> Timestamp,
}

impl std::fmt::Debug for Screen {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Screen")
            .field("width", &self.width)
            .finish_non_exhaustive()
    }
}

/// What a piece of text is, which decides its colour.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Tone {
    #[default]
    Plain,
    Title,
    Faint,
    Good,
    Busy,
    Notice,
    Bad,
    Name,
}

/// Puts colours on, or not.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Paint(pub bool);

impl Paint {
    pub fn on(self, tone: Tone, text: &str) -> String {
        let code = match tone {
            Tone::Title => "1",
            Tone::Faint => "2",
            Tone::Good => "32",
            Tone::Busy => "34",
            Tone::Notice => "33",
            Tone::Bad => "31",
            Tone::Name => "36",
            Tone::Plain => return text.to_owned(),
        };
        if self.0 && !text.is_empty() {
            format!("\u{1b}[{code}m{text}\u{1b}[0m")
        } else {
            text.to_owned()
        }
    }
}

/// The colour of a state.
pub fn tone_of_state(state: &str) -> Tone {
    match state {
        "provisioned" => Tone::Good,
        "provisioning" => Tone::Busy,
        "ready" => Tone::Name,
        "discovered" => Tone::Notice,
        "error" => Tone::Bad,
        "offline" => Tone::Faint,
        _ => Tone::Plain,
    }
}

impl Screen {
    /// This process's own terminal, pipes and environment.
    pub fn of_process(global: &Global) -> Self {
        let tty = io::stdout().is_terminal();
        let colourless = global.no_color
            || global.json
            || std::env::var_os("NO_COLOR").is_some_and(|value| !value.is_empty())
            || std::env::var_os("TERM").is_some_and(|term| term == "dumb");
        let person = io::stdin().is_terminal() && io::stderr().is_terminal() && !global.json;
        Self {
            out: Box::new(io::BufWriter::new(io::stdout())),
            err: Box::new(io::stderr()),
            person: person.then(|| Box::new(io::BufReader::new(io::stdin())) as _),
            width: width_of_terminal().unwrap_or(WIDTH),
            paint: Paint(tty && !colourless),
            paint_errors: Paint(io::stderr().is_terminal() && !colourless),
            json: global.json,
            quiet: global.quiet,
            pretty: tty,
            clock: this_moment,
        }
    }

    pub fn now(&self) -> Timestamp {
        (self.clock)()
    }

    pub fn line(&mut self, text: &str) -> Result<(), Failure> {
        writeln!(self.out, "{text}").map_err(Failure::from)
    }

    /// A line of `--quiet` and of normal use alike, or of normal use alone.
    pub fn say(&mut self, text: &str) -> Result<(), Failure> {
        if self.quiet || self.json {
            Ok(())
        } else {
            self.line(text)
        }
    }

    pub fn write(&mut self, text: &str) -> Result<(), Failure> {
        self.out.write_all(text.as_bytes()).map_err(Failure::from)
    }

    /// Lets the reader have what was written so far.
    pub fn flush(&mut self) -> Result<(), Failure> {
        self.out.flush().map_err(Failure::from)
    }

    /// Something beside the answer, which has to stay clean.
    pub fn remark(&mut self, text: &str) {
        let _ = self.out.flush();
        let _ = writeln!(self.err, "{text}");
    }

    /// One answer for programs.
    pub fn answer<T: Serialize>(&mut self, kind: &str, data: &T) -> Result<(), Failure> {
        let whole = json!({ "version": JSON_VERSION, "kind": kind, "data": data });
        let text = if self.pretty {
            format!("{whole:#}")
        } else {
            whole.to_string()
        };
        self.line(&text)
    }

    /// One line of several, for programs.
    pub fn answer_line(&mut self, kind: &str, more: &[(&str, Value)]) -> Result<(), Failure> {
        let mut whole = json!({ "version": JSON_VERSION, "kind": kind });
        for (key, value) in more {
            whole[*key] = value.clone();
        }
        self.line(&whole.to_string())
    }

    /// Tells of a failure on the error side; `about` names which of several things failed.
    pub fn fail(&mut self, failure: &Failure, about: Option<&str>) {
        let _ = self.out.flush();
        if self.json {
            if let Some(error) = failure.json() {
                let mut whole = json!({ "version": JSON_VERSION, "error": error });
                if let Some(about) = about {
                    whole["machine"] = json!(about);
                }
                let _ = writeln!(self.err, "{whole}");
            }
            return;
        }
        let lines = failure.lines();
        let Some((first, rest)) = lines.split_first() else {
            return;
        };
        let word = self.paint_errors.on(Tone::Bad, "error:");
        let about = about
            .map(|about| format!("{}: ", text::clean(about)))
            .unwrap_or_default();
        let _ = writeln!(self.err, "{word} {about}{first}");
        for line in rest {
            let _ = writeln!(self.err, "       {line}");
        }
    }

    /// Whether there is a person to ask.
    pub const fn has_person(&self) -> bool {
        self.person.is_some()
    }

    /// Asks, and reads one line; nothing when nobody is there.
    pub fn ask(&mut self, question: &str) -> Option<String> {
        let _ = self.out.flush();
        let person = self.person.as_mut()?;
        let question = text::wrap(question, self.width.saturating_sub(1)).join("\n");
        let _ = write!(self.err, "{question} ");
        let _ = self.err.flush();
        let mut answer = String::new();
        // A line that never ends is not an answer.
        let read = io::Read::take(&mut *person, 4096)
            .read_line(&mut answer)
            .ok()?;
        (read > 0).then(|| answer.trim().to_owned())
    }
}

/// A line on the error side of this process, from where the screen cannot be had.
pub fn note(text: &str) {
    let _ = writeln!(io::stderr(), "{text}");
}

#[expect(
    clippy::disallowed_methods,
    reason = "a client has no clock but its own machine's"
)]
fn this_moment() -> Timestamp {
    Timestamp::now()
}

fn width_of_terminal() -> Option<usize> {
    let told = std::env::var("COLUMNS")
        .ok()
        .and_then(|told| told.parse::<usize>().ok());
    let seen = terminal_size::terminal_size_of(io::stdout()).map(|(width, _)| width.0.into());
    told.or(seen).filter(|width| (20..=1000).contains(width))
}

#[cfg(test)]
pub mod paper {
    //! A screen for tests, that keeps what was written.

    use std::io::Cursor;
    use std::sync::{Arc, Mutex};

    use super::*;

    /// What one side of the screen was told.
    #[derive(Clone, Debug, Default)]
    pub struct Paper(Arc<Mutex<Vec<u8>>>);

    impl Paper {
        pub fn text(&self) -> String {
            String::from_utf8(self.0.lock().unwrap().clone()).unwrap()
        }
    }

    impl Write for Paper {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            self.0.lock().unwrap().extend_from_slice(bytes);
            Ok(bytes.len())
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    /// A screen of this width at noon of a certain day, and what is written to its two sides.
    pub fn screen(width: usize) -> (Screen, Paper, Paper) {
        let (out, err) = (Paper::default(), Paper::default());
        let screen = Screen {
            out: Box::new(out.clone()),
            err: Box::new(err.clone()),
            person: None,
            width,
            paint: Paint(false),
            paint_errors: Paint(false),
            json: false,
            quiet: false,
            pretty: false,
            clock: || "2026-11-21T12:00:00Z".parse().unwrap(),
        };
        (screen, out, err)
    }

    /// The same with a person who will say this.
    pub fn screen_with(person: &str) -> (Screen, Paper, Paper) {
        let (mut screen, out, err) = screen(80);
        screen.person = Some(Box::new(Cursor::new(person.as_bytes().to_vec())));
        (screen, out, err)
    }
}
