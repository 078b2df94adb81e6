//! What a command is: its name, its arguments, and the function that runs it.

use clap::Args;

use super::COMMANDS;
use super::ui::arguments;
use super::ui::failure::Failure;
use super::ui::invocation::Invocation;
use super::ui::subcommand;

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

/// A command without the function that runs it. The program for completion knows every command but
/// contains none.
#[derive(Clone, Copy)]
pub struct CommandDefinition {
    /// The program's name.
    pub name: &'static str,
    /// What it does, in one line.
    pub about: &'static str,
    /// Adds its own arguments to the common ones.
    pub define: fn(clap::Command) -> clap::Command,
    /// Whether lists for people leave it out.
    pub hidden: bool,
}

impl CommandDefinition {
    /// Returns the command line with the common options.
    pub fn clap_command(&self) -> clap::Command {
        let line = (self.define)(arguments::base_command(self.name))
            .about(self.about)
            .hide(self.hidden);
        subcommand::name_programs(arguments::add_force_alias(line))
    }
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

    /// Returns the command of this name.
    pub fn find(name: &str) -> Option<&'static Command> {
        COMMANDS.iter().find(|c| c.name == name)
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
