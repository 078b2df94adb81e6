//! Tables as `column -t` lays them out, which upstream's tools pipe theirs through (`spec/r4-tools.md` §2).

mod cells;
mod narrow;

pub use cells::{Cells, Loose, Packed};

use anstyle::Style;
use unicode_width::UnicodeWidthChar;

use super::failure::Failure;
use super::output::Output;

/// Blanks between two columns.
const GAP: usize = 2;

/// Prints rows of cells: left aligned, two spaces between columns, each as wide as its longest cell. The last column
/// is not padded; a shorter row gets empty cells. No rows, no output. On a terminal that is too narrow, long cells go
/// on below themselves.
pub fn print<R: Cells>(out: &mut Output, rows: &[R]) -> Result<(), Failure> {
    print_colored(out, rows, |_, _| Style::new())
}

/// [`print`], where there are colours with a style for each cell, by its row and column.
pub fn print_colored<R: Cells>(
    out: &mut Output,
    rows: &[R],
    style: impl Fn(usize, usize) -> Style,
) -> Result<(), Failure> {
    if out.is_for_eyes() {
        return narrow::print(out, rows, style);
    }
    let is_plain = rows.iter().all(|row| row.each().all(|cell| is_plain(cell.as_bytes())));
    // Nearly every table: nobody has to ask for the width of a character.
    if is_plain { print_by(out, rows, str::len) } else { print_by(out, rows, width_of) }
}

fn print_by<R: Cells>(out: &mut Output, rows: &[R], width_of: impl Fn(&str) -> usize) -> Result<(), Failure> {
    let widths = widths(rows, &width_of);
    let mut line = String::new();
    rows.iter().try_for_each(|row| {
        line.clear();
        lay_out(&mut line, row, &widths, &width_of);
        out.text(&line)
    })
}

/// Of the columns.
fn widths<R: Cells>(rows: &[R], width_of: impl Fn(&str) -> usize) -> Vec<usize> {
    let mut widths = vec![0; rows.iter().map(Cells::count).max().unwrap_or(0)];
    for row in rows {
        for (width, cell) in widths.iter_mut().zip(row.each()) {
            *width = (*width).max(width_of(cell));
        }
    }
    widths
}

fn lay_out(line: &mut String, row: &impl Cells, widths: &[usize], width_of: impl Fn(&str) -> usize) {
    for (at, width) in widths.iter().enumerate() {
        let cell = row.cell(at);
        line.push_str(cell);
        if at + 1 < widths.len() {
            pad(line, width.saturating_sub(width_of(cell)) + GAP);
        }
    }
    line.push('\n');
}

fn pad(line: &mut String, mut width: usize) {
    const BLANKS: &str = "                                ";
    while let Some(rest) = width.checked_sub(BLANKS.len()) {
        line.push_str(BLANKS);
        width = rest;
    }
    line.push_str(&BLANKS[..width]);
}

/// How many columns of a terminal a text takes. Controls take none in the eyes of `column`, tabs among them.
fn width_of(text: &str) -> usize {
    if is_plain(text.as_bytes()) { text.len() } else { text.chars().map(width_of_char).sum() }
}

/// Whether all of it is printable ASCII: eight bytes at once, for a listing has many.
fn is_plain(text: &[u8]) -> bool {
    const ONES: u64 = u64::MAX / 255;
    let (eights, last) = text.as_chunks::<8>();
    // The highest bit of a byte tells: its own, that of 0x7f and one, or that of a control less the blank.
    let odd = |eight: u64| (eight | eight.wrapping_add(ONES) | eight.wrapping_sub(ONES * 0x20)) & (ONES << 7);
    eights.iter().all(|eight| odd(u64::from_le_bytes(*eight)) == 0) && last.iter().all(|b| matches!(b, b' '..=b'~'))
}

fn width_of_char(c: char) -> usize {
    c.width().unwrap_or(0)
}

/// Prints names with their values as two columns. Where nobody looks, a line feed in a value breaks the row, as
/// `column` breaks it: what follows is a row of its own, and an empty one is left out.
pub fn print_values<'a>(out: &mut Output, values: impl Iterator<Item = (&'a str, &'a str)>) -> Result<(), Failure> {
    let values: Vec<[&str; 2]> = values.map(|(name, value)| [name, value]).collect();
    if out.is_for_eyes() { print(out, &values) } else { print(out, &broken(&values)) }
}

fn broken<'a>(values: &[[&'a str; 2]]) -> Vec<[&'a str; 2]> {
    let mut rows: Vec<[&str; 2]> = Vec::with_capacity(values.len());
    for [name, value] in values {
        let (first, further) = value.split_once('\n').unwrap_or((value, ""));
        rows.push([name, first]);
        rows.extend(further.split('\n').filter(|line| !line.is_empty()).map(|line| [line, ""]));
    }
    rows
}

/// A list of names with explanations, as `--help-properties` prints it: two spaces, the name padded to the longest,
/// two spaces, the text wrapped at 80 columns and continued under itself two columns further right.
pub fn explained<'a>(entries: impl Iterator<Item = (&'a str, &'a str)> + Clone) -> String {
    let longest = entries.clone().map(|(name, _)| name.len()).max().unwrap_or(0);
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
    fn printable_ascii_is_told_from_everything_else_wherever_it_stands() {
        for byte in 0..=255u8 {
            for at in 0..20 {
                for (len, filler) in [(20, b'a'), (20, b' '), (20, b'~'), (at + 1, b'0')] {
                    let mut text = vec![filler; len];
                    text[at] = byte;
                    assert_eq!(is_plain(&text), (b' '..=b'~').contains(&byte), "{byte} at {at} of {len}");
                }
            }
        }
    }

    fn laid_out(rows: &[&[&str]]) -> Vec<String> {
        let rows: Vec<Vec<&str>> = rows.iter().map(|row| row.to_vec()).collect();
        let widths = widths(&rows, width_of);
        let print = |row: &Vec<&str>| {
            let mut line = String::new();
            lay_out(&mut line, row, &widths, width_of);
            line.trim_end_matches('\n').to_string()
        };
        rows.iter().map(print).collect()
    }

    #[test]
    fn columns_are_as_wide_as_their_longest_cell_and_the_last_one_is_not_padded() {
        let lines = laid_out(&[&["NAME", "VALUE"], &["└─é", "x"], &["bool-false", ""], &["short"], &["漢字", "y"]]);
        assert_eq!(lines, ["NAME        VALUE", "└─é         x", "bool-false  ", "short       ", "漢字        y"]);
    }

    #[test]
    fn a_line_feed_in_a_value_begins_a_row_and_empty_rows_are_left_out() {
        let rows = broken(&[["long-name", ""], ["two", "a\n\nb\tc"], ["ż", "1"]]);
        let rows: Vec<&[&str]> = rows.iter().map(|row| row.as_slice()).collect();
        assert_eq!(laid_out(&rows), ["long-name  ", "two        a", "b\tc         ", "ż          1"]);
    }

    #[test]
    fn explanations_wrap_at_80_columns() {
        let words = "one two three four five six seven eight nine ten eleven twelve thirteen fourteen fifteen";
        let text = explained([("a", words), ("long", "")].into_iter());
        let lines: Vec<&str> = text.lines().collect();
        assert!(lines.iter().all(|l| l.len() <= 80), "{text}");
        assert_eq!(lines[1], "          fourteen fifteen");
        assert_eq!(lines[2], "  long");
    }
}
