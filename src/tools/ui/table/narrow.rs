//! Tables for display: cells are sanitized, and long cells continue below themselves if the
//! terminal is narrower than the table.

use anstyle::Style;

use super::row::Row;
use super::width::{GAP, width_of, width_of_char, widths};
use crate::tools::ui::failure::Failure;
use crate::tools::ui::output::Output;

/// A word of more columns may be broken.
const MAX_UNBROKEN_WORD: usize = 24;

/// Prints rows for display.
pub fn print(
    out: &mut Output,
    rows: &[Row],
    is_styled: impl Fn(usize) -> bool,
) -> Result<(), Failure> {
    let cells = |row: &Row| row.cells().map(|cell| cell_lines(out, cell)).collect();
    let sanitized: Vec<Vec<CellLines>> = rows.iter().map(cells).collect();
    let lines: Vec<Vec<&str>> = sanitized.iter().flat_map(|row| row_lines(row)).collect();
    let mut widths = widths(lines.iter().map(|line| line.iter().copied()));
    if let Some(room) = out.width() {
        fit(&mut widths, |column| min_width(&lines, column), room);
    }
    for (row, cells) in rows.iter().zip(&sanitized) {
        let style = |column| {
            if is_styled(column) {
                row.style
            } else {
                Style::new()
            }
        };
        print_row(out, cells, &widths, style)?;
    }
    Ok(())
}

/// The lines of a cell, sanitized.
type CellLines = Vec<String>;

fn cell_lines(out: &Output, cell: &str) -> CellLines {
    cell.split('\n')
        .map(|line| out.sanitized(line).replace('\t', " "))
        .collect()
}

fn row_lines(row: &[CellLines]) -> Vec<Vec<&str>> {
    let height = row.iter().map(Vec::len).max().unwrap_or(0);
    let line = |at: usize| {
        row.iter()
            .map(|cell| cell.get(at).map_or("", String::as_str))
            .collect()
    };
    (0..height).map(line).collect()
}

/// Returns the width that a column needs so that no word is broken, except very long ones.
fn min_width(lines: &[Vec<&str>], column: usize) -> usize {
    let cells = lines.iter().filter_map(|line| line.get(column));
    let words = cells.flat_map(|cell| cell.split_inclusive([' ', ',']));
    words
        .map(|word| width_of(word.trim_end_matches(' ')))
        .max()
        .unwrap_or(0)
        .min(MAX_UNBROKEN_WORD)
}

/// Makes the widest columns narrower until the table fits; not the first, which has the names, and
/// none below its minimum. If that is not enough, the widths stay as they are.
fn fit(widths: &mut [usize], least: impl Fn(usize) -> usize, room: usize) {
    let natural = widths.to_vec();
    let least: Vec<usize> = (0..widths.len()).map(least).collect();
    let gaps = GAP * widths.len().saturating_sub(1);
    widths
        .iter_mut()
        .skip(1)
        .zip(least.iter().skip(1))
        .for_each(|(width, least)| *width = (*width).min(room.max(*least)));
    while widths.iter().sum::<usize>() + gaps > room {
        let may_shrink = |at: &usize| widths[*at] > least[*at];
        match (1..widths.len())
            .filter(may_shrink)
            .max_by_key(|at| widths[*at])
        {
            Some(widest) => widths[widest] -= 1,
            None => return widths.copy_from_slice(&natural),
        }
    }
}

fn print_row(
    out: &mut Output,
    row: &[CellLines],
    widths: &[usize],
    style: impl Fn(usize) -> Style,
) -> Result<(), Failure> {
    let wrap_cell = |(cell, width): (&CellLines, &usize)| {
        cell.iter().flat_map(|line| wrap(line, *width)).collect()
    };
    let wrapped: Vec<CellLines> = row.iter().zip(widths).map(wrap_cell).collect();
    for line in row_lines(&wrapped) {
        // Trailing blanks are not printed.
        let last = line.iter().rposition(|cell| !cell.is_empty()).unwrap_or(0);
        for (at, cell) in line.iter().enumerate().take(last + 1) {
            out.styled(cell, style(at))?;
            if at < last {
                out.text(&" ".repeat(widths[at].saturating_sub(width_of(cell)) + GAP))?;
            }
        }
        out.text("\n")?;
    }
    Ok(())
}

/// Breaks a line into pieces of at most `width` columns: after a comma or at a blank if there is
/// one.
fn wrap(line: &str, width: usize) -> Vec<String> {
    let mut pieces = Vec::new();
    let mut rest = line;
    while width_of(rest) > width {
        let end = prefix_length(rest, width);
        let break_at = |c: char| c == ' ' || c == ',';
        let soft = match rest[end..].starts_with(' ') {
            true => end,
            false => rest[..end].rfind(break_at).map_or(end, |at| at + 1),
        };
        pieces.push(rest[..soft].trim_end_matches(' ').to_owned());
        rest = rest[soft..].trim_start_matches(' ');
    }
    if !rest.is_empty() || pieces.is_empty() {
        pieces.push(rest.to_owned());
    }
    pieces
}

/// Returns how many bytes at the beginning of a text fit into `width` columns; at least one
/// character.
fn prefix_length(text: &str, width: usize) -> usize {
    let mut taken = 0;
    for (at, c) in text.char_indices() {
        taken += width_of_char(c);
        if taken > width && at > 0 {
            return at;
        }
    }
    text.len()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn long_lines_break_at_blanks_and_commas() {
        assert_eq!(
            wrap("quiet apparmor=1 security=apparmor", 16),
            ["quiet apparmor=1", "security=apparmo", "r"]
        );
        assert_eq!(wrap("a-tag,b-tag,c-tag", 13), ["a-tag,b-tag,", "c-tag"]);
        assert_eq!(wrap("漢字漢字", 5), ["漢字", "漢字"]);
        assert_eq!(wrap("x", 0), ["x"]);
        assert_eq!(wrap("", 5), [""]);
    }

    #[test]
    fn a_column_is_wide_enough_for_its_words() {
        let lines = [
            vec!["a", "x a-longer-word,y"],
            vec!["b", "z", "xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx"],
            vec![],
        ];
        assert_eq!(
            [1, 2, 3].map(|column| min_width(&lines, column)),
            [14, 24, 0]
        );
    }

    #[test]
    fn the_widest_columns_shrink_except_the_first() {
        let fitted = |natural: &[usize], room| {
            let mut widths = natural.to_vec();
            fit(&mut widths, |_| 12, room);
            widths
        };
        assert_eq!(fitted(&[20, 100, 5], 60), [20, 31, 5]);
        assert_eq!(fitted(&[4, 40, 50], 60), [4, 26, 26]);
        assert_eq!(fitted(&[4, 8, 500], 60), [4, 8, 44]);
        assert_eq!(fitted(&[4, 10], 60), [4, 10]);
        assert_eq!(
            fitted(&[50, 30], 40),
            [50, 30],
            "no room for anything: the terminal breaks the lines"
        );
    }
}
