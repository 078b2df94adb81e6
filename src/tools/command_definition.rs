//! What a command is without the function that runs it.

use super::ui::arguments;
use super::ui::subcommand;

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
