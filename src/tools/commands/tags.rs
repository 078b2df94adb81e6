//! qvm-tags: tags of a qube.

use clap::{Arg, Args};

use crate::lifecycle::{Context, qube};
use crate::model::Vm;
use crate::tools::completion::{self, Completer, Cursor, Offer};
use crate::tools::manual::Section;
use crate::tools::ui::arguments::{self, JsonOption, SUBCOMMAND_ID};
use crate::tools::ui::failure::{Failure, quoted};
use crate::tools::ui::hint::Hint;
use crate::tools::ui::invocation::{Invocation, read_until_exit};
use crate::tools::ui::output::{Output, print_usage_error};
use crate::tools::ui::subcommand::{Count, Positional, Subcommand};
use crate::tools::ui::suggestion::did_you_mean;
use crate::tools::ui::usage::usage;
use crate::tools::{Command, Run};

/// The words of the subcommands, in the order of usage lines.
const COMMANDS: [&str; 10] = [
    "list", "ls", "l", "add", "a", "set", "del", "d", "unset", "u",
];

enum TagCommand<'a> {
    List(Option<&'a str>),
    Add(Vec<&'a str>),
    Remove(&'a str),
}

/// The subcommands, for their help.
const SUBCOMMANDS: [Subcommand; 3] = [
    Subcommand {
        program: "qvm-tags VMNAME list",
        words: &["list", "ls", "l"],
        positionals: &[Positional::new(
            "TAG",
            Count::Optional,
            "Tag to check for: print it and exit with 0 if the qube has it, else exit with 1",
        )],
        options: Subcommand::NO_OPTIONS,
        has_json: true,
        about: "List the tags, or check for one tag",
    },
    Subcommand {
        program: "qvm-tags VMNAME add",
        words: &["add", "a", "set"],
        positionals: &[Positional::new("TAG", Count::OneOrMore, "Tags to add")],
        options: Subcommand::NO_OPTIONS,
        has_json: false,
        about: "Add tags to the qube",
    },
    Subcommand {
        program: "qvm-tags VMNAME del",
        words: &["del", "d", "unset", "u"],
        positionals: &[Positional::new("TAG", Count::One, "Tag to remove")],
        options: Subcommand::NO_OPTIONS,
        has_json: false,
        about: "Remove a tag from the qube",
    },
];

/// Returns the help of a subcommand.
pub fn subcommand_help(word: &str) -> Option<String> {
    Subcommand::help(&SUBCOMMANDS, word)
}

/// Whether this subcommand adds tags.
fn is_add(command: &str) -> bool {
    matches!(command, "add" | "a" | "set")
}

/// `qvm-tags`
pub const QVM_TAGS: Command =
    Command::of::<TagsArguments>("qvm-tags", "Show or change tags of a qube")
        .with_subcommands(subcommand_help);

/// The arguments of qvm-tags.
#[derive(Args)]
struct TagsArguments {
    #[command(flatten)]
    output: JsonOption,
    /// Name of the qube
    #[arg(value_name = "VMNAME", add = completion::QUBES)]
    qube: String,
    /// Command with its arguments: list [TAG], add TAG... or del TAG (default: list)
    #[arg(
        id = SUBCOMMAND_ID,
        value_name = "{list,ls,l,add,a,set,del,d,unset,u} ...",
        add = Completer(|_| Offer::words(["list", "add", "del"]))
    )]
    command: Option<String>,
    /// Tags
    #[arg(value_name = "TAG", num_args = 0.., hide = true, add = Completer(complete_tag))]
    tags: Vec<String>,
}

/// Tags of other qubes are offered for adding.
fn complete_tag<'a>(cursor: &Cursor<'a>) -> Offer<'a> {
    match cursor.positionals.get(1) {
        Some(command) if is_add(command) => Offer::Tags,
        _ => Offer::TagsOf(cursor.first()),
    }
}

impl Run for TagsArguments {
    fn run(self, call: &mut Invocation) -> Result<u8, Failure> {
        let command = self.command()?;
        if let TagCommand::Add(_) | TagCommand::Remove(_) = command {
            self.output.refuse("a change of tags")?;
        }
        let context = Context::new(call.system()?);
        let qubes = read_until_exit(&context)?;
        let vm = call.named_qube(&qubes, &self.qube)?;
        match command {
            TagCommand::List(None) => list(&mut call.out, self.output.json, vm)?,
            TagCommand::List(Some(tag)) if !vm.has_tag(tag) => {
                print_tag_hint(call, vm, tag);
                return Ok(1);
            }
            TagCommand::List(Some(tag)) if self.output.json => call.print_json(&tag.into())?,
            TagCommand::List(Some(tag)) => call.out.line(tag)?,
            TagCommand::Add(tags) => qube::add_tags(&context, &vm.name, &tags)?,
            TagCommand::Remove(tag) => {
                print_tag_hint(call, vm, tag);
                qube::remove_tag(&context, &vm.name, tag)?;
            }
        }
        Ok(0)
    }
}

/// Prints a hint for a tag that the qube does not have, if one of its tags is close.
fn print_tag_hint(call: &Invocation, vm: &Vm, tag: &str) {
    if !vm.has_tag(tag)
        && let Some(close) = did_you_mean(tag, vm.tags.iter().map(|tag| &**tag))
    {
        call.hint(&Hint::Text(format!(
            "{} has no tag {}; {close}",
            vm.name,
            quoted(tag)
        )));
    }
}

impl TagsArguments {
    fn command(&self) -> Result<TagCommand<'_>, Failure> {
        let words: Vec<&str> = self.tags.iter().map(String::as_str).collect();
        let command = self.command.as_deref().unwrap_or("list");
        match (command, words.as_slice()) {
            ("list" | "ls" | "l", []) => Ok(TagCommand::List(None)),
            ("list" | "ls" | "l", [tag]) => Ok(TagCommand::List(Some(*tag))),
            (word, [_, ..]) if is_add(word) => Ok(TagCommand::Add(words)),
            ("del" | "d" | "unset" | "u", [tag]) => Ok(TagCommand::Remove(tag)),
            (word, []) if is_add(word) => Err(missing_tag("qvm-tags VMNAME add")),
            ("del" | "d" | "unset" | "u", []) => Err(missing_tag("qvm-tags VMNAME del")),
            (word, [_, more @ ..]) if COMMANDS.contains(&word) => Err(Failure::usage(format!(
                "unrecognized arguments: {}",
                more.join(" ")
            ))),
            (word, _) => Err(arguments::invalid_choice("command", word, &COMMANDS)),
        }
    }
}

/// Prints the usage error of a subcommand without tags, with the subcommand's own usage line.
fn missing_tag(program: &'static str) -> Failure {
    let several = if program.ends_with("add") {
        1..=usize::MAX
    } else {
        1..=1
    };
    let line = arguments::base_command(program).arg(
        Arg::new("tag")
            .value_name("tag")
            .num_args(several)
            .required(true),
    );
    print_usage_error(
        &usage(&line),
        &format!("{program}: error: the following arguments are required: tag"),
    );
    Failure::AlreadyReported(2)
}

fn list(out: &mut Output, json: bool, vm: &Vm) -> Result<(), Failure> {
    let mut tags: Vec<&str> = vm.tags.iter().map(|tag| &**tag).collect();
    tags.sort_unstable();
    if json {
        return out.line(&serde_json::to_string_pretty(&tags)?);
    }
    tags.iter().try_for_each(|tag| out.line(tag))
}

/// Returns the section of the manual page about the subcommands.
pub fn manual() -> Vec<Section> {
    vec![Subcommand::manual(&SUBCOMMANDS)]
}
