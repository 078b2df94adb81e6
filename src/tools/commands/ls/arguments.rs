//! The command line of qvm-ls.

use clap::Args;
use clap::builder::PossibleValuesParser;

use super::FORMATS;
use super::column::Column;
use super::columns::ColumnSpec;
use super::filters::FilterOptions;
use crate::tools::completion::{Completer, Offer};
use crate::tools::ui::arguments::{ColorOption, NotUpstream, OUTPUT_OPTIONS};
use crate::tools::ui::selection::Selection;

/// The arguments of qvm-ls.
#[derive(Args)]
pub struct LsArguments {
    #[command(flatten)]
    pub selection: Selection,
    #[command(flatten)]
    pub layout: LayoutOptions,
    /// List the formats
    #[arg(long, group = "formats or json", help_heading = None::<&str>)]
    pub help_formats: bool,
    /// List the columns
    #[arg(long, group = "columns or json", help_heading = None::<&str>)]
    pub help_columns: bool,
    #[command(flatten)]
    pub filters: FilterOptions,
    #[command(flatten)]
    pub order: OrderOptions,
    #[command(flatten)]
    _spinner: SpinnerOptions,
    /// Print JSON
    #[arg(
        long,
        groups = ["formats or json", "columns or json", "form"],
        help_heading = OUTPUT_OPTIONS,
        add = NotUpstream
    )]
    pub json: bool,
    #[command(flatten)]
    pub color: ColorOption,
    /// Show sizes in tables as 750M, 1.5G or 20G instead of MiB
    #[arg(long, help_heading = OUTPUT_OPTIONS, add = NotUpstream)]
    pub human_readable: bool,
}

impl LsArguments {
    /// Whether scripts read the output, which act on each qube in it.
    pub fn is_for_scripts(&self) -> bool {
        self.layout.raw_list || self.layout.raw_data || self.json
    }

    /// Returns the columns to show.
    pub fn columns(&self) -> Vec<Column> {
        let layout = &self.layout;
        if let Some(fields) = &layout.fields {
            return Column::parse_all(fields);
        }
        let format = match layout {
            LayoutOptions { disk: true, .. } => "disk",
            LayoutOptions { network: true, .. } => "network",
            LayoutOptions { kernel: true, .. } => "kernel",
            LayoutOptions { format, .. } => format.as_deref().unwrap_or("simple"),
        };
        let known = FORMATS.iter().find(|(name, _)| *name == format);
        known.map_or_else(Vec::new, |(_, columns)| Column::parse_all(columns))
    }
}

/// Which columns are shown, and how.
#[derive(Args)]
#[command(next_help_heading = OUTPUT_OPTIONS)]
pub struct LayoutOptions {
    /// Show the columns of this format: simple, network, kernel, full, prefs or disk (default:
    /// simple)
    #[arg(
        long,
        short = 'o',
        group = "format or fields",
        value_parser = PossibleValuesParser::new(FORMATS.map(|(name, _)| name))
    )]
    format: Option<String>,
    /// Show these columns; any property is a column as well
    #[arg(
        long,
        short = 'O',
        group = "format or fields",
        value_name = "FIELD,...",
        add = Completer(|_| complete_column().list())
    )]
    pub fields: Option<String>,
    /// Show qubes as a tree below their netvms
    #[arg(long, short)]
    pub tree: bool,
    /// Print columns separated by | without a heading, for scripts
    #[arg(long, group = "form")]
    pub raw_data: bool,
    /// Print names only, for scripts
    #[arg(long, group = "form")]
    pub raw_list: bool,
    /// Same as --format disk
    #[arg(long, short, group = "format or fields")]
    disk: bool,
    /// Same as --format network
    #[arg(long, short, group = "format or fields")]
    network: bool,
    /// Same as --format kernel
    #[arg(long, short, group = "format or fields")]
    kernel: bool,
}

/// In which order qubes are listed.
#[derive(Args)]
#[command(next_help_heading = OUTPUT_OPTIONS)]
pub struct OrderOptions {
    /// Sort by this column (default: NAME)
    #[arg(long, value_name = "COLUMN", add = Completer(|_| complete_column()))]
    pub sort: Option<String>,
    /// Reverse the order
    #[arg(long)]
    pub reverse: bool,
    /// Ignore case when sorting
    #[arg(long)]
    pub ignore_case: bool,
}

#[derive(Args)]
struct SpinnerOptions {
    /// Accepted for compatibility, without effect
    #[arg(long = "spinner", help_heading = None::<&str>)]
    _spinner: bool,
    /// Accepted for compatibility, without effect
    #[arg(long = "no-spinner", help_heading = None::<&str>)]
    _no_spinner: bool,
}

fn complete_column() -> Offer<'static> {
    Offer::words(ColumnSpec::listed().into_iter().map(|(name, _)| name))
}
