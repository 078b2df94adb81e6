//! qvm-volume: volumes of qubes.

mod listing;
mod resize;

pub use resize::resize_to;

use std::fs::File;
use std::io;
use std::os::fd::AsFd;

use clap::{Args, Subcommand};

use crate::fs::errno_text;
use crate::lifecycle::volume::ImportLength;
use crate::lifecycle::{Context, LifecycleError, volume};
use crate::model::volume::names as volume_names;
use crate::model::{Qubes, VmName, VolumeOption};
use crate::tools::completion::{self, Completer, Cursor, Offer};
use crate::tools::ui::arguments::JsonOption;
use crate::tools::ui::failure::Failure;
use crate::tools::ui::hint::{self, Hint, NameKind};
use crate::tools::ui::invocation::Invocation;
use crate::tools::ui::output::{confirm, print_message};
use crate::tools::ui::progress::QubeProgress;
use crate::tools::ui::quoted::quoted;
use crate::tools::ui::size;
use crate::tools::ui::subcommand::{DefaultSubcommand, PrintsNothing};
use crate::tools::{Command, Run};
use listing::{ListArguments, PROPERTIES};

/// `qvm-volume`
pub const QVM_VOLUME: Command =
    Command::of::<VolumeArguments>("qvm-volume", "List and change volumes of qubes");

/// The arguments of qvm-volume.
#[derive(Args)]
#[command(add = DefaultSubcommand("list"), add = PrintsNothing("a change of a volume"))]
struct VolumeArguments {
    #[command(subcommand)]
    command: VolumeCommand,
}

const VOLUMES: Completer = Completer(|_| Offer::Volumes);

/// The subcommands, in the order of usage lines.
#[derive(Subcommand)]
enum VolumeCommand {
    /// Show a volume or one of its properties (sizes in bytes)
    #[command(visible_alias = "i")]
    Info {
        #[command(flatten)]
        volume: VolumeName,
        /// Property to show (default: show all)
        #[arg(value_name = "PROPERTY", add = Completer(|_| Offer::words(PROPERTIES)))]
        property: Option<String>,
        #[command(flatten)]
        output: JsonOption,
    },
    /// Set rw, revisions_to_keep (-1 disables snapshots) or ephemeral
    #[command(visible_aliases = ["c", "set", "s"])]
    Config {
        #[command(flatten)]
        volume: VolumeName,
        /// rw, revisions_to_keep or ephemeral
        #[arg(value_name = "property", add = Completer(complete_property))]
        property: String,
        /// New value of the property
        #[arg(value_name = "value", allow_negative_numbers = true, add = Completer(complete_value))]
        value: String,
    },
    /// Resize a volume; a smaller size needs --force
    #[command(visible_alias = "extend")]
    Resize {
        #[command(flatten)]
        volume: VolumeName,
        /// New size: bytes, or a number with KB, MB, GB (powers of 1000) or KiB, MiB, GiB (powers
        /// of 1024)
        #[arg(value_name = "size", allow_negative_numbers = true)]
        size: String,
        /// Allow a smaller size
        #[arg(long, short)]
        force: bool,
    },
    /// List the volumes of these qubes or of all qubes (the default command)
    #[command(visible_aliases = ["ls", "l"])]
    List(ListArguments),
    /// Revert a volume of a halted qube to a revision (default: the newest)
    #[command(visible_aliases = ["rv", "r"])]
    Revert {
        #[command(flatten)]
        volume: VolumeName,
        /// Revision as qvm-volume info lists it (default: the newest)
        #[arg(
            value_name = "revision",
            allow_negative_numbers = true,
            add = Completer(complete_revision)
        )]
        revision: Option<String>,
    },
    /// Replace the data of a volume with a file, a device or standard input
    Import {
        #[command(flatten)]
        volume: VolumeName,
        /// File or device to read, or - for standard input
        #[arg(value_name = "PATH", add = completion::FILES)]
        path: String,
        #[command(flatten)]
        length: LengthOptions,
    },
    /// Replace the data of a volume with the last committed data of another
    Clone {
        /// Volume to copy
        #[arg(value_name = "SOURCE_VM:SOURCE_VOLUME", add = VOLUMES)]
        source: String,
        /// Volume to overwrite
        #[arg(value_name = "DESTINATION_VM:DESTINATION_VOLUME", add = VOLUMES)]
        target: String,
        #[command(flatten)]
        confirmation: ForceOption,
    },
    /// Delete the data of a volume
    Clear {
        #[command(flatten)]
        volume: VolumeName,
        #[command(flatten)]
        confirmation: ForceOption,
    },
}

