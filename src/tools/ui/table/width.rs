//! The widths of texts and columns on a terminal.

use unicode_width::UnicodeWidthChar;

/// Blanks between two columns.
pub(super) const GAP: usize = 2;

/// Returns the width of each column.
pub(super) fn widths<'c>(rows: impl Iterator<Item: Iterator<Item = &'c str>>) -> Vec<usize> {
    let mut widths = Vec::new();
    for row in rows {
        for (column, cell) in row.enumerate() {
            if column == widths.len() {
                widths.push(0);
            }
            widths[column] = width_of(cell).max(widths[column]);
        }
    }
    widths
}

/// Returns the number of columns of a text. As in `column`, control characters and tabs take none.
pub(super) fn width_of(text: &str) -> usize {
    // No early exit, so that the compiler can vectorise the loop; nearly every text is printable
    // ASCII and needs no table of widths.
    let printable = |is_plain, byte| is_plain & (b' '..=b'~').contains(&byte);
    match text.bytes().fold(true, printable) {
        true => text.len(),
        false => text.chars().map(width_of_char).sum(),
    }
}

pub(super) fn width_of_char(c: char) -> usize {
    c.width().unwrap_or(0)
}
