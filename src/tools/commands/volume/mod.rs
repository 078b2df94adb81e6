//! qvm-volume: volumes of qubes.

mod listing;

use listing::PROPERTIES;

use std::fs::File;
use std::io;
use std::os::fd::AsFd;

use clap::{Arg, ArgAction};

use crate::fs::errno_text;
use crate::lifecycle::volume::ImportLength;
use crate::lifecycle::volume::{ResizeOutcome, Shrinking};
use crate::lifecycle::{Context, LifecycleError, volume};
use crate::model::volume::names as volume_names;
use crate::model::{Qubes, VmName, VolumeOption};
use crate::tools::Command;
use crate::tools::completion::{self, Completer, Cursor, Offer};
use crate::tools::manual::Section;
use crate::tools::ui::arguments::{self, NotUpstream, SUBCOMMAND_ID, flag, value};
use crate::tools::ui::failure::{Failure, quoted};
use crate::tools::ui::hint::{self, Hint, NameKind};
use crate::tools::ui::invocation::Invocation;
use crate::tools::ui::output::{ask, print_message};
use crate::tools::ui::progress::QubeProgress;
use crate::tools::ui::size;
use crate::tools::ui::subcommand::{Count, Positional, Subcommand};

const VOLUME: Positional = Positional::new(
    "VM:VOLUME",
    Count::One,
    "Volume of a qube, such as work:private",
)
.completer(VOLUMES);
const VOLUMES: Completer = Completer(|_| Offer::Volumes);

/// The subcommands, in the order of usage lines.
const COMMANDS: [Subcommand; 8] = [
    Subcommand {
        program: "qvm-volume info",
        words: &["info", "i"],
        positionals: &[
            VOLUME,
            Positional::new(
                "PROPERTY",
                Count::Optional,
                "Property to show (default: show all)",
            )
            .completer(Completer(|_| Offer::words(PROPERTIES))),
        ],
        options: Subcommand::NO_OPTIONS,
        has_json: true,
        about: "Show a volume or one of its properties (sizes in bytes)",
    },
    Subcommand {
        program: "qvm-volume config",
        words: &["config", "c", "set", "s"],
        positionals: &[
            VOLUME,
            Positional::new("property", Count::One, "rw, revisions_to_keep or ephemeral")
                .completer(Completer(|_| {
                    Offer::words(VolumeOption::ALL.map(VolumeOption::as_str))
                })),
            Positional::new("value", Count::One, "New value of the property")
                .completer(Completer(complete_value)),
        ],
        options: Subcommand::NO_OPTIONS,
        has_json: false,
        about: "Set rw, revisions_to_keep (-1 disables snapshots) or ephemeral",
    },
    Subcommand {
        program: "qvm-volume resize",
        words: &["resize", "extend"],
        positionals: &[
            VOLUME,
            Positional::new(
                "size",
                Count::One,
                "New size: bytes, or a number with KB, MB, GB (powers of 1000) or KiB, MiB, GiB \
                 (powers of 1024)",
            ),
        ],
        options: with_shrinking,
        has_json: false,
        about: "Resize a volume; a smaller size needs --force",
    },
    Subcommand {
        program: "qvm-volume list",
        words: &["list", "ls", "l"],
        positionals: &[Positional::new(
            "VMNAME",
            Count::Any,
            "Names of qubes or shell patterns (default: all qubes)",
        )
        .completer(completion::GUESTS)],
        options: with_listing,
        has_json: true,
        about: "List the volumes of these qubes or of all qubes (the default command)",
    },
    Subcommand {
        program: "qvm-volume revert",
        words: &["revert", "rv", "r"],
        positionals: &[
            VOLUME,
            Positional::new(
                "revision",
                Count::Optional,
                "Revision as qvm-volume info lists it (default: the newest)",
            )
            .completer(Completer(complete_revision)),
        ],
        options: Subcommand::NO_OPTIONS,
        has_json: false,
        about: "Revert a volume of a halted qube to a revision (default: the newest)",
    },
    Subcommand {
        program: "qvm-volume import",
        words: &["import"],
        positionals: &[
            VOLUME,
            Positional::new(
                "PATH",
                Count::One,
                "File or device to read, or - for standard input",
            )
            .completer(completion::FILES),
        ],
        options: with_sizes,
        has_json: false,
        about: "Replace the data of a volume with a file, a device or standard input",
    },
    Subcommand {
        program: "qvm-volume clone",
        words: &["clone"],
        positionals: &[
            Positional::new("SOURCE_VM:SOURCE_VOLUME", Count::One, "Volume to copy")
                .completer(VOLUMES),
            Positional::new(
                "DESTINATION_VM:DESTINATION_VOLUME",
                Count::One,
                "Volume to overwrite",
            )
            .completer(VOLUMES),
        ],
        options: with_force,
        has_json: false,
        about: "Replace the data of a volume with the last committed data of another",
    },
    Subcommand {
        program: "qvm-volume clear",
        words: &["clear"],
        positionals: &[VOLUME],
        options: with_force,
        has_json: false,
        about: "Delete the data of a volume",
    },
];