#[derive(Args)]
struct VolumeName {
    /// Volume of a qube, such as work:private
    #[arg(value_name = "VM:VOLUME", add = VOLUMES)]
    volume: String,
}

#[derive(Args)]
struct LengthOptions {
    /// Resize the volume to this size (default: the length of the data)
    #[arg(long, value_name = "SIZE")]
    size: Option<String>,
    /// Keep the size of the volume
    #[arg(long, conflicts_with = "size")]
    no_resize: bool,
}

#[derive(Args)]
struct ForceOption {
    /// Do not ask for confirmation
    #[arg(long, short)]
    force: bool,
}

fn complete_property<'a>(_: &Cursor<'a>) -> Offer<'a> {
    Offer::words(VolumeOption::ALL.map(VolumeOption::as_str))
}

fn complete_value<'a>(cursor: &Cursor<'a>) -> Offer<'a> {
    match cursor.positionals.get(1) {
        Some(&("rw" | "ephemeral")) => Offer::words(["True", "False"]),
        _ => Offer::Nothing,
    }
}

fn complete_revision<'a>(cursor: &Cursor<'a>) -> Offer<'a> {
    cursor.first().map_or(Offer::Nothing, Offer::Revisions)
}

impl Run for VolumeArguments {
    fn run(self, call: &mut Invocation) -> Result<u8, Failure> {
        let context = &Context::new(call.system_with_progress()?);
        match self.command {
            VolumeCommand::Info {
                volume,
                property,
                output,
            } => listing::info(call, context, &volume.volume, property.as_deref(), output),
            VolumeCommand::Config {
                volume,
                property,
                value,
            } => {
                let (name, volume) = find_volume(context, &volume.volume)?;
                volume::set_option(context, &name, &volume, &property, &value)
                    .map_err(volume_failure)
                    .map(|()| 0)
            }
            VolumeCommand::Resize {
                volume,
                size,
                force,
            } => resize::resize(call, context, &volume.volume, &size, force),
            VolumeCommand::List(arguments) => listing::list(call, context, arguments),
            VolumeCommand::Revert { volume, revision } => {
                let (name, volume) = find_volume(context, &volume.volume)?;
                volume::revert(context, &name, &volume, revision.as_deref())
                    .map_err(volume_failure)
                    .map(|()| 0)
            }
            VolumeCommand::Import {
                volume,
                path,
                length,
            } => import(context, &volume.volume, &path, &length),
            VolumeCommand::Clone {
                source,
                target,
                confirmation,
            } => clone(call, context, (&source, &target), &confirmation),
            VolumeCommand::Clear {
                volume,
                confirmation,
            } => clear(call, context, &volume.volume, &confirmation),
        }
    }
}

/// Prints an error about a volume in upstream's form.
fn volume_failure(error: LifecycleError) -> Failure {
    reported_error(&hint::describe(&error)).with_hint(Hint::for_error(&error))
}

fn reported_error(text: &str) -> Failure {
    print_message(&format!("Error: {text}"));
    Failure::AlreadyReported(1)
}

/// Splits `VM:VOLUME`.
fn split_name<'t>(qubes: &Qubes, text: &'t str) -> Result<(&'t str, &'t str), Failure> {
    match text.split(':').collect::<Vec<_>>().as_slice() {
        [vm, volume] => Ok((vm, volume)),
        _ => {
            let failure = Failure::usage("expected a vm & volume combination like foo:bar");
            let hint = qubes.get(text).map(|vm| {
                let volumes: Vec<String> = volume_names(vm)
                    .map(|name| format!("{text}:{name}"))
                    .collect();
                match volumes.is_empty() {
                    true => format!("{} has no volumes", quoted(text)),
                    false => format!(
                        "{} is a qube; its volumes are {}",
                        quoted(text),
                        volumes.join(", ")
                    ),
                }
            });
            let hint = hint.unwrap_or_else(|| {
                "qvm-volume list shows the volumes; write QUBE:VOLUME".to_string()
            });
            Err(failure.with_hint(Hint::Text(hint)))
        }
    }
}

