//! qvm-notes: the notes about a qube.

use std::fs::File;
use std::io::{Read as _, Write as _};
use std::path::Path;

use tempfile::NamedTempFile;

use crate::exec::Program;
use crate::lifecycle::{Context, LifecycleError, qube};
use crate::model::VmName;
use crate::model::notes::{MAX_BYTES, append_note};
use crate::system::System;
use crate::tools::completion;
use crate::tools::ui::arguments::{flag, json_flag, mutually_exclusive, qube_argument, value};
use crate::tools::ui::failure::{Failure, quoted};
use crate::tools::ui::invocation::{Invocation, read_until_exit};
use crate::tools::ui::output::ask;

const ACTIONS: [&str; 6] = ["edit", "print", "import", "set", "append", "delete"];

/// The exit code if the answer to the question is no.
const EXIT_DECLINED: u8 = 2;

pub fn define(line: clap::Command) -> clap::Command {
    let line = line
        .arg(flag("force", Some('f'), "Do not ask for confirmation"))
        .arg(flag(
            "edit",
            Some('e'),
            "Edit the notes in an editor (the default)",
        ))
        .arg(flag("print", Some('p'), "Print the notes"))
        .arg(
            value(
                "import",
                Some('i'),
                "FILENAME",
                "Replace the notes with the content of a file",
            )
            .add(completion::FILES),
        )
        .arg(value(
            "set",
            Some('s'),
            "'NOTES'",
            "Replace the notes with this text",
        ))
        .arg(value(
            "append",
            None,
            "'NOTES'",
            "Append this text on a line of its own",
        ))
        .arg(flag("delete", Some('d'), "Delete the notes"))
        .arg(json_flag())
        .arg(qube_argument("Name of the qube").add(completion::GUESTS));
    mutually_exclusive(line, "action", &ACTIONS)
}

pub fn run(call: &mut Invocation) -> Result<u8, Failure> {
    let context = call.context_for_qube()?;
    let qubes = read_until_exit(&context)?;
    let name = call.named_qube(&qubes)?.name.clone();
    if call.has("json") {
        return print_json(call, &context, &name);
    }
    if call.has("print") {
        return call.out.line(&qube::notes(&context, &name)?).map(|()| 0);
    }
    if call.has("delete") {
        return delete(call, &context, &name);
    }
    if let Some(text) = call.value("set") {
        qube::change_notes(&context, &name, |_| Ok(text.to_string()))?;
    } else if let Some(more) = call.value("append") {
        qube::change_notes(&context, &name, |old| Ok(append_note(old, more)))?;
    } else if let Some(file) = call.value("import") {
        let text = read_notes_file(Path::new(file))?;
        qube::change_notes(&context, &name, |_| Ok(text))?;
    } else {
        edit(&context, &name)?;
    }
    Ok(0)
}

/// Prints the notes as JSON, without `--print` too. Other actions are refused.
fn print_json(call: &mut Invocation, context: &Context, name: &VmName) -> Result<u8, Failure> {
    if let Some(action) = ACTIONS
        .iter()
        .find(|id| **id != "print" && call.is_given(id))
    {
        return Err(Failure::usage(format!(
            "argument --json: not allowed with argument --{action}"
        )));
    }
    let notes = qube::notes(context, name)?;
    call.print_json(&serde_json::json!({"name": name.as_str(), "notes": notes}))
        .map(|()| 0)
}

fn delete(call: &mut Invocation, context: &Context, name: &VmName) -> Result<u8, Failure> {
    // A qube that cannot have notes is an error before the qube::notes(question.context, name)?;
    if !call.has("force") {
        call.out
            .line("You are about to delete existing qube notes")?;
        match ask(&mut call.out, "Are you certain? [y/N]")? {
            None => {
                return Err(Failure::error(
                    "nobody answered; the notes stay (--force does not ask)",
                ));
            }
            Some(answer) if !answer.trim().eq_ignore_ascii_case("y") => return Ok(EXIT_DECLINED),
            Some(_) => {}
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
