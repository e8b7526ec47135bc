//! The steps of a boot, each with its distance from the first one.

use jiff::Timestamp;

use crate::api::boot::Step;
use crate::cli::failure::Failure;
use crate::cli::out::text::{clean, padding, width, wrap};
use crate::cli::out::{Screen, Tone, time};

/// What comes after so long a silence is another boot.
const APART: i64 = 180;
/// The room for a distance: `+1234.567`.
const DISTANCE: usize = 9;
/// The room for a stage; the longest is `script`.
const STAGES: usize = 6;

/// Where the drawing stands.
#[derive(Debug, Default)]
pub struct Timeline {
    /// The first step of the boot that is drawn.
    began: Option<Timestamp>,
    last: Option<(Timestamp, String)>,
}

impl Timeline {
    /// Draws these steps on; of those that belong to boots before the last one, only how many they are unless `all`.
    pub fn draw(&mut self, steps: &[Step], all: bool, screen: &mut Screen) -> Result<(), Failure> {
        let begins = self.begins(steps);
        let from = match begins.last() {
            Some(place) if !all => *place,
            _ => 0,
        };
        let left_out = begins.iter().filter(|place| **place < from).count();
        if left_out > 0 {
            let told = match left_out {
                1 => "one earlier boot is not shown: --all".to_owned(),
                more => format!("{more} earlier boots are not shown: --all"),
            };
            let told = screen.paint.on(Tone::Faint, &told);
            screen.line(&told)?;
        }
        for (place, step) in steps.iter().enumerate().skip(from) {
            if begins.contains(&place) {
                begin(step, screen)?;
                self.began = moment(step);
            }
            line(step, self.began, screen)?;
        }
        Ok(())
    }

    /// Where in `steps` a boot begins.
    fn begins(&mut self, steps: &[Step]) -> Vec<usize> {
        let mut begins = Vec::new();
        for (place, step) in steps.iter().enumerate() {
            let at = moment(step).unwrap_or_default();
            let another = match &self.last {
                None => true,
                Some((before, mark)) => {
                    let over = matches!(mark.as_str(), "local_boot" | "stopped" | "script_given");
                    let anew = over && step.mark == "discover";
                    anew || at.as_second() - before.as_second() >= APART
                }
            };
            if another {
                begins.push(place);
            }
            self.last = Some((at, step.mark.clone()));
        }
        begins
    }
}

fn moment(step: &Step) -> Option<Timestamp> {
    step.at.parse().ok()
}

/// The head of a boot.
fn begin(step: &Step, screen: &mut Screen) -> Result<(), Failure> {
    let link = step.link.as_ref();
    let link = link.map(|link| format!(" on {}", clean(link)));
    let at = moment(step).map_or_else(|| clean(&step.at).into_owned(), time::exact);
    let told = format!("{at}{}", link.unwrap_or_default());
    let told = screen.paint.on(Tone::Faint, &told);
    screen.line("")?;
    screen.line(&told)
}

fn line(step: &Step, began: Option<Timestamp>, screen: &mut Screen) -> Result<(), Failure> {
    let distance = distance(step, began);
    let pad = padding(&distance, DISTANCE);
    let distance = screen.paint.on(Tone::Faint, &format!("{pad}{distance}"));
    let stage = clean(&step.stage).into_owned();
    let pad = padding(&stage, STAGES);
    let stage = screen.paint.on(Tone::Name, &stage);
    let indent = DISTANCE + STAGES + 4;
    let room = screen.width.saturating_sub(indent).max(20);
    for (place, part) in wrap(&clean(&step.text), room).iter().enumerate() {
        let part = screen.paint.on(tone(&step.mark), part);
        if place == 0 {
            screen.line(&format!("{distance}  {stage}{pad}  {part}"))?;
        } else {
            screen.line(&format!("{}{part}", " ".repeat(indent)))?;
        }
    }
    let Some(why) = &step.why else {
        return Ok(());
    };
    for part in wrap(&format!("({})", clean(why)), room) {
        let part = screen.paint.on(Tone::Faint, &part);
        screen.line(&format!("{}{part}", " ".repeat(indent)))?;
    }
    Ok(())
}

/// How long after the first step; in seconds.
fn distance(step: &Step, began: Option<Timestamp>) -> String {
    let (Some(at), Some(began)) = (moment(step), began) else {
        return "?".into();
    };
    let passed = at.duration_since(began);
    let millis = passed.as_millis().unsigned_abs();
    let sign = if passed.is_negative() { '-' } else { '+' };
    let told = format!("{sign}{}.{:03}", millis / 1000, millis % 1000);
    debug_assert!(width(&told) > 4);
    told
}

/// Well, in between, or wrong.
fn tone(mark: &str) -> Tone {
    match mark {
        "script_given" | "local_boot" | "file_done" => Tone::Good,
        "stopped" | "file_missing" | "file_broken" | "refused" | "relay_silent" => Tone::Bad,
        "foreign_boot" | "rung_changed" | "silent" => Tone::Notice,
        _ => Tone::Plain,
    }
}
