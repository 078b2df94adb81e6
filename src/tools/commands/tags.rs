//! qvm-tags: tags of a qube.

use clap::{Args, Subcommand};

use crate::lifecycle::{Context, qube};
use crate::model::Vm;
use crate::tools::completion::{self, Completer, Offer};
use crate::tools::ui::arguments::JsonOption;
use crate::tools::ui::failure::Failure;
use crate::tools::ui::hint::Hint;
use crate::tools::ui::invocation::{Invocation, read_until_exit};
use crate::tools::ui::output::Output;
use crate::tools::ui::quoted::quoted;
use crate::tools::ui::subcommand::{DefaultSubcommand, PrintsNothing};
use crate::tools::ui::suggestion::did_you_mean;
use crate::tools::{Command, Run};

/// `qvm-tags`
pub const QVM_TAGS: Command =
    Command::of::<TagsArguments>("qvm-tags", "Show or change tags of a qube");

/// The arguments of qvm-tags.
#[derive(Args)]
#[command(
    subcommand_negates_reqs = true,
    add = DefaultSubcommand("list"),
    add = PrintsNothing("a change of tags")
)]
struct TagsArguments {
    #[command(subcommand)]
    command: TagCommand,
    /// Name of the qube
    // Each subcommand takes it.
    #[arg(id = "name", value_name = "VMNAME", required = true, add = completion::QUBES)]
    _name: Option<String>,
}

/// The subcommands, in the order of usage lines.
#[derive(Subcommand)]
enum TagCommand {
    /// List the tags, or check for one tag
    #[command(visible_aliases = ["ls", "l"])]
    List {
        #[command(flatten)]
        qube: QubeName,
        /// Tag to check for: print it and exit with 0 if the qube has it, else exit with 1
        #[arg(value_name = "tag", add = OWN_TAGS)]
        tag: Option<String>,
        #[command(flatten)]
        output: JsonOption,
    },
    /// Add tags to the qube
    #[command(visible_aliases = ["a", "set"])]
    Add {
        #[command(flatten)]
        qube: QubeName,
        /// Tags to add
        #[arg(value_name = "tag", required = true, num_args = 1.., add = completion::TAGS)]
        tags: Vec<String>,
    },
    /// Remove a tag from the qube
    #[command(visible_aliases = ["d", "unset", "u"])]
    Del {
        #[command(flatten)]
        qube: QubeName,
        /// Tag to remove
        #[arg(value_name = "tag", add = OWN_TAGS)]
        tag: String,
    },
}

/// The qube, which is named before the subcommand.
#[derive(Args)]
struct QubeName {
    #[arg(hide = true)]
    name: String,
}

const OWN_TAGS: Completer = Completer(|cursor| Offer::TagsOf(cursor.first()));

impl Run for TagsArguments {
    fn run(self, call: &mut Invocation) -> Result<u8, Failure> {
        let (TagCommand::List { qube, .. }
        | TagCommand::Add { qube, .. }
        | TagCommand::Del { qube, .. }) = &self.command;
        let context = Context::new(call.system()?);
        let qubes = read_until_exit(&context)?;
        let vm = call.named_qube(&qubes, &qube.name)?;
        match &self.command {
            TagCommand::List {
                tag: None, output, ..
            } => list(&mut call.out, output.json, vm)?,
            TagCommand::List { tag: Some(tag), .. } if !vm.has_tag(tag) => {
                print_tag_hint(call, vm, tag);
                return Ok(1);
            }
            TagCommand::List {
                tag: Some(tag),
                output,
                ..
            } => match output.json {
                true => call.print_json(&tag.as_str().into())?,
                false => call.out.line(tag)?,
            },
            TagCommand::Add { tags, .. } => {
                let tags: Vec<&str> = tags.iter().map(String::as_str).collect();
                qube::add_tags(&context, &vm.name, &tags)?;
            }
            TagCommand::Del { tag, .. } => {
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

fn list(out: &mut Output, json: bool, vm: &Vm) -> Result<(), Failure> {
    let mut tags: Vec<&str> = vm.tags.iter().map(|tag| &**tag).collect();
    tags.sort_unstable();
    if json {
        return out.line(&serde_json::to_string_pretty(&tags)?);
    }
    tags.iter().try_for_each(|tag| out.line(tag))
}
