//! The table of results: one line for each budget, with the measured value and the limit.

use std::fmt::Write;

/// One budget.
pub struct Row {
    pub what: String,
    /// The measured value, in the unit of the limit.
    pub measured: f64,
    pub limit: f64,
    /// The unit of both values.
    pub unit: &'static str,
    /// The measured value in absolute units: milliseconds, bytes.
    pub plain: String,
}

impl Row {
    /// Whether the measured value is within the limit.
    pub fn is_kept(&self) -> bool {
        self.measured <= self.limit
    }
}

/// Returns the rows as a Markdown table, for README.md.
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
