//! qvm-pool: storage pools.

mod earlier_forms;
mod listing;

use clap::{Args, Subcommand};

use crate::lifecycle::{Context, LifecycleError, pool};
use crate::model::pool_driver::{DRIVERS, SETTABLE_OPTIONS};
use crate::model::{DriverSpec, NewPool, PoolError, Qubes};
use crate::tools::completion::{self, Completer, Cursor, Offer};
use crate::tools::manual::section::Section;
use crate::tools::ui::arguments::JsonOption;
use crate::tools::ui::failure::Failure;
use crate::tools::ui::hint::{self, Hint};
use crate::tools::ui::invocation::Invocation;
use crate::tools::ui::output::print_usage_error;
use crate::tools::ui::pairs::parse_pairs;
use crate::tools::ui::quoted::quoted;
use crate::tools::ui::subcommand::{DefaultSubcommand, PrintsNothing};
use crate::tools::{Command, Run};
use earlier_forms::{EARLIER_USAGE, EarlierForms};
use listing::{drivers, info, list, option_list};

/// `qvm-pool`
pub const QVM_POOL: Command =
    Command::of::<PoolArguments>("qvm-pool", "List and change storage pools");

/// The arguments of qvm-pool.
#[derive(Args)]
#[command(add = DefaultSubcommand("list"), add = PrintsNothing("a change of a pool"))]
struct PoolArguments {
    #[command(subcommand)]
    command: Option<PoolCommand>,
    #[command(flatten)]
    output: JsonOption,
    #[command(flatten)]
    earlier: EarlierForms,
}

/// The subcommands, in the order of usage lines.
#[derive(Subcommand)]
enum PoolCommand {
    /// List the drivers and the options of their pools
    #[command(visible_alias = "d")]
    Drivers(JsonOption),
    /// List the pools (the default command)
    #[command(visible_aliases = ["l", "ls"])]
    List(JsonOption),
    /// Show the options, the size and the usage of a pool (sizes in bytes)
    #[command(visible_alias = "i")]
    Info {
        #[command(flatten)]
        pool: PoolName,
        #[command(flatten)]
        output: JsonOption,
    },
    /// Add a pool and prepare its storage
    #[command(visible_alias = "a")]
    Add {
        /// Name of the pool
        #[arg(value_name = "POOL_NAME")]
        name: String,
        /// Driver of the pool; qvm-pool drivers lists them
        #[arg(value_name = "DRIVER", add = Completer(|_| Offer::words(DriverSpec::names())))]
        driver: String,
        #[command(flatten)]
        options: PoolOptions,
    },
    /// Remove unused pools from the store and keep their storage
    #[command(visible_aliases = ["r", "rm"])]
    Remove {
        /// Names of the pools
        #[arg(value_name = "POOL_NAME", required = true, num_args = 1.., add = completion::POOLS)]
        names: Vec<String>,
    },
    /// Change the options revisions_to_keep and ephemeral_volatile of a pool
    #[command(visible_alias = "s")]
    Set {
        #[command(flatten)]
        pool: PoolName,
        #[command(flatten)]
        options: PoolOptions,
    },
}

#[derive(Args)]
struct PoolName {
    /// Name of the pool
    #[arg(value_name = "POOL_NAME", add = completion::POOLS)]
    name: String,
}

#[derive(Args)]
struct PoolOptions {
    /// Set an option of the pool, NAME=VALUE (can be repeated)
    #[arg(long, short, add = Completer(complete_option))]
    option: Vec<String>,
}

/// Completes `NAME=` with the options of a new pool's driver, or with those that can be changed.
fn complete_option<'a>(cursor: &Cursor<'a>) -> Offer<'a> {
    if cursor.current.starts_with("dir_path=") {
        return Offer::Files;
    }
    let driver = cursor.positionals.get(1);
    let options = driver
        .and_then(|driver| DriverSpec::find(driver))
        .map_or(SETTABLE_OPTIONS.to_vec(), |driver| {
            driver.option_names().collect()
        });
    Offer::words(options.iter().map(|option| format!("{option}=")))
}

/// How a command line is written, which decides the usage that an error shows.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Form {
    Subcommand,
    Earlier,
}

