//! qvm-ls: lists qubes.

mod arguments;
mod column;
mod columns;
mod filters;
mod flags;
mod layout;
mod presentation;
mod rows;

pub use columns::{COLUMNS, ColumnSpec, FORMATS};

use crate::lifecycle::Context;
use crate::model::{Qubes, VmName};
use crate::tools::manual::section::Section;
use crate::tools::ui::damage_scan::DamageScan;
use crate::tools::ui::failure::Failure;
use crate::tools::ui::invocation::{Invocation, read_until_exit};
use crate::tools::ui::output::{Output, print_warning};
use crate::tools::ui::quoted::quoted;
use crate::tools::ui::suggestion::did_you_mean;
use crate::tools::ui::table;
use crate::tools::ui::values::Values;
use crate::tools::{Command, Run};
use arguments::LsArguments;
use column::Column;
use filters::Filters;
use rows::RowBuilder;

/// `qvm-ls`
pub const QVM_LS: Command = Command::of::<LsArguments>("qvm-ls", "List qubes");

impl Run for LsArguments {
    fn run(self, call: &mut Invocation) -> Result<u8, Failure> {
        if self.help_formats {
            return help_formats(&mut call.out);
        }
        if self.help_columns {
            return help_columns(&mut call.out);
        }
        let columns = self.columns();
        call.out.set_colors(self.color.colors());
        let context = Context::new(call.system()?);
        let qubes = read_until_exit(&context)?;
        let mut names = names(&self, &qubes)?;
        let filters = Filters::new(&self.filters)?;
        unknown_columns(&self, &columns)
            .iter()
            .chain(&filters.unmatched(&qubes))
            .for_each(|text| print_warning(text));
        if self.layout.raw_list && filters.is_class_only() {
            names.retain(|name| {
                qubes
                    .class(name)
                    .is_some_and(|c| filters.matches_class(c.as_str()))
            });
            return names
                .iter()
                .try_for_each(|name| call.out.line(name))
                .map(|()| 0);
        }
        let values = Values::new(&qubes, &context);
        let needs_states = columns.iter().any(Column::is_live) || filters.needs_states();
        if needs_states
            && !self.layout.raw_list
            && let Some(error) = values.state_error(&names)
        {
            let text = format!("power states are not available: {error}");
            call.warn("qvm-ls", &text);
        }
        if !filters.is_empty() {
            let passes = |name: &str| values.inspect(name, |vm| filters.matches(&values, vm));
            names.retain(|name| passes(name) == Some(true));
        }
        let scan = DamageScan::for_listing(&qubes, &context, names.len() == qubes.len());
        let rows = RowBuilder {
            columns: &columns,
            values: &values,
            scan: &scan,
            colored: call.out.has_colors(),
        };
        presentation::print(call, &self, &rows, &names)?;
        scan.warn(call, "qvm-ls");
        // Scripts that read names or cells get no warnings about pools.
        if !self.layout.raw_list && !self.layout.raw_data {
            let warnings = values.pool_warnings(columns.iter().any(Column::reads_disk));
            warnings
                .iter()
                .for_each(|warning| call.warn("qvm-ls", warning));
        }
        Ok(0)
    }
}

/// Returns the selected names in byte order, or all; warns about arguments without effect.
fn names<'q>(arguments: &LsArguments, qubes: &'q Qubes) -> Result<Vec<&'q str>, Failure> {
    let given = &arguments.selection;
    given.check_exclude()?;
    let all: Vec<&str> = qubes.names().map(VmName::as_str).collect();
    let mut names = given.resolve(&all, true)?;
    let unmatched = given.unmatched(&all);
    if names.is_empty() && !given.all {
        // Upstream lists all qubes if no pattern matches. A table does so here too; the forms for
        // scripts list nothing, because a script would act on each.
        let for_scripts = arguments.is_for_scripts();
        if given.names.is_empty() || !for_scripts {
            names = all;
        }
        match unmatched.as_slice() {
            [] => {}
            texts if for_scripts => texts.iter().for_each(|text| print_warning(text)),
            texts => texts
                .iter()
                .for_each(|text| print_warning(&format!("{text}; all qubes are listed"))),
        }
    } else {
        unmatched.iter().for_each(|text| print_warning(text));
    }
    // The names are sorted except for dom0, so this costs next to nothing.
    names.sort();
    Ok(names)
}

/// Returns a warning for each column that does not exist or cannot be sorted by.
fn unknown_columns(arguments: &LsArguments, columns: &[Column]) -> Vec<String> {
    let close = |given: &str| {
        let names = Column::names();
        let close = did_you_mean(given, names.iter().map(String::as_str));
        close.unwrap_or_else(|| "qvm-ls --help-columns lists the columns".to_string())
    };
    // The formats contain columns of upstream that are always empty; they are not warned about.
    let named = columns.iter().filter(|_| arguments.layout.fields.is_some());
    let unknown = named.filter(|column| !column.heading.is_empty() && !column.is_known());
    let mut warnings: Vec<String> = unknown
        .map(|column| column.heading.to_lowercase())
        .map(|name| format!("there is no column {}; {}", quoted(&name), close(&name)))
        .collect();
    if let Some(by) = &arguments.order.sort
        && !arguments.layout.raw_list
        && presentation::column_position(by, columns).is_none()
    {
        let shown: Vec<String> = columns
            .iter()
            .map(|column| column.heading.to_lowercase())
            .collect();
        let is_shown = did_you_mean(by, shown.iter().map(String::as_str));
        warnings.push(match is_shown {
            Some(close) => format!("cannot sort by {}: {close}", quoted(by)),
            None if Column::parse(by).is_known() => {
                format!(
                    "cannot sort by {}: the column is not shown; --fields chooses the columns",
                    quoted(by)
                )
            }
            None => format!(
                "cannot sort by {}: there is no such column; {}",
                quoted(by),
                close(by)
            ),
        });
    }
    warnings
}

fn help_formats(out: &mut Output) -> Result<u8, Failure> {
    let mut formats = FORMATS;
    formats.sort_unstable();
    out.line("Available formats:")?;
    for (name, columns) in formats {
        out.line(&format!("  {name:7}  {}", columns.to_uppercase()))?;
    }
    out.line("").map(|()| 0)
}

fn help_columns(out: &mut Output) -> Result<u8, Failure> {
    out.line("Available columns:")?;
    out.text(&table::definition_list(ColumnSpec::listed().into_iter()))?;
    out.line("\nAny property may be a column as well; qvm-prefs --help-properties lists them.\n")
        .map(|()| 0)
}

const ON_A_TERMINAL: &str = "\
Names and labels have the colour of the label; black ones are bold. --color=never and the \
environment variables NO_COLOR (if it is not empty) and TERM=dumb disable colours, --color=always \
enables them, also in a pipe (qvm-ls --color=always | less -R). --raw-data, --raw-list and --json \
never use any.

--tree draws connected branches, in ASCII if the locale is not UTF-8. In a pipe every branch looks \
like a last one. Qubes whose netvms form a loop are at the end. Long cells continue below \
themselves if the terminal is narrow. Characters that could deceive a reader (controls, invisible \
and direction-changing ones) are shown as _.";

/// Returns the sections of the manual page about columns, formats and terminals.
pub fn manual() -> Vec<Section> {
    let formats = FORMATS
        .iter()
        .map(|(name, columns)| (*name, columns.to_uppercase().replace(',', ", ")));
    vec![
        Section::definitions("columns", ColumnSpec::listed().into_iter()),
        Section::definitions("formats", formats),
        Section::paragraphs("on a terminal", ON_A_TERMINAL),
    ]
}
