//! What is printed: one line for each budget, with what was measured and what is allowed.

use std::fmt::Write;

/// One budget.
pub struct Row {
    pub what: String,
    /// What was measured, in the unit of the limit.
    pub measured: f64,
    pub limit: f64,
    /// What both are multiples of.
    pub unit: &'static str,
    /// The same as a person would say it: milliseconds, bytes.
    pub plain: String,
}

impl Row {
    pub fn is_kept(&self) -> bool {
        self.measured <= self.limit
    }
}

/// The rows as a table in Markdown, so that README can quote it as it stands.
pub fn markdown(rows: &[Row]) -> String {
    let mut text = String::from("| | measured | at most | | |\n|---|---|---|---|---|\n");
    for row in rows {
        let verdict = if row.is_kept() { "kept" } else { "**over**" };
        // Writing to a String cannot fail.
        let _ = writeln!(
            text,
            "| {} | {} {} | {} {} | {} | {verdict} |",
            row.what,
            number(row.measured),
            row.unit,
            number(row.limit),
            row.unit,
            row.plain
        );
    }
    text
}

fn number(value: f64) -> String {
    if value >= 10.0 {
        format!("{value:.0}")
    } else if value >= 1.0 {
        format!("{value:.1}")
    } else {
        format!("{value:.3}")
    }
}
