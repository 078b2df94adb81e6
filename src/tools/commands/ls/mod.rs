//! qvm-ls: lists qubes.

mod column;
mod columns;
mod filters;
mod flags;
mod layout;
mod presentation;
mod rows;

pub use columns::{COLUMNS, ColumnSpec, FORMATS};

use clap::{Args as _, FromArgMatches as _};

use crate::lifecycle::Context;
use crate::model::{Qubes, VmName};
use crate::tools::Command;
use crate::tools::completion::{self, Completer, Offer};
use crate::tools::manual::Section;
use crate::tools::ui::arguments::{
    self, flag, multi_value, mutually_exclusive, output_option, value,
};
use crate::tools::ui::damage_scan::DamageScan;
use crate::tools::ui::failure::{Failure, quoted};
use crate::tools::ui::invocation::{Invocation, read_until_exit};
use crate::tools::ui::output::{Output, print_warning};
use crate::tools::ui::selection::Selection;
use crate::tools::ui::suggestion::did_you_mean;
use crate::tools::ui::table;
use crate::tools::ui::values::Values;
use column::Column;
use filters::Filters;
use rows::RowBuilder;

/// `qvm-ls`
pub const QVM_LS: Command = Command::new("qvm-ls", "List qubes", define, run);

fn define(line: clap::Command) -> clap::Command {
    let line = Selection::augment_args(line)
        .arg(
            value(
                "format",
                Some('o'),
                "FORMAT",
                "Show the columns of this format: simple, network, kernel, full, prefs or disk \
             (default: simple)",
            )
            .add(Completer(|_| Offer::words(FORMATS.map(|(name, _)| name)))),
        )
        .arg(
            value(
                "fields",
                Some('O'),
                "FIELD,...",
                "Show these columns; any property is a column as well",
            )
            .add(Completer(|_| listed_columns().list())),
        )
        .arg(flag(
            "tree",
            Some('t'),
            "Show qubes as a tree below their netvms",
        ))
        .arg(flag(
            "raw-data",
            None,
            "Print columns separated by | without a heading, for scripts",
        ))
        .arg(flag("raw-list", None, "Print names only, for scripts"))
        .arg(flag("disk", Some('d'), "Same as --format disk"))
        .arg(flag("network", Some('n'), "Same as --format network"))
        .arg(flag("kernel", Some('k'), "Same as --format kernel"))
        .arg(flag("help-formats", None, "List the formats"))
        .arg(flag("help-columns", None, "List the columns"));
    let line = filter_options(line)
        .arg(
            value("sort", None, "COLUMN", "Sort by this column")
                .default_value("NAME")
                .add(Completer(|_| listed_columns())),
        )
        .arg(flag("reverse", None, "Reverse the order"))
        .arg(flag("ignore-case", None, "Ignore case when sorting"))
        .arg(flag(
            "spinner",
            None,
            "Accepted for compatibility, without effect",
        ))
        .arg(flag(
            "no-spinner",
            None,
            "Accepted for compatibility, without effect",
        ))
        .arg(arguments::json_flag())
        .arg(arguments::color_option())
        .arg(output_option(flag(
            "human-readable",
            None,
            "Show sizes in tables as 750M, 1.5G or 20G instead of MiB",
        )));
    let line = mutually_exclusive(
        line,
        "format",
        &["format", "fields", "disk", "network", "kernel"],
    );
    let line = mutually_exclusive(line, "json-formats", &["help-formats", "json"]);
    let line = mutually_exclusive(line, "json-columns", &["help-columns", "json"]);
    mutually_exclusive(line, "layout", &["raw-data", "raw-list", "json"])
}

fn listed_columns() -> Offer<'static> {
    Offer::words(ColumnSpec::listed().into_iter().map(|(name, _)| name))
}

fn filter_options(line: clap::Command) -> clap::Command {
    line.arg(
        multi_value("class", "CLASS", "List only qubes of these classes")
            .add(completion::CLASS_LIST),
    )
    .arg(
        multi_value("label", "LABEL", "List only qubes with one of these labels")
            .add(completion::LABEL_LIST),
    )
    .arg(
        multi_value("tags", "TAG", "List only qubes with one of these tags")
            .add(completion::TAG_LIST),
    )
    .arg(
        multi_value(
            "exclude-tags",
            "TAG",
            "List only qubes that lack one of these tags",
        )
        .add(completion::TAGS),
    )
    .arg(flag("running", None, "List only running qubes"))
    .arg(flag("paused", None, "List only paused qubes"))
    .arg(flag("halted", None, "List only halted qubes"))
    .arg(
        multi_value(
            "template-source",
            "TEMPLATE",
            "List only qubes based on these templates; \"\" stands for none",
        )
        .add(completion::TEMPLATES),
    )
    .arg(
        multi_value(
            "netvm-is",
            "NETVM",
            "List only qubes with one of these netvms; \"\" stands for qubes that cannot have one",
        )
        .add(Completer(|_| Offer::Netvms)),
    )
    .arg(
        value(
            "internal",
            None,
            "<y|n>",
            "List only internal qubes (y) or only others (n)",
        )
        .add(completion::YES_OR_NO),
    )
    .arg(
        value(
            "servicevm",
            None,
            "<y|n>",
            "List only service qubes (y) or only others (n)",
        )
        .add(completion::YES_OR_NO),
    )
    .arg(flag(
        "pending-update",
        None,
        "List only qubes with pending updates",
    ))
    .arg(multi_value(
        "features",
        "FEATURE=VALUE",
        "List only qubes with these features; FEATURE= stands for a feature that is not set",
    ))
    .arg(multi_value(
        "prefs",
        "PREFERENCE=VALUE",
        "List only qubes with these property values",
    ))
}

