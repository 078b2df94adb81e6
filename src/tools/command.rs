//! What a command is: its name, its arguments, and the function that runs it.

use clap::Args;

use super::command_definition::CommandDefinition;
use super::ui::failure::Failure;
use super::ui::invocation::Invocation;

/// The arguments of a command with what it does. Each command has a type of its own, which clap
/// fills.
pub trait Run: Args {
    /// Runs the command and returns the exit code.
    fn run(self, call: &mut Invocation) -> Result<u8, Failure>;
}

/// One command.
pub struct Command {
    /// The program's name.
    pub name: &'static str,
    /// What it does, in one line.
    pub about: &'static str,
    /// Adds its own arguments to the common ones.
    pub define: fn(clap::Command) -> clap::Command,
    /// Runs it and returns the exit code.
    pub run: fn(&mut Invocation) -> Result<u8, Failure>,
    /// Whether other programs of ours start it, so that lists for people leave it out.
    pub hidden: bool,
}

impl Command {
    pub(super) const fn of<A: Run>(name: &'static str, about: &'static str) -> Command {
        Command {
            name,
            about,
            define: A::augment_args,
            run: |call| {
                A::from_arg_matches(&call.matches)
                    .map_err(Failure::error)?
                    .run(call)
            },
            hidden: false,
        }
    }

    pub(super) const fn hidden(self) -> Command {
        Command {
            hidden: true,
            ..self
        }
    }

    pub(super) const fn definition(&self) -> CommandDefinition {
        CommandDefinition {
            name: self.name,
            about: self.about,
            define: self.define,
            hidden: self.hidden,
        }
    }

    /// Returns the command line with the common options.
    pub fn clap_command(&self) -> clap::Command {
        self.definition().clap_command()
    }
}