fn complete_value<'a>(cursor: &Cursor<'a>) -> Offer<'a> {
    match cursor.positionals.get(2) {
        Some(&("rw" | "ephemeral")) => Offer::words(["True", "False"]),
        _ => Offer::Nothing,
    }
}

fn complete_revision<'a>(cursor: &Cursor<'a>) -> Offer<'a> {
    let volume = cursor.positionals.get(1);
    volume.map_or(Offer::Nothing, |volume| Offer::Revisions(volume))
}

fn with_listing(line: clap::Command) -> clap::Command {
    line.arg(
        value(
            "pool",
            Some('p'),
            "POOL_NAME",
            "List only volumes in this pool (can be repeated)",
        )
        .action(ArgAction::Append),
    )
    .arg(flag(
        "full",
        None,
        "Print POOL:VOLUME on every line, on a terminal too",
    ))
    .arg(flag(
        "all",
        None,
        "List the volumes of all qubes (the default)",
    ))
}

fn with_shrinking(line: clap::Command) -> clap::Command {
    line.arg(flag("force", Some('f'), "Allow a smaller size"))
}

fn with_force(line: clap::Command) -> clap::Command {
    line.arg(flag("force", Some('f'), "Do not ask for confirmation"))
}

fn with_sizes(line: clap::Command) -> clap::Command {
    line.arg(value(
        "size",
        None,
        "SIZE",
        "Resize the volume to this size (default: the length of the data)",
    ))
    .arg(flag("no-resize", None, "Keep the size of the volume"))
}

/// Returns the help of a subcommand.
fn subcommand_help(word: &str) -> Option<String> {
    Subcommand::help(&COMMANDS, word)
}

/// `qvm-volume`
pub const QVM_VOLUME: Command = Command::new(
    "qvm-volume",
    "List and change volumes of qubes",
    define,
    run,
)
.with_subcommands(subcommand_help);

fn define(line: clap::Command) -> clap::Command {
    let of_list = |arg: Arg| arg.help_heading("Options of list").add(NotUpstream);
    let of_import = |arg: Arg| arg.help_heading("Options of import").add(NotUpstream);
    let line = line
        .arg(arguments::json_flag())
        .arg(
            flag(
                "force",
                Some('f'),
                "Do not ask for confirmation; with resize, allow a smaller size",
            )
            .help_heading("Options of resize, clone and clear")
            .add(NotUpstream),
        )
        .arg(of_list(
            value(
                "pool",
                Some('p'),
                "POOL_NAME",
                "List only volumes in this pool (can be repeated)",
            )
            .add(completion::POOLS)
            .action(ArgAction::Append),
        ))
        .arg(of_list(flag(
            "full",
            None,
            "Print POOL:VOLUME on every line, on a terminal too",
        )))
        .arg(of_list(flag(
            "all",
            None,
            "List the volumes of all qubes (the default)",
        )))
        .arg(of_import(value(
            "size",
            None,
            "SIZE",
            "Resize the volume to this size (default: the length of the data)",
        )))
        .arg(of_import(flag(
            "no-resize",
            None,
            "Keep the size of the volume",
        )));
    arguments::mutually_exclusive(line, "sizes", &["size", "no-resize"])
        .arg(Arg::new(SUBCOMMAND_ID).value_name(Subcommand::usage_words(&COMMANDS)).help(
            "Command with its arguments: list, info VM:VOLUME, config VM:VOLUME PROPERTY VALUE, \
             resize VM:VOLUME SIZE, revert VM:VOLUME, import VM:VOLUME PATH, \
             clone VM:VOLUME VM:VOLUME or clear VM:VOLUME (default: list)",
        ).add(Completer(|_| Subcommand::complete_name(&COMMANDS))))
        .arg(
            Arg::new("word")
                .value_name("WORD")
                .num_args(0..)
                .allow_negative_numbers(true)
                .hide(true)
                .add(Completer(|cursor| Subcommand::complete_argument(&COMMANDS, cursor))),
        )
}

fn run(call: &mut Invocation) -> Result<u8, Failure> {
    let words: Vec<String> = call.values("word").into_iter().map(String::from).collect();
    let words: Vec<&str> = words.iter().map(String::as_str).collect();
    let command = Subcommand::parse(
        &COMMANDS,
        call.value(SUBCOMMAND_ID).unwrap_or("list"),
        &words,
    )?;
    command.reject_foreign_options(&COMMANDS, call)?;
    if !matches!(command.words, ["info" | "list", ..]) {
        call.refuse_json("a change of a volume")?;
    }
    let context = Context::new(call.system_with_progress()?);
    match (
        command.words.first().copied().unwrap_or_default(),
        words.as_slice(),
    ) {
        ("info", [volume, property @ ..]) => {
            listing::info(call, &context, volume, property.first().copied())
        }
        ("config", [volume, property, value]) => config(&context, volume, property, value),
        ("resize", [volume, size]) => resize(call, &context, volume, size),
        ("revert", [volume, revision @ ..]) => {
            let (name, volume) = find_volume(&context, volume)?;
            volume::revert(&context, &name, &volume, revision.first().copied())
                .map_err(volume_failure)?;
            Ok(0)
        }
        ("import", [volume, path]) => import(call, &context, volume, path),
        ("clone", [source, target]) => clone(call, &context, source, target),
        ("clear", [volume]) => clear(call, &context, volume),
        (_, names) => listing::list(call, &context, names),
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
        return Err(Failure::Error(text).with_hint(Hint::one_of(volume, "it has", &volumes)));
    }
    Ok((vm.name.clone(), volume.to_string()))
}