impl Run for PoolArguments {
    fn run(self, call: &mut Invocation) -> Result<u8, Failure> {
        let Some(command) = self.command else {
            return self.earlier.run(call, self.output);
        };
        match command {
            PoolCommand::Drivers(output) => drivers(call, output),
            PoolCommand::List(output) => list(call, output),
            PoolCommand::Info { pool, output } => {
                info(call, output, &[pool.name], Form::Subcommand)
            }
            PoolCommand::Add {
                name,
                driver,
                options,
            } => add(call, &name, &driver, &options.option),
            PoolCommand::Remove { names } => remove(call, &names, Form::Subcommand),
            PoolCommand::Set { pool, options } => {
                set(call, &pool.name, &options.option, Form::Subcommand)
            }
        }
    }
}

fn option_pairs(options: &[String]) -> Result<Vec<(&str, &str)>, Failure> {
    parse_pairs(options, |text| {
        format!("option {} is not of the form NAME=VALUE", quoted(text))
    })
}

fn add(call: &Invocation, name: &str, driver: &str, options: &[String]) -> Result<u8, Failure> {
    let options = &option_pairs(options)?;
    let new = NewPool {
        name,
        driver,
        options,
    };
    pool::add(&Context::new(call.system()?), &new)
        .map_err(|error| change_failure(&format!("add pool {name}"), &error))
        .map(|()| 0)
}

fn remove(call: &Invocation, names: &[String], form: Form) -> Result<u8, Failure> {
    let names: Vec<&str> = names.iter().map(String::as_str).collect();
    match pool::remove(&Context::new(call.system()?), &names) {
        Ok(()) => Ok(0),
        Err(LifecycleError::Pool(error @ PoolError::NoSuchPool(_))) => {
            Err(no_such_pool(&error, form))
        }
        Err(error) => Err(change_failure(
            &format!("remove pool {}", names.join(", ")),
            &error,
        )),
    }
}

/// Returns the failure of a change. Upstream's message ends with a line feed of its own.
fn change_failure(what: &str, error: &LifecycleError) -> Failure {
    Failure::Error(format!("Failed to {what}: {}\n", hint::describe(error)))
        .with_hint(Hint::for_error(error))
}

fn no_such_pool(error: &PoolError, form: Form) -> Failure {
    let failure = match form {
        Form::Subcommand => Failure::usage(error.to_string()),
        Form::Earlier => {
            print_usage_error(EARLIER_USAGE, &format!("qvm-pool: error: {error}"));
            Failure::AlreadyReported(2)
        }
    };
    failure.with_hint(Hint::for_pool_error(error))
}

/// Checks that the store has the pools.
fn check_pools(qubes: &Qubes, names: &[&str], form: Form) -> Result<(), Failure> {
    let unknown = names.iter().find(|name| qubes.pools.get(name).is_none());
    unknown.map_or(Ok(()), |name| {
        Err(no_such_pool(&PoolError::NoSuchPool(name.to_string()), form))
    })
}

fn set(call: &Invocation, name: &str, options: &[String], form: Form) -> Result<u8, Failure> {
    let options = option_pairs(options)?;
    let context = Context::new(call.system()?);
    let qubes = context.read()?;
    check_pools(&qubes, &[name], form)?;
    drop(qubes);
    pool::set_options(&context, name, &options)
        .map(|()| 0)
        .map_err(|error| match error.is_not_settable() {
            true => {
                // A name that is right belongs to another driver.
                let is_known = SETTABLE_OPTIONS.contains(&error.option.as_str());
                let hint =
                    || Hint::one_of(&error.option, "what can be changed is", &SETTABLE_OPTIONS);
                Failure::Error(format!("{error}\n")).with_hint((!is_known).then(hint))
            }
            false => change_failure(
                &format!("set option {} for pool {name}", error.option),
                &error.source,
            ),
        })
}

/// Returns the section of the manual page about the drivers.
pub fn manual() -> Vec<Section> {
    let drivers = DRIVERS
        .iter()
        .map(|driver| (driver.name, format!("Options: {}.", option_list(driver))));
    vec![Section::definitions("drivers", drivers)]
}
