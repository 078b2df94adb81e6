//! Tables as `column -t` lays them out, which upstream's tools pipe theirs through
//! (`docs/spec/r4-tools.md` §2).

mod narrow;
mod row;
mod width;

pub use row::Row;

use super::failure::Failure;
use super::output::Output;
use width::{GAP, width_of, widths};

/// Prints rows of cells: left aligned, two spaces between columns, each as wide as its longest
/// cell. The last column is not padded; a shorter row gets empty cells. Prints nothing without
/// rows. On a terminal that is too narrow, long cells continue below themselves.
pub fn print<C: AsRef<str>>(
    out: &mut Output,
    rows: impl IntoIterator<Item: IntoIterator<Item = C>>,
) -> Result<(), Failure> {
    let rows: Vec<Row> = rows.into_iter().map(Row::from_iter).collect();
    print_rows(out, &rows, |_| false)
}

/// Prints rows as [`print()`] does, those columns that `is_styled` in the style of the row.
pub fn print_rows(
    out: &mut Output,
    rows: &[Row],
    is_styled: impl Fn(usize) -> bool,
) -> Result<(), Failure> {
    if out.is_for_display() {
        return narrow::print(out, rows, is_styled);
    }
    let widths = widths(rows.iter().map(Row::cells));
    let mut line = String::new();
    rows.iter().try_for_each(|row| {
        line.clear();
        lay_out(&mut line, row, &widths);
        out.text(&line)
    })
}

fn lay_out(line: &mut String, row: &Row, widths: &[usize]) {
    let mut cells = row.cells();
    for (at, width) in widths.iter().enumerate() {
        let cell = cells.next().unwrap_or_default();
        line.push_str(cell);
        if at + 1 < widths.len() {
            pad(line, width.saturating_sub(width_of(cell)) + GAP);
        }
    }
    line.push('\n');
}

fn pad(line: &mut String, width: usize) {
    line.extend(std::iter::repeat_n(' ', width));
}

/// Prints names with their values as two columns. In a pipe, the text after a line feed in a value
/// is a row of its own, as `column` has it, and empty rows are left out.
pub fn print_values<'a>(
    out: &mut Output,
    values: impl Iterator<Item = (&'a str, &'a str)>,
) -> Result<(), Failure> {
    match out.is_for_display() {
        true => print(out, values.map(|(name, value)| [name, value])),
        false => print(out, split_line_feeds(values)),
    }
}

fn split_line_feeds<'a>(values: impl Iterator<Item = (&'a str, &'a str)>) -> Vec<[&'a str; 2]> {
    let mut rows: Vec<[&str; 2]> = Vec::new();
    for (name, value) in values {
        let (first, further) = value.split_once('\n').unwrap_or((value, ""));
        rows.push([name, first]);
        let further = further.split('\n').filter(|line| !line.is_empty());
        rows.extend(further.map(|line| [line, ""]));
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
    fn control_characters_take_no_column_at_any_position() {
        for byte in 0..=127u8 {
            for at in 0..20 {
                let mut text = [b'a'; 20];
                text[at] = byte;
                let width = width_of(std::str::from_utf8(&text).unwrap());
                assert_eq!(
                    width,
                    20 - usize::from(byte.is_ascii_control()),
                    "{byte} at {at}"
                );
            }
        }
    }

    fn formatted(rows: &[&[&str]]) -> Vec<String> {
        let rows: Vec<Row> = rows.iter().copied().map(Row::from_iter).collect();
        let widths = widths(rows.iter().map(Row::cells));
        let print = |row: &Row| {
            let mut line = String::new();
            lay_out(&mut line, row, &widths);
            line.trim_end_matches('\n').to_string()
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
        let rows =
            split_line_feeds([("long-name", ""), ("two", "a\n\nb\tc"), ("ż", "1")].into_iter());
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
