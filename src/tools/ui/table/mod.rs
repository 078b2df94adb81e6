//! Tables as `column -t` lays them out, which upstream's tools pipe theirs through
//! (`docs/spec/r4-tools.md` §2).

mod cells;
mod narrow;

pub use cells::{Cells, Grid, GridRow};

use anstyle::Style;
use unicode_width::UnicodeWidthChar;

use super::failure::Failure;
use super::output::Output;

/// Blanks between two columns.
const GAP: usize = 2;

/// Prints rows of cells: left aligned, two spaces between columns, each as wide as its longest
/// cell. The last column is not padded; a shorter row gets empty cells. Prints nothing without
/// rows. On a terminal that is too narrow, long cells continue below themselves.
pub fn print<R: Cells>(out: &mut Output, rows: &[R]) -> Result<(), Failure> {
    print_colored(out, rows, |_, _| Style::new())
}

/// Prints rows as [`print()`] does, in the style that `style` returns for a row and a column.
pub fn print_colored<R: Cells>(
    out: &mut Output,
    rows: &[R],
    style: impl Fn(usize, usize) -> Style,
) -> Result<(), Failure> {
    if out.is_for_display() {
        return narrow::print(out, rows, style);
    }
    let is_plain = rows
        .iter()
        .all(|row| row.all_text(|text| is_plain(text.as_bytes())));
    // Nearly every table is plain, so that no character needs a width lookup.
    let widths = if is_plain {
        widths(rows, R::lengths)
    } else {
        widths(rows, |row| row.each().map(width_of))
    };
    let mut line = Vec::with_capacity(widths.iter().map(|width| width + GAP + BLANKS.len()).sum());
    rows.iter().try_for_each(|row| {
        line.clear();
        match is_plain {
            true => lay_out(
                &mut line,
                row.each_in_bytes().map(|cell| (cell, cell.len())),
                &widths,
            ),
            false => lay_out(&mut line, with_widths(row), &widths),
        }
        out.bytes(&line)
    })
}

/// Returns the cells of a row, each with its width in columns.
fn with_widths(row: &impl Cells) -> impl Iterator<Item = (&[u8], usize)> {
    row.each().map(|cell| (cell.as_bytes(), width_of(cell)))
}

/// Returns the width of each column from the widths of each row's cells.
fn widths<'r, R: Cells, W: Iterator<Item = usize>>(
    rows: &'r [R],
    of: impl Fn(&'r R) -> W,
) -> Vec<usize> {
    let mut widths = vec![0; rows.iter().map(Cells::count).max().unwrap_or(0)];
    for row in rows {
        for (widest, width) in widths.iter_mut().zip(of(row)) {
            *widest = (*widest).max(width);
        }
    }
    widths
}

fn lay_out<'c>(
    line: &mut Vec<u8>,
    mut cells: impl Iterator<Item = (&'c [u8], usize)>,
    widths: &[usize],
) {
    for (at, width) in widths.iter().enumerate() {
        let (cell, own) = cells.next().unwrap_or_default();
        line.extend_from_slice(cell);
        if at + 1 < widths.len() {
            pad(line, width.saturating_sub(own) + GAP);
        }
    }
    line.push(b'\n');
}

/// Padding, which is copied in pieces of this length.
const BLANKS: [u8; 32] = [b' '; 32];

fn pad(line: &mut Vec<u8>, mut width: usize) {
    while let Some(rest) = width.checked_sub(BLANKS.len()) {
        line.extend_from_slice(&BLANKS);
        width = rest;
    }
    // Copies a fixed length and truncates: that needs no call to memcpy.
    let end = line.len() + width;
    line.extend_from_slice(&BLANKS);
    line.truncate(end);
}

/// Returns the number of columns of a text. As in `column`, control characters and tabs take none.
fn width_of(text: &str) -> usize {
    if is_plain(text.as_bytes()) {
        text.len()
    } else {
        text.chars().map(width_of_char).sum()
    }
}

/// Whether a text is printable ASCII only.
fn is_plain(text: &[u8]) -> bool {
    // No early exit, so that the compiler can vectorise the loop.
    text.iter().fold(true, |is_plain, byte| {
        is_plain & (b' '..=b'~').contains(byte)
    })
}

fn width_of_char(c: char) -> usize {
    c.width().unwrap_or(0)
}

