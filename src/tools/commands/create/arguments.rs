//! The command line of qvm-create.

use std::path::PathBuf;

use clap::Args;

use super::root_source::RootSource;
use crate::model::Class;
use crate::tools::completion::{self, Completer, Cursor, Offer};
use crate::tools::ui::arguments::{NotUpstream, OUTPUT_OPTIONS};
use crate::tools::ui::failure::Failure;
use crate::tools::ui::images::ExistingImagesOptions;

/// The arguments of qvm-create.
#[derive(Args)]
pub struct CreateArguments {
    #[command(flatten)]
    pub class: ClassOptions,
    /// Set this property of the new qube (can be repeated)
    #[arg(
        long,
        alias = "prop",
        value_name = "NAME=VALUE",
        add = Completer(complete_property)
    )]
    pub property: Vec<String>,
    /// Create this volume in this pool (can be repeated)
    #[arg(
        long,
        short,
        value_name = "VOLUME_NAME=POOL_NAME",
        add = completion::VOLUME_POOL
    )]
    pub pool: Vec<String>,
    /// Create every volume in this pool
    #[arg(short = 'P', value_name = "POOL_NAME", add = completion::POOLS)]
    pub all_pools: Option<String>,
    /// Template of the new qube (default: property default_template)
    #[arg(long, short, value_name = "VALUE", add = Completer(complete_template))]
    pub template: Option<String>,
    /// Label of the new qube (required)
    #[arg(long, short, value_name = "VALUE", add = completion::LABELS)]
    pub label: Option<String>,
    /// List the classes
    #[arg(long)]
    pub help_classes: bool,
    #[command(flatten)]
    pub root: RootOptions,
    /// Accepted for compatibility, without effect
    #[arg(long, hide = true)]
    no_root: bool,
    /// Only check whether the qube can be created
    #[arg(long, help_heading = OUTPUT_OPTIONS, add = NotUpstream)]
    pub dry_run: bool,
    #[command(flatten)]
    pub existing: ExistingImagesOptions,
    #[command(flatten)]
    pub r3: R3Switches,
    /// Name of the new qube; a disposable without a name is called dispN and removed when it stops
    #[arg(value_name = "VMNAME")]
    pub vmname: Option<String>,
}

/// Returns the class of the qube that a command line creates, for completion.
fn class_at(cursor: &Cursor) -> Class {
    if cursor.has(&["--standalone"]) {
        return Class::StandaloneVM;
    }
    if cursor.has(&["--disp"]) {
        return Class::DispVM;
    }
    let words = cursor.words.iter();
    let named = words
        .clone()
        .zip(words.clone().skip(1))
        .find_map(|(option, value)| {
            matches!(&**option, "-C" | "--class").then_some(value.as_str())
        });
    let named = named.or_else(|| words.clone().find_map(|word| word.strip_prefix("--class=")));
    named.map_or(Class::AppVM, Class::from_store)
}

fn complete_template<'a>(cursor: &Cursor<'a>) -> Offer<'a> {
    match class_at(cursor) {
        Class::DispVM => Offer::DisposableTemplates,
        _ => Offer::Templates,
    }
}

fn complete_property<'a>(cursor: &Cursor<'a>) -> Offer<'a> {
    let class = class_at(cursor);
    match cursor.current.split_once('=') {
        None => Offer::Name(Box::new(Offer::PropertiesOfClass(class))),
        Some((property, _)) => {
            Offer::Value(property, Box::new(Offer::ValuesOfClass { class, property }))
        }
    }
}

/// The class of the new qube.
#[derive(Args)]
pub struct ClassOptions {
    /// Class of the new qube (default: AppVM)
    #[arg(
        long,
        short = 'C',
        value_name = "CLS",
        add = completion::CLASSES
    )]
    class: Option<String>,
    /// Same as --class StandaloneVM
    #[arg(long)]
    standalone: bool,
    /// Same as --class DispVM, with label red as the default
    #[arg(long)]
    pub disp: bool,
}

impl ClassOptions {
    /// Returns the class that the options name.
    pub fn class(&self) -> Class {
        match &self.class {
            _ if self.standalone => Class::StandaloneVM,
            _ if self.disp => Class::DispVM,
            Some(text) => Class::from_store(text),
            None => Class::AppVM,
        }
    }
}

/// The file that fills the root volume.
#[derive(Args)]
#[group(multiple = false)]
pub struct RootOptions {
    /// Fill the root volume with a copy of this file
    #[arg(long, short = 'r', value_name = "FILENAME")]
    root_copy_from: Option<PathBuf>,
    /// Fill the root volume with this file and delete the file
    #[arg(long, short = 'R', value_name = "FILENAME")]
    root_move_from: Option<PathBuf>,
}

impl RootOptions {
    /// Returns the file, if one is named.
    pub fn source(&self, class: &Class) -> Result<Option<RootSource<'_>>, Failure> {
        let (file, is_moved) = match (&self.root_copy_from, &self.root_move_from) {
            (Some(file), _) => (file, false),
            (None, Some(file)) => (file, true),
            (None, None) => return Ok(None),
        };
        let root = RootSource { file, is_moved };
        if !root.file.exists() {
            return Err(Failure::usage(
                "File pointed by --root-copy-from/--root-move-from does not exist",
            ));
        }
        if class.has_template() {
            return Err(Failure::usage(
                "--root-copy-from/--root-move-from used but this qube does not have own 'root' \
                 volume (uses template's one)",
            ));
        }
        Ok(Some(root))
    }
}

/// The options of R3, which installers still use (`docs/spec/installer.md`).
#[derive(Args)]
pub struct R3Switches {
    /// Create a qube with provides_network and without a netvm
    #[arg(long, hide = true, add = NotUpstream)]
    net: bool,
    /// Create a qube with provides_network
    #[arg(long, hide = true, add = NotUpstream)]
    proxy: bool,
    /// Set feature internal, which hides the qube from menus
    #[arg(long, hide = true, add = NotUpstream)]
    pub internal: bool,
}

impl R3Switches {
    /// Returns the properties that the switches stand for.
    pub fn properties(&self) -> Vec<(&'static str, &'static str)> {
        let provides_network = self.net || self.proxy;
        let properties = [
            (provides_network, ("provides_network", "True")),
            (self.net, ("netvm", "")),
        ];
        let set = properties.into_iter().filter(|(is_set, _)| *is_set);
        set.map(|(_, property)| property).collect()
    }
}
