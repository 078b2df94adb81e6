//! qvm-pool: storage pools.

use clap::{ArgAction, Args, Subcommand};
use serde_json::{Value as Json, json};

use crate::lifecycle::pool::PoolDetails;
use crate::lifecycle::{Context, LifecycleError, pool};
use crate::model::pool_driver::{DRIVERS, SETTABLE_OPTIONS};
use crate::model::{DriverSpec, NewPool, PoolError, Qubes};
use crate::tools::completion::{self, Completer, Cursor, Offer};
use crate::tools::manual::Section;
use crate::tools::ui::arguments::{JsonOption, NotUpstream};
use crate::tools::ui::failure::{Failure, quoted};
use crate::tools::ui::hint::{self, Hint};
use crate::tools::ui::invocation::{Invocation, read_until_exit};
use crate::tools::ui::output::{print_message, print_usage_error};
use crate::tools::ui::pairs::parse_pairs;
use crate::tools::ui::subcommand::{DefaultSubcommand, PrintsNothing};
use crate::tools::ui::table;
use crate::tools::{Command, Run};

/// The usage of the forms of R3 and early releases of R4.
const LEGACY_USAGE: &str = "usage: qvm-pool [--verbose] [--quiet] [--help] [--version] [-o options]
                [-l | -i POOLNAME | -a NAME DRIVER | -r NAME | -s POOLNAME | --help-drivers]";

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

/// The forms of R3 and early releases of R4, which have options in place of subcommands.
#[derive(Args)]
#[command(next_help_heading = "Earlier forms")]
struct EarlierForms {
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

impl EarlierForms {
    fn run(self, call: &mut Invocation, output: JsonOption) -> Result<u8, Failure> {
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
            print_usage_error(LEGACY_USAGE, &format!("qvm-pool: error: {error}"));
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

fn drivers(call: &mut Invocation, output: JsonOption) -> Result<u8, Failure> {
    if output.json {
        let driver = |driver: &DriverSpec| {
            let required = driver.required_options().map(|option| option.name);
            json!({
                "driver": driver.name,
                "options": driver.option_names().collect::<Vec<_>>(),
                "required": required.collect::<Vec<_>>(),
            })
        };
        return call
            .print_json(&DRIVERS.iter().map(driver).collect())
            .map(|()| 0);
    }
    let mut rows = vec![["DRIVER".to_string(), "OPTIONS".to_string()]];
    rows.extend(
        DRIVERS
            .iter()
            .map(|driver| [driver.name.to_string(), option_list(driver)]),
    );
    table::print(&mut call.out, &rows).map(|()| 0)
}

fn list(call: &mut Invocation, output: JsonOption) -> Result<u8, Failure> {
    let context = Context::new(call.system()?);
    let qubes = read_until_exit(&context)?;
    let names: Vec<&str> = qubes.pools.iter().map(|pool| pool.name()).collect();
    let pools = describe_pools(&context, &qubes, &names);
    if output.json {
        call.print_json(&pools.iter().map(pool_json).collect())?;
    } else {
        let mut rows = vec![["NAME", "DRIVER"]];
        rows.extend(qubes.pools.iter().map(|pool| [pool.name(), pool.driver()]));
        table::print(&mut call.out, &rows)?;
    }
    warn_about_full_pools(call, &pools);
    Ok(0)
}

fn info(
    call: &mut Invocation,
    output: JsonOption,
    names: &[String],
    form: Form,
) -> Result<u8, Failure> {
    let context = Context::new(call.system()?);
    let qubes = read_until_exit(&context)?;
    let names: Vec<&str> = names.iter().map(String::as_str).collect();
    check_pools(&qubes, &names, form)?;
    let pools = describe_pools(&context, &qubes, &names);
    if output.json {
        match pools.as_slice() {
            [only] => call.print_json(&pool_json(only))?,
            several => call.print_json(&several.iter().map(pool_json).collect())?,
        }
    } else {
        for pool in &pools {
            table::print(&mut call.out, &info_rows(pool))?;
        }
    }
    for pool in &pools {
        if let Some(reason) = &pool.unknown_reason
            && call.common.verbosity() > 1
        {
            print_message(&format!("{}: {reason}", pool.name));
        }
    }
    warn_about_full_pools(call, &pools);
    Ok(0)
}

fn describe_pools(context: &Context, qubes: &Qubes, names: &[&str]) -> Vec<PoolDetails> {
    names
        .iter()
        .filter_map(|name| pool::details(context, qubes, name))
        .collect()
}

/// Warns about pools that are nearly full, whatever is listed.
fn warn_about_full_pools(call: &Invocation, pools: &[PoolDetails]) {
    for warning in pools.iter().flat_map(|pool| &pool.warnings) {
        call.warn("qvm-pool", warning);
    }
}

/// Returns the rows of `info`: the name first, then everything else sorted.
fn info_rows(pool: &PoolDetails) -> Vec<[String; 2]> {
    let mut rows: Vec<[String; 2]> = pool
        .options
        .iter()
        .map(|(name, text)| [name.clone(), text.clone()])
        .collect();
    rows.push(["driver".to_string(), pool.driver.clone()]);
    if let Some(above) = &pool.included_in {
        rows.push(["included_in".to_string(), above.clone()]);
    }
    if let Some(room) = pool.listed_space() {
        rows.push(["size".to_string(), room.size.to_string()]);
        rows.push(["usage".to_string(), room.used.to_string()]);
    }
    rows.sort();
    rows.insert(0, ["name".to_string(), pool.name.clone()]);
    rows
}

fn pool_json(pool: &PoolDetails) -> Json {
    let options: serde_json::Map<String, Json> = pool
        .options
        .iter()
        .map(|(name, text)| (name.clone(), text.as_str().into()))
        .collect();
    json!({
        "name": pool.name,
        "driver": pool.driver,
        "options": options,
        "size": pool.space.map(|room| room.size),
        "usage": pool.space.map(|room| room.used),
        "metadata_size": pool.metadata_space.map(|room| room.size),
        "metadata_usage": pool.metadata_space.map(|room| room.used),
        "included_in": pool.included_in,
        "nearly_full": !pool.warnings.is_empty(),
    })
}

/// Returns the names of a driver's options.
fn option_list(driver: &DriverSpec) -> String {
    driver.option_names().collect::<Vec<_>>().join(", ")
}

/// Returns the section of the manual page about the drivers.
pub fn manual() -> Vec<Section> {
    let drivers = DRIVERS
        .iter()
        .map(|driver| (driver.name, format!("Options: {}.", option_list(driver))));
    vec![Section::definitions("drivers", drivers)]
}