/// Prints names with their values as two columns. In a pipe, the text after a line feed in a value
/// is a row of its own, as `column` has it, and empty rows are left out.
pub fn print_values<'a>(
    out: &mut Output,
    values: impl Iterator<Item = (&'a str, &'a str)>,
) -> Result<(), Failure> {
    let values: Vec<[&str; 2]> = values.map(|(name, value)| [name, value]).collect();
    if out.is_for_display() {
        print(out, &values)
    } else {
        print(out, &split_line_feeds(&values))
    }
}

fn split_line_feeds<'a>(values: &[[&'a str; 2]]) -> Vec<[&'a str; 2]> {
    let mut rows: Vec<[&str; 2]> = Vec::with_capacity(values.len());
    for [name, value] in values {
        let (first, further) = value.split_once('\n').unwrap_or((value, ""));
        rows.push([name, first]);
        rows.extend(
            further
                .split('\n')
                .filter(|line| !line.is_empty())
                .map(|line| [line, ""]),
        );
    }
    rows
}

/// Returns a list of names with explanations, as `--help-properties` prints it: two spaces, the
/// name padded to the longest, two spaces, the text wrapped at 80 columns and continued under
/// itself two columns further right.
pub fn definition_list<'a>(entries: impl Iterator<Item = (&'a str, &'a str)> + Clone) -> String {
    let longest = entries
        .clone()
        .map(|(name, _)| name.len())
        .max()
        .unwrap_or(0);
    let mut text = String::new();
    for (name, explanation) in entries {
        let mut line = format!("  {name:longest$}  ");
        let mut empty = true;
        for word in explanation.split_whitespace() {
            if !empty && line.chars().count() + 1 + word.chars().count() > 80 {
                text.push_str(line.trim_end());
                text.push('\n');
                line = " ".repeat(longest + 6);
                empty = true;
            }
            if !empty {
                line.push(' ');
            }
            line.push_str(word);
            empty = false;
        }
        text.push_str(line.trim_end());
        text.push('\n');
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn printable_ascii_is_recognised_at_every_position() {
        for byte in 0..=255u8 {
            for at in 0..20 {
                for (len, filler) in [(20, b'a'), (20, b' '), (20, b'~'), (at + 1, b'0')] {
                    let mut text = vec![filler; len];
                    text[at] = byte;
                    assert_eq!(
                        is_plain(&text),
                        (b' '..=b'~').contains(&byte),
                        "{byte} at {at} of {len}"
                    );
                }
            }
        }
    }

    fn formatted(rows: &[&[&str]]) -> Vec<String> {
        let rows: Vec<Vec<&str>> = rows.iter().map(|row| row.to_vec()).collect();
        let widths = widths(&rows, |row| row.each().map(width_of));
        let print = |row: &Vec<&str>| {
            let mut line = Vec::new();
            lay_out(&mut line, with_widths(row), &widths);
            String::from_utf8(line)
                .unwrap()
                .trim_end_matches('\n')
                .to_string()
        };
        rows.iter().map(print).collect()
    }

    #[test]
    fn columns_are_as_wide_as_their_longest_cell() {
        let lines = formatted(&[
            &["NAME", "VALUE"],
            &["└─é", "x"],
            &["bool-false", ""],
            &["short"],
            &["漢字", "y"],
        ]);
        assert_eq!(
            lines,
            [
                "NAME        VALUE",
                "└─é         x",
                "bool-false  ",
                "short       ",
                "漢字        y"
            ]
        );
    }

    #[test]
    fn a_line_feed_in_a_value_begins_a_row() {
        let rows = split_line_feeds(&[["long-name", ""], ["two", "a\n\nb\tc"], ["ż", "1"]]);
        let rows: Vec<&[&str]> = rows.iter().map(|row| row.as_slice()).collect();
        assert_eq!(
            formatted(&rows),
            [
                "long-name  ",
                "two        a",
                "b\tc         ",
                "ż          1"
            ]
        );
    }

    #[test]
    fn explanations_wrap_at_80_columns() {
        let words = "one two three four five six seven eight nine ten eleven twelve thirteen \
                     fourteen fifteen";
        let text = definition_list([("a", words), ("long", "")].into_iter());
        let lines: Vec<&str> = text.lines().collect();
        assert!(lines.iter().all(|l| l.len() <= 80), "{text}");
        assert_eq!(lines[1], "          fourteen fifteen");
        assert_eq!(lines[2], "  long");
    }
}
