//! Tables as `column -t` lays them out, which upstream's tools pipe theirs through (`spec/r4-tools.md` §2).

use super::failure::Failure;
use super::output::Output;

/// Prints rows of cells: left aligned, two spaces between columns, each as wide as its longest cell. The last cell
/// of a row is padded only when it is empty; a shorter row gets empty cells. No rows, no output.
pub fn print<R, C>(out: &mut Output, rows: &[R]) -> Result<(), Failure>
where
    R: AsRef<[C]>,
    C: AsRef<str>,
{
    let widths = widths(rows);
    let mut line = String::new();
    for row in rows {
        line.clear();
        lay_out(&mut line, row.as_ref(), &widths);
        out.text(&line)?;
    }
    Ok(())
}

fn widths<R: AsRef<[C]>, C: AsRef<str>>(rows: &[R]) -> Vec<usize> {
    let mut widths = vec![0; rows.iter().map(|r| r.as_ref().len()).max().unwrap_or(0)];
    for row in rows {
        for (width, cell) in widths.iter_mut().zip(row.as_ref()) {
            *width = (*width).max(width_of(cell.as_ref()));
        }
    }
    widths
}

fn lay_out<C: AsRef<str>>(line: &mut String, row: &[C], widths: &[usize]) {
    for (at, width) in widths.iter().enumerate() {
        let cell = row.get(at).map_or("", AsRef::as_ref);
        let last = at + 1 == widths.len();
        line.push_str(cell);
        if !last || cell.is_empty() {
            line.extend(std::iter::repeat_n(' ', width.saturating_sub(width_of(cell))));
        }
        if !last {
            line.push_str("  ");
        }
    }
    line.push('\n');
}

fn width_of(cell: &str) -> usize {
    if cell.is_ascii() { cell.len() } else { cell.chars().count() }
}

/// Prints names with their values as two columns. An empty value leaves the name padded. A line feed in a value breaks
/// the row, as `column` breaks it: what follows is a row of its own, and an empty one is left out.
pub fn print_values<'a>(out: &mut Output, values: impl Iterator<Item = (&'a str, &'a str)>) -> Result<(), Failure> {
    out.text(&laid_out_values(values))
}

fn laid_out_values<'a>(values: impl Iterator<Item = (&'a str, &'a str)>) -> String {
    let mut rows: Vec<(&str, &str)> = Vec::new();
    for (name, value) in values {
        let (first, further) = value.split_once('\n').unwrap_or((value, ""));
        rows.push((name, first));
        rows.extend(further.split('\n').filter(|line| !line.is_empty()).map(|line| (line, "")));
    }
    // A tab takes no column in the eyes of `column`.
    let width = |cell: &str| cell.chars().filter(|c| *c != '\t').count();
    let longest = rows.iter().map(|(name, _)| width(name)).max().unwrap_or(0);
    let pad = |name: &str| " ".repeat(longest - width(name));
    rows.iter().map(|(name, value)| format!("{name}{}  {value}\n", pad(name))).collect()
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

    fn laid_out(rows: &[&[&str]]) -> Vec<String> {
        let widths = widths(rows);
        let print = |row: &&[&str]| {
            let mut line = String::new();
            lay_out(&mut line, row, &widths);
            line.trim_end_matches('\n').to_string()
        };
        rows.iter().map(print).collect()
    }

    #[test]
    fn columns_are_as_wide_as_their_longest_cell_and_only_an_empty_last_cell_is_padded() {
        let lines = laid_out(&[&["NAME", "VALUE"], &["└─é", "x"], &["bool-false", ""], &["short"]]);
        assert_eq!(lines, ["NAME        VALUE", "└─é         x", "bool-false       ", "short            "]);
    }

    #[test]
    fn a_line_feed_in_a_value_begins_a_row_and_empty_rows_are_left_out() {
        let text = laid_out_values([("long-name", ""), ("two", "a\n\nb\tc"), ("ż", "1")].into_iter());
        assert_eq!(text, "long-name  \ntwo        a\nb\tc         \nż          1\n");
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
