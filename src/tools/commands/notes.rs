//! qvm-notes: the notes about a qube.

use std::fs::File;
use std::io::{Read as _, Write as _};
use std::path::Path;

use clap::{Args, ValueHint};
use tempfile::NamedTempFile;

use crate::exec::Program;
use crate::lifecycle::{Context, LifecycleError, qube};
use crate::model::VmName;
use crate::model::notes::{MAX_BYTES, append_note};
use crate::system::System;
use crate::tools::completion;
use crate::tools::ui::arguments::JsonOption;
use crate::tools::ui::failure::Failure;
use crate::tools::ui::invocation::{Invocation, read_until_exit};
use crate::tools::ui::output::confirm;
use crate::tools::ui::quoted::quoted;
use crate::tools::{Command, Run};

/// The exit code if the answer to the question is no.
const EXIT_DECLINED: u8 = 2;

/// `qvm-notes`
pub const QVM_NOTES: Command =
    Command::of::<NotesArguments>("qvm-notes", "Show or edit the notes about a qube");

/// The arguments of qvm-notes.
#[derive(Args)]
struct NotesArguments {
    /// Do not ask for confirmation
    #[arg(long, short)]
    force: bool,
    /// Name of the qube
    #[arg(value_name = "VMNAME", add = completion::GUESTS)]
    qube: String,
    #[command(flatten)]
    action: Action,
    #[command(flatten)]
    output: JsonOption,
}

/// What to do with the notes.
#[derive(Args)]
#[command(next_help_heading = "Actions")]
#[group(multiple = false)]
struct Action {
    /// Edit the notes in an editor (the default)
    #[arg(long, short)]
    edit: bool,
    /// Print the notes
    #[arg(long, short)]
    print: bool,
    /// Replace the notes with the content of a file
    #[arg(long, short, value_name = "FILENAME", value_hint = ValueHint::FilePath)]
    import: Option<String>,
    /// Replace the notes with this text
    #[arg(long, short, value_name = "'NOTES'")]
    set: Option<String>,
    /// Append this text on a line of its own
    #[arg(long, value_name = "'NOTES'")]
    append: Option<String>,
    /// Delete the notes
    #[arg(long, short)]
    delete: bool,
}

impl Action {
    /// Returns the option that excludes `--json`, if one is given.
    fn change(&self) -> Option<&'static str> {
        let changes = [
            (self.edit, "edit"),
            (self.import.is_some(), "import"),
            (self.set.is_some(), "set"),
            (self.append.is_some(), "append"),
            (self.delete, "delete"),
        ];
        changes
            .into_iter()
            .find_map(|(is_given, name)| is_given.then_some(name))
    }
}

impl Run for NotesArguments {
    fn run(self, call: &mut Invocation) -> Result<u8, Failure> {
        let context = Context::new(call.system()?);
        let qubes = read_until_exit(&context)?;
        let name = call.named_qube(&qubes, &self.qube)?.name.clone();
        let action = &self.action;
        if self.output.json {
            return print_json(call, &context, &name, action);
        }
        if action.print {
            return call.out.line(&qube::notes(&context, &name)?).map(|()| 0);
        }
        if action.delete {
            return delete(call, &context, &name, self.force);
        }
        if let Some(text) = &action.set {
            qube::change_notes(&context, &name, |_| Ok(text.to_string()))?;
        } else if let Some(more) = &action.append {
            qube::change_notes(&context, &name, |old| Ok(append_note(old, more)))?;
        } else if let Some(file) = &action.import {
            let text = read_notes_file(Path::new(file))?;
            qube::change_notes(&context, &name, |_| Ok(text))?;
        } else {
            edit(&context, &name)?;
        }
        Ok(0)
    }
}

/// Prints the notes as JSON, without `--print` too. Other actions are refused.
fn print_json(
    call: &mut Invocation,
    context: &Context,
    name: &VmName,
    action: &Action,
) -> Result<u8, Failure> {
    if let Some(change) = action.change() {
        return Err(Failure::usage(format!(
            "argument --json: not allowed with argument --{change}"
        )));
    }
    let notes = qube::notes(context, name)?;
    call.print_json(&serde_json::json!({"name": name.as_str(), "notes": notes}))
        .map(|()| 0)
}

fn delete(
    call: &mut Invocation,
    context: &Context,
    name: &VmName,
    force: bool,
) -> Result<u8, Failure> {
    // A qube that cannot have notes is an error before the question.
    qube::notes(context, name)?;
    if !force {
        call.out
            .line("You are about to delete existing qube notes")?;
        match confirm(&mut call.out, "Are you certain? [y/N]")? {
            None => {
                return Err(Failure::error(
                    "nobody answered; the notes stay (--force does not ask)",
                ));
            }
            Some(false) => return Ok(EXIT_DECLINED),
            Some(true) => {}
        }
    }
    qube::change_notes(context, name, |_| Ok(String::new()))?;
    Ok(0)
}

/// Opens a copy of the notes in an editor and saves it. If it cannot be saved, the copy is kept and
/// named.
fn edit(context: &Context, name: &VmName) -> Result<(), Failure> {
    let old = qube::notes(context, name)?;
    let prefix = format!("{name}_qube_");
    let mut copy = tempfile::Builder::new()
        .prefix(&prefix)
        .suffix("_notes.txt")
        .tempfile()?;
    copy.write_all(old.as_bytes())?;
    let editor = System::editor();
    let editor = editor.to_string_lossy();
    let mut words = editor.split_whitespace();
    let program = Program::new(words.next().unwrap_or("vi"))
        .args(words)
        .arg(copy.path());
    let status = program.run_interactive()?;
    if !status.success() {
        return Err(Failure::error(format!(
            "the editor {} failed ({status}); the notes stay",
            quoted(&editor)
        )));
    }
    match read_notes_file(copy.path()) {
        Ok(new) if new == old => Ok(()),
        Ok(new) => {
            let save = |now: &str| {
                if now == old {
                    Ok(new)
                } else {
                    Err(notes_changed(name))
                }
            };
            qube::change_notes(context, name, save).map_err(|error| keep_edited_copy(copy, &error))
        }
        Err(Failure::Error(error)) => Err(keep_edited_copy(copy, &error)),
        Err(failure) => Err(failure),
    }
}

fn notes_changed(name: &VmName) -> LifecycleError {
    LifecycleError::NotesChanged { qube: name.clone() }
}

fn keep_edited_copy(copy: NamedTempFile, error: &dyn std::fmt::Display) -> Failure {
    match copy.keep() {
        Ok((_, path)) => {
            Failure::error(format!("{error}; what you wrote is in {}", path.display()))
        }
        Err(lost) => Failure::error(format!("{error}; what you wrote could not be kept: {lost}")),
    }
}

/// Reads a text file of at most the maximum length.
fn read_notes_file(file: &Path) -> Result<String, Failure> {
    let cannot = |error| {
        Failure::error(format!(
            "cannot read {}: {}",
            file.display(),
            crate::fs::errno_text(&error)
        ))
    };
    let mut bytes = Vec::new();
    File::open(file)
        .and_then(|f| f.take(MAX_BYTES as u64 + 1).read_to_end(&mut bytes))
        .map_err(cannot)?;
    if bytes.len() > MAX_BYTES {
        return Err(Failure::error(format!(
            "{} has more than {MAX_BYTES} bytes, the most for notes",
            file.display()
        )));
    }
    String::from_utf8(bytes)
        .map_err(|_| Failure::error(format!("{} is not UTF-8 text", file.display())))
}