fn config(context: &Context, text: &str, property: &str, value: &str) -> Result<u8, Failure> {
    let (name, volume) = find_volume(context, text)?;
    volume::set_option(context, &name, &volume, property, value).map_err(volume_failure)?;
    Ok(0)
}

fn invalid_size(text: &str) -> Failure {
    let rule =
        "a size is a whole number of bytes, or one with KiB, MiB, GiB (1024) or KB, MB, GB (1000)";
    reported_error(&format!("Invalid size: {text}.")).with_hint(Hint::text(rule))
}

fn resize(call: &Invocation, context: &Context, text: &str, wanted: &str) -> Result<u8, Failure> {
    let (name, volume) = find_volume(context, text)?;
    let bytes = size::parse(wanted).ok_or_else(|| invalid_size(wanted))?;
    let shrinking = if call.has("force") {
        Shrinking::Allowed
    } else {
        Shrinking::Refused
    };
    resize_to(call, context, (&name, &volume), (bytes, wanted), shrinking)
}

/// Resizes a volume of a qube, and prints what is left to do. The size is given in bytes and as on
/// the command line.
pub fn resize_to(
    call: &Invocation,
    context: &Context,
    (name, volume): (&VmName, &str),
    (bytes, wanted): (u64, &str),
    shrinking: Shrinking,
) -> Result<u8, Failure> {
    match volume::resize(context, name, volume, bytes, shrinking) {
        Ok(ResizeOutcome::Halted) => Ok(0),
        Ok(ResizeOutcome::Running) => {
            call.warn(
                name.as_str(),
                &format!(
                    "its disk has {bytes} bytes now; its file system is made larger by running in \
                     it: \
                     echo {volume} | sudo /etc/qubes-rpc/qubes.ResizeDisk"
                ),
            );
            Ok(0)
        }
        Ok(ResizeOutcome::NextStart) => {
            call.inform(
                name.as_str(),
                &format!("its {volume} volume has {bytes} bytes from its next start on"),
            );
            Ok(0)
        }
        Err(refused @ LifecycleError::WouldShrink { .. }) => {
            print_message(&format!("Error: {refused}"));
            print_message(&format!(
                "If you really know what you are doing: Manually shrink the filesystem on the \
                 volume first, and repartition the volume if it is partitioned. Do this in a VM, \
                 not in dom0. Then use 'qvm-volume resize --force {name}:{volume} {wanted}'"
            ));
            Err(Failure::AlreadyReported(1))
        }
        Err(other) => Err(volume_failure(other)),
    }
}

fn import(call: &Invocation, context: &Context, text: &str, path: &str) -> Result<u8, Failure> {
    let (name, volume) = find_volume(context, text)?;
    let length = match call.value("size") {
        _ if call.has("no-resize") => ImportLength::Unchanged,
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
    source: &str,
    target: &str,
) -> Result<u8, Failure> {
    let (source, target) = (find_volume(context, source)?, find_volume(context, target)?);
    let question = "This will overwrite the destination volume!";
    if !confirm(call, question, "Clone cancelled.")? {
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

fn clear(call: &mut Invocation, context: &Context, text: &str) -> Result<u8, Failure> {
    let (name, volume) = find_volume(context, text)?;
    if !confirm(call, "This will empty the volume!", "Clear cancelled.")? {
        return Ok(0);
    }
    volume::clear(context, &name, &volume).map_err(volume_failure)?;
    Ok(0)
}

/// Asks for confirmation. The end of the input is an error, so that a script notices.
fn confirm(call: &mut Invocation, what: &str, cancelled: &str) -> Result<bool, Failure> {
    if call.has("force") {
        return Ok(true);
    }
    call.out.line(what)?;
    call.out.line("(Data may be preserved in a revision.)")?;
    match ask(&mut call.out, "Are you sure? [y/N] ")? {
        Some(answer) if answer.eq_ignore_ascii_case("y") => Ok(true),
        Some(_) => {
            print_message(cancelled);
            Ok(false)
        }
        None => Err(reported_error(&format!(
            "nobody answered, and --force was not given. {cancelled}"
        ))),
    }
}

/// Returns the section of the manual page about the subcommands.
pub fn manual() -> Vec<Section> {
    vec![Subcommand::manual(&COMMANDS)]
}