fn run(call: &mut Invocation) -> Result<u8, Failure> {
    if call.has("help-formats") {
        return help_formats(&mut call.out);
    }
    if call.has("help-columns") {
        return help_columns(&mut call.out);
    }
    let columns = selected_columns(call)?;
    call.out.set_colors(arguments::color_choice(&call.matches)?);
    let context = Context::new(call.system()?);
    let qubes = read_until_exit(&context)?;
    let mut names = names(call, &qubes)?;
    let filters = Filters::from_arguments(call)?;
    unknown_columns(call, &columns)
        .iter()
        .chain(&filters.words().unmatched(&qubes))
        .for_each(|text| print_warning(text));
    if call.has("raw-list") && filters.is_class_only() {
        let passes = |name: &&str| {
            filters.is_empty()
                || qubes
                    .class(name)
                    .is_some_and(|c| filters.matches_class(c.as_str()))
        };
        names.retain(passes);
        let text = names
            .iter()
            .fold(String::new(), |text, name| text + name + "\n");
        drop(filters);
        return call.out.text(&text).map(|()| 0);
    }
    let values = Values::new(&qubes, &context);
    if (columns.iter().any(Column::is_live) || filters.needs_states()) && !call.has("raw-list") {
        warn_if_states_unknown(call, &values, &names);
    }
    if !filters.is_empty() {
        names.retain(|name| values.inspect(name, |vm| filters.matches(&values, vm)) == Some(true));
    }
    drop(filters);
    let scan = DamageScan::for_listing(&qubes, &context, names.len() == qubes.len());
    let colored = call.out.has_colors();
    let rows = RowBuilder {
        columns: &columns,
        values: &values,
        scan: &scan,
        colored,
    };
    presentation::print(call, &rows, &names)?;
    scan.warn(call, "qvm-ls");
    // Scripts that read names or cells get no warnings about pools.
    if !call.has("raw-list") && !call.has("raw-data") {
        let warnings = values.pool_warnings(columns.iter().any(Column::reads_disk));
        warnings
            .iter()
            .for_each(|warning| call.warn("qvm-ls", warning));
    }
    Ok(0)
}

/// Returns the selected names in byte order, or all; warns about arguments without effect.
fn names<'q>(call: &Invocation, qubes: &'q Qubes) -> Result<Vec<&'q str>, Failure> {
    let given = Selection::from_arg_matches(&call.matches)?;
    given.check_exclude()?;
    let all: Vec<&str> = qubes.names().map(VmName::as_str).collect();
    let mut names = given.resolve(&all, true)?;
    let unmatched = given.unmatched(&all);
    if names.is_empty() && !given.all {
        // Upstream lists all qubes if no pattern matches. A table does so here too; the forms for
        // scripts list nothing, because a script would act on each.
        let for_scripts = ["raw-list", "raw-data", "json"]
            .into_iter()
            .any(|id| call.has(id));
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
fn unknown_columns(call: &Invocation, columns: &[Column]) -> Vec<String> {
    let close = |given: &str| {
        let names = Column::names();
        let close = did_you_mean(given, names.iter().map(String::as_str));
        close.unwrap_or_else(|| "qvm-ls --help-columns lists the columns".to_string())
    };
    // The formats contain columns of upstream that are always empty; they are not warned about.
    let named = columns.iter().filter(|_| call.is_given("fields"));
    let unknown = named.filter(|column| !column.heading.is_empty() && !column.is_known());
    let mut warnings: Vec<String> = unknown
        .map(|column| column.heading.to_lowercase())
        .map(|name| format!("there is no column {}; {}", quoted(&name), close(&name)))
        .collect();
    if let Some(by) = call
        .value("sort")
        .filter(|_| call.is_given("sort") && !call.has("raw-list"))
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

fn selected_columns(call: &Invocation) -> Result<Vec<Column>, Failure> {
    if let Some(fields) = call.value("fields") {
        return Ok(Column::parse_all(fields));
    }
    let short = ["disk", "network", "kernel"]
        .into_iter()
        .find(|id| call.has(id));
    let format = short.or(call.value("format")).unwrap_or("simple");
    let known = FORMATS.iter().find(|(name, _)| *name == format);
    known
        .map(|(_, columns)| Column::parse_all(columns))
        .ok_or_else(|| {
            let names: Vec<&str> = FORMATS.iter().map(|(name, _)| *name).collect();
            arguments::invalid_choice("--format/-o", format, &names)
        })
}

/// Warns once if the power states are not available.
fn warn_if_states_unknown(call: &Invocation, values: &Values, names: &[&str]) {
    if let Some(error) = values.state_error(names) {
        call.warn(
            "qvm-ls",
            &format!("power states are not available: {error}"),
        );
    }
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
