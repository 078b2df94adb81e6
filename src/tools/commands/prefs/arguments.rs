//! The arguments that qvm-prefs and qubes-prefs share.

use clap::Args;

use crate::tools::completion::{Completer, Cursor, Offer};
use crate::tools::ui::arguments::{JsonOption, NotUpstream, OUTPUT_OPTIONS};

/// What to do with which property.
#[derive(Args)]
pub struct PropertyArguments {
    /// List the properties with their meaning
    #[arg(long)]
    pub help_properties: bool,
    /// Leave out properties without an explicit value
    #[arg(long)]
    pub hide_default: bool,
    /// Accepted for compatibility: PROPERTY without VALUE is read
    #[arg(long, short)]
    pub get: bool,
    /// Accepted for compatibility: PROPERTY with VALUE is set
    #[arg(long, short)]
    pub set: bool,
    /// List the properties in the format of R3
    #[arg(long, short, hide = true, add = NotUpstream)]
    pub list: bool,
    /// Reset the property to its default
    #[arg(long, short = 'D')]
    pub default: bool,
    /// List explicit values that differ from the default, with the default
    #[arg(long, help_heading = OUTPUT_OPTIONS, add = NotUpstream)]
    pub changed: bool,
    #[command(flatten)]
    pub output: JsonOption,
    /// Property to show or change (default: show all)
    #[arg(value_name = "PROPERTY", add = Completer(complete_property))]
    pub property: Option<String>,
    /// New value of the property
    #[arg(value_name = "VALUE", allow_negative_numbers = true, add = Completer(complete_value))]
    pub value: Option<String>,
}

fn complete_property<'a>(cursor: &Cursor<'a>) -> Offer<'a> {
    Offer::Properties { of: cursor.first() }
}

/// The words before are the property, after the name of a qube where the command has one.
fn complete_value<'a>(cursor: &Cursor<'a>) -> Offer<'a> {
    match *cursor.positionals.as_slice() {
        [property] => Offer::ValuesOf { of: None, property },
        [of, property, ..] => Offer::ValuesOf {
            of: Some(of),
            property,
        },
        [] => Offer::Nothing,
    }
}

impl PropertyArguments {
    /// Whether the arguments are in the form of R3 that lists all properties.
    pub fn is_r3_list(&self) -> bool {
        self.list && !self.output.json && self.property.is_none()
    }
}