/// Returns the qube and the volume that `VM:VOLUME` names.
///
/// # Errors
/// One of them does not exist.
fn find_volume(context: &Context, text: &str) -> Result<(VmName, String), Failure> {
    let qubes = context.read()?;
    find_volume_in(&qubes, text)
}

fn find_volume_in(qubes: &Qubes, text: &str) -> Result<(VmName, String), Failure> {
    let (name, volume) = split_name(qubes, text)?;
    let Some(vm) = qubes.get(name) else {
        let failure = Failure::error(format!("no vm {}", quoted(name)));
        return Err(failure.with_hint(Hint::Unknown(NameKind::Qube, name.to_string())));
    };
    let volumes: Vec<&str> = volume_names(vm).collect();
    if !volumes.contains(&volume) {
        let text = format!("vm {} has no volume {}", quoted(name), quoted(volume));
        let hint = || Hint::one_of(volume, "it has", &volumes);
        return Err(Failure::Error(text).with_hint((!volumes.is_empty()).then(hint)));
    }
    Ok((vm.name.clone(), volume.to_string()))
}

fn invalid_size(text: &str) -> Failure {
    let rule =
        "a size is a whole number of bytes, or one with KiB, MiB, GiB (1024) or KB, MB, GB (1000)";
    reported_error(&format!("Invalid size: {text}.")).with_hint(Hint::text(rule))
}

fn import(
    context: &Context,
    text: &str,
    path: &str,
    options: &LengthOptions,
) -> Result<u8, Failure> {
    let (name, volume) = find_volume(context, text)?;
    let length = match &options.size {
        _ if options.no_resize => ImportLength::Unchanged,
        None => ImportLength::FromData,
        Some(text) => ImportLength::Exact(size::parse(text).ok_or_else(|| invalid_size(text))?),
    };
    let failed = |error: io::Error| reported_error(&format!("{path}: {}", errno_text(&error)));
    let file = match path {
        "-" => io::stdin()
            .as_fd()
            .try_clone_to_owned()
            .map(File::from)
            .map_err(failed)?,
        path => File::open(path).map_err(failed)?,
    };
    let progress = QubeProgress::new(context, name.as_str());
    volume::import(context, &name, &volume, &file, length, &progress).map_err(volume_failure)?;
    Ok(0)
}

fn clone(
    call: &mut Invocation,
    context: &Context,
    (source, target): (&str, &str),
    confirmation: &ForceOption,
) -> Result<u8, Failure> {
    let (source, target) = (find_volume(context, source)?, find_volume(context, target)?);
    let question = "This will overwrite the destination volume!";
    if !confirmation.confirm(call, question, "Clone cancelled.")? {
        return Ok(0);
    }
    let progress = QubeProgress::new(context, target.0.as_str());
    volume::clone(
        context,
        (&source.0, &source.1),
        (&target.0, &target.1),
        &progress,
    )
    .map_err(volume_failure)?;
    Ok(0)
}

fn clear(
    call: &mut Invocation,
    context: &Context,
    text: &str,
    confirmation: &ForceOption,
) -> Result<u8, Failure> {
    let (name, volume) = find_volume(context, text)?;
    if !confirmation.confirm(call, "This will empty the volume!", "Clear cancelled.")? {
        return Ok(0);
    }
    volume::clear(context, &name, &volume).map_err(volume_failure)?;
    Ok(0)
}

impl ForceOption {
    /// Asks for confirmation. The end of the input is an error, so that a script notices.
    fn confirm(&self, call: &mut Invocation, what: &str, cancelled: &str) -> Result<bool, Failure> {
        if self.force {
            return Ok(true);
        }
        call.out.line(what)?;
        call.out.line("(Data may be preserved in a revision.)")?;
        match confirm(&mut call.out, "Are you sure? [y/N] ")? {
            Some(true) => Ok(true),
            Some(false) => {
                print_message(cancelled);
                Ok(false)
            }
            None => Err(reported_error(&format!(
                "nobody answered, and --force was not given. {cancelled}"
            ))),
        }
    }
}
