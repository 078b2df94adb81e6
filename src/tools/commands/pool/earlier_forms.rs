//! The forms of qvm-pool of R3 and early releases of R4: options in place of subcommands.

use clap::{ArgAction, Args};

use super::{Form, add, complete_option, drivers, info, list, remove, set};
use crate::tools::completion::{self, Completer};
use crate::tools::ui::arguments::{JsonOption, NotUpstream};
use crate::tools::ui::failure::Failure;
use crate::tools::ui::invocation::Invocation;

/// Their usage.
pub const EARLIER_USAGE: &str =
    "usage: qvm-pool [--verbose] [--quiet] [--help] [--version] [-o options]
                [-l | -i POOLNAME | -a NAME DRIVER | -r NAME | -s POOLNAME | --help-drivers]";

/// Their options.
#[derive(Args)]
#[command(next_help_heading = "Earlier forms")]
pub struct EarlierForms {
    /// With --add or --set, set an option of the pool (can be repeated, and several can be
    /// separated by commas)
    #[arg(
        long,
        short,
        value_name = "NAME=VALUE",
        add = NotUpstream,
        add = Completer(complete_option)
    )]
    option: Vec<String>,
    /// Same as list
    #[arg(long, short, group = "form", add = NotUpstream)]
    list: bool,
    /// Same as info POOL_NAME (can be repeated)
    #[arg(
        long,
        short,
        group = "form",
        value_name = "POOL_NAME",
        add = NotUpstream,
        add = completion::POOLS
    )]
    info: Vec<String>,
    /// Same as add POOL_NAME DRIVER
    #[arg(
        long,
        short,
        group = "form",
        action = ArgAction::Set,
        num_args = 2,
        value_names = ["POOL_NAME", "DRIVER"],
        add = NotUpstream
    )]
    add: Vec<String>,
    /// Same as remove POOL_NAME
    #[arg(
        long,
        short,
        group = "form",
        value_name = "POOL_NAME",
        add = NotUpstream,
        add = completion::POOLS
    )]
    remove: Vec<String>,
    /// Same as set POOL_NAME
    #[arg(
        long,
        short,
        group = "form",
        value_name = "POOL_NAME",
        add = NotUpstream,
        add = completion::POOLS
    )]
    set: Option<String>,
    /// Same as drivers
    #[arg(long, group = "form", add = NotUpstream)]
    help_drivers: bool,
}

impl EarlierForms {
    /// Does what the options ask for.
    pub fn run(self, call: &mut Invocation, output: JsonOption) -> Result<u8, Failure> {
        let options = self.option.iter().flat_map(|text| text.split(','));
        let options: Vec<String> = options
            .filter(|text| !text.is_empty())
            .map(String::from)
            .collect();
        if self.help_drivers {
            return drivers(call, output);
        }
        if self.list {
            return list(call, output);
        }
        if !self.info.is_empty() {
            return info(call, output, &self.info, Form::Earlier);
        }
        output.refuse("a change of a pool")?;
        match (self.add.as_slice(), self.set) {
            ([name, driver], _) => add(call, name, driver, &options),
            (_, Some(name)) => set(call, &name, &options, Form::Earlier),
            _ if !self.remove.is_empty() => remove(call, &self.remove, Form::Earlier),
            _ => Err(Failure::usage(
                "the following arguments are required: COMMAND",
            )),
        }
    }
}
