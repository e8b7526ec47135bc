//! Tables that fit the terminal: columns are first shortened, then dropped, the least important first.
//!
//! The layout is found on the first rows and kept for the rest, so that a list of any length is drawn as it
//! comes.

use super::text::{clean, padding, shorten, width};
use super::{Paint, Tone};

/// Between two columns.
const GAP: usize = 2;

/// One column.
#[derive(Clone, Copy, Debug)]
pub struct Column {
    pub title: &'static str,
    /// 0 is never dropped; of the others, the highest goes first.
    pub rank: u8,
    /// It is not shortened below this.
    pub least: usize,
    /// Numbers stand on the right.
    pub right: bool,
}

impl Column {
    pub const fn new(title: &'static str, rank: u8, least: usize) -> Self {
        Self {
            title,
            rank,
            least,
            right: false,
        }
    }

    pub const fn number(title: &'static str, rank: u8) -> Self {
        Self {
            title,
            rank,
            least: title.len(),
            right: true,
        }
    }
}

/// One cell: cleaned text and what it is.
#[derive(Clone, Debug, Default)]
pub struct Cell {
    text: String,
    tone: Tone,
}

impl Cell {
    pub fn new(text: impl AsRef<str>) -> Self {
        Self::toned(Tone::Plain, text)
    }

    pub fn toned(tone: Tone, text: impl AsRef<str>) -> Self {
        Self {
            text: clean(text.as_ref()).into_owned(),
            tone,
        }
    }

    /// What is not known, or not set.
    pub fn none() -> Self {
        Self::toned(Tone::Faint, "–")
    }

    pub fn maybe(text: Option<&str>) -> Self {
        text.map_or_else(Self::none, Self::new)
    }
}

/// Which columns are shown, and how wide each is.
#[derive(Clone, Debug)]
pub struct Layout {
    columns: Vec<(usize, Column, usize)>,
}

impl Layout {
    /// Fits `columns` with these first rows into `room`.
    pub fn new(columns: &[Column], rows: &[Vec<Cell>], room: usize) -> Self {
        let natural = |(index, column): (usize, &Column)| {
            let widest = rows
                .iter()
                .filter_map(|row| row.get(index))
                .map(|cell| width(&cell.text));
            (
                index,
                *column,
                widest.max().unwrap_or(0).max(width(column.title)),
            )
        };
        let mut shown: Vec<_> = columns.iter().enumerate().map(natural).collect();
        while needed(&shown) > room && shown.len() > 1 {
            let worst = shown
                .iter()
                .enumerate()
                .max_by_key(|(_, (_, column, _))| column.rank);
            match worst
                .filter(|(_, (_, column, _))| column.rank > 0)
                .map(|(place, _)| place)
            {
                Some(place) => drop(shown.remove(place)),
                None => break,
            }
        }
        shrink(&mut shown, room, least);
        // What may not be dropped has to fit all the same.
        shrink(&mut shown, room, |_, _| 4);
        Self { columns: shown }
    }

    pub fn head(&self, paint: Paint) -> String {
        let cells: Vec<_> = self
            .columns
            .iter()
            .map(|(_, column, wide)| (Cell::toned(Tone::Title, column.title), *wide, column.right))
            .collect();
        draw(&cells, paint)
    }

    pub fn row(&self, row: &[Cell], paint: Paint) -> String {
        let cells: Vec<_> = self
            .columns
            .iter()
            .map(|(index, column, wide)| {
                (
                    row.get(*index).cloned().unwrap_or_default(),
                    *wide,
                    column.right,
                )
            })
            .collect();
        draw(&cells, paint)
    }
}

/// A whole table, head first.
pub fn lines(columns: &[Column], rows: &[Vec<Cell>], room: usize, paint: Paint) -> Vec<String> {
    let layout = Layout::new(columns, rows, room);
    let rest = rows.iter().map(|row| layout.row(row, paint));
    std::iter::once(layout.head(paint)).chain(rest).collect()
}

/// Takes from the column with most to spare until the table fits, or none has anything left.
fn shrink(
    shown: &mut [(usize, Column, usize)],
    room: usize,
    least: impl Fn(&Column, usize) -> usize,
) {
    while total(shown) > room {
        let spare = |column: &Column, wide: usize| wide.saturating_sub(least(column, wide));
        let widest = shown
            .iter_mut()
            .max_by_key(|(_, column, wide)| spare(column, *wide));
        match widest {
            Some((_, column, wide)) if spare(column, *wide) > 0 => *wide -= 1,
            _ => break,
        }
    }
}

fn least(column: &Column, natural: usize) -> usize {
    column.least.max(width(column.title)).min(natural)
}

fn needed(shown: &[(usize, Column, usize)]) -> usize {
    let least = shown
        .iter()
        .map(|(_, column, wide)| least(column, *wide))
        .sum::<usize>();
    least + GAP * shown.len().saturating_sub(1)
}

fn total(shown: &[(usize, Column, usize)]) -> usize {
    let wide = shown.iter().map(|(_, _, wide)| wide).sum::<usize>();
    wide + GAP * shown.len().saturating_sub(1)
}

fn draw(cells: &[(Cell, usize, bool)], paint: Paint) -> String {
    let mut line = String::new();
    for (place, (cell, room, right)) in cells.iter().enumerate() {
        if place > 0 {
            line.push_str(&" ".repeat(GAP));
        }
        let text = shorten(&cell.text, *room);
        let pad = padding(&text, *room);
        let text = paint.on(cell.tone, &text);
        if *right {
            line.push_str(&pad);
            line.push_str(&text);
        } else {
            line.push_str(&text);
            line.push_str(&pad);
        }
    }
    line.truncate(line.trim_end().len());
    line
}

#[cfg(test)]
mod tests {
    use super::*;

    const COLUMNS: [Column; 3] = [
        Column::new("NAME", 0, 6),
        Column::new("TAGS", 1, 6),
        Column::number("COUNT", 2),
    ];

    fn table(room: usize) -> Vec<String> {
        let rows = [
            vec![
                Cell::new("CensusAbleQualityParent"),
                Cell::new("web, rack2"),
                Cell::new("12"),
            ],
            vec![Cell::new("大阪"), Cell::none(), Cell::new("7")],
        ];
        lines(&COLUMNS, &rows, room, Paint(false))
    }

    #[test]
    fn a_column_is_shortened_before_one_is_dropped() {
        assert_eq!(
            table(42),
            [
                "NAME                     TAGS        COUNT",
                "CensusAbleQualityParent  web, rack2     12",
                "大阪                     –               7",
            ]
        );
        assert_eq!(table(30)[1], "CensusAble…  web, rack2     12");
        assert_eq!(table(15)[1], "Census…  web, …");
        assert_eq!(table(5)[1], "Cens…");
    }

    #[test]
    fn no_line_is_wider_than_its_room() {
        for room in 4..60 {
            assert!(table(room).iter().all(|line| width(line) <= room), "{room}");
        }
    }
}
