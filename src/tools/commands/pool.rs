//! qvm-pool: storage pools.

use clap::{Arg, ArgAction};
use serde_json::{Value as Json, json};

use crate::lifecycle::pool::PoolDetails;
use crate::lifecycle::{Context, LifecycleError, pool};
use crate::model::pool_driver::{DRIVERS, SETTABLE_OPTIONS};
use crate::model::{DriverSpec, NewPool, PoolError, Qubes};
use crate::tools::Command;
use crate::tools::completion::{self, Completer, Cursor, Offer};
use crate::tools::manual::Section;
use crate::tools::ui::arguments::{
    self, NotUpstream, SUBCOMMAND_ID, flag, mutually_exclusive, output_option,
};
use crate::tools::ui::failure::{Failure, quoted};
use crate::tools::ui::hint::{self, Hint};
use crate::tools::ui::invocation::{Invocation, read_until_exit};
use crate::tools::ui::output::{print_message, print_usage_error};
use crate::tools::ui::pairs::parse_pairs;
use crate::tools::ui::subcommand::{Count, Positional, Subcommand};
use crate::tools::ui::table;

const NEW_POOL: Positional = Positional::new("POOL_NAME", Count::One, "Name of the pool");
const POOL: Positional = NEW_POOL.completer(completion::POOLS);
const POOLS: Positional = Positional::new("POOL_NAME", Count::OneOrMore, "Names of the pools")
    .completer(completion::POOLS);
const DRIVER: Positional = Positional::new(
    "DRIVER",
    Count::One,
    "Driver of the pool; qvm-pool drivers lists them",
)
.completer(Completer(|_| Offer::words(DriverSpec::names())));

/// The subcommands, in the order of usage lines.
const COMMANDS: [Subcommand; 6] = [
    Subcommand {
        program: "qvm-pool drivers",
        words: &["drivers", "d"],
        positionals: &[],
        options: Subcommand::NO_OPTIONS,
        has_json: true,
        about: "List the drivers and the options of their pools",
    },
    Subcommand {
        program: "qvm-pool list",
        words: &["list", "l", "ls"],
        positionals: &[],
        options: Subcommand::NO_OPTIONS,
        has_json: true,
        about: "List the pools (the default command)",
    },
    Subcommand {
        program: "qvm-pool info",
        words: &["info", "i"],
        positionals: &[POOL],
        options: Subcommand::NO_OPTIONS,
        has_json: true,
        about: "Show the options, the size and the usage of a pool (sizes in bytes)",
    },
    Subcommand {
        program: "qvm-pool add",
        words: &["add", "a"],
        positionals: &[NEW_POOL, DRIVER],
        options: with_options,
        has_json: false,
        about: "Add a pool and prepare its storage",
    },
    Subcommand {
        program: "qvm-pool remove",
        words: &["remove", "r", "rm"],
        positionals: &[POOLS],
        options: Subcommand::NO_OPTIONS,
        has_json: false,
        about: "Remove unused pools from the store and keep their storage",
    },
    Subcommand {
        program: "qvm-pool set",
        words: &["set", "s"],
        positionals: &[POOL],
        options: with_options,
        has_json: false,
        about: "Change the options revisions_to_keep and ephemeral_volatile of a pool",
    },
];

/// The usage of the forms of R3 and early releases of R4.
const LEGACY_USAGE: &str = "usage: qvm-pool [--verbose] [--quiet] [--help] [--version] [-o options]
                [-l | -i POOLNAME | -a NAME DRIVER | -r NAME | -s POOLNAME | --help-drivers]";

fn with_options(line: clap::Command) -> clap::Command {
    let help = "Set an option of the pool (can be repeated)";
    line.arg(
        Arg::new("option")
            .long("option")
            .short('o')
            .value_name("OPTION")
            .action(ArgAction::Append)
            .help(help),
    )
}

/// Returns the help of a subcommand.
fn subcommand_help(word: &str) -> Option<String> {
    Subcommand::help(&COMMANDS, word)
}

/// `qvm-pool`
pub const QVM_POOL: Command =
    Command::new("qvm-pool", "List and change storage pools", define, run)
        .with_subcommands(subcommand_help);

fn define(line: clap::Command) -> clap::Command {
    let legacy = |id, short: Option<char>, help| {
        output_option(flag(id, short, help))
            .help_heading("Earlier forms")
            .add(NotUpstream)
    };
    let of_pool = |id, short, help| {
        let arg = Arg::new(id)
            .long(id)
            .short(short)
            .value_name("POOL_NAME")
            .action(ArgAction::Append)
            .add(completion::POOLS);
        arg.help(help)
            .help_heading("Earlier forms")
            .add(NotUpstream)
    };
    let line = line
        .arg(arguments::json_flag())
        .arg(
            Arg::new("option")
                .long("option")
                .short('o')
                .value_name("NAME=VALUE")
                .action(ArgAction::Append)
                .help_heading("Options of add and set")
                .add(NotUpstream)
                .add(Completer(complete_option))
                .help(
                    "Set an option of the pool (can be repeated; the earlier forms also take \
                       several separated by commas)",
                ),
        )
        .arg(legacy("list", Some('l'), "Same as list"))
        .arg(of_pool(
            "info",
            'i',
            "Same as info POOL_NAME (can be repeated)",
        ))
        .arg(
            Arg::new("add")
                .long("add")
                .short('a')
                .num_args(2)
                .value_names(["POOL_NAME", "DRIVER"])
                .help("Same as add POOL_NAME DRIVER")
                .help_heading("Earlier forms")
                .add(NotUpstream),
        )
        .arg(of_pool("remove", 'r', "Same as remove POOL_NAME"))
        .arg(of_pool("set", 's', "Same as set POOL_NAME"))
        .arg(legacy("help-drivers", None, "Same as drivers"))
        .arg(
            Arg::new(SUBCOMMAND_ID)
                .value_name(Subcommand::usage_words(&COMMANDS))
                .help(
                    "Command with its arguments: list, info POOL_NAME, add POOL_NAME DRIVER, \
                       remove POOL_NAME..., set POOL_NAME or drivers (default: list)",
                )
                .add(Completer(|_| Subcommand::complete_name(&COMMANDS))),
        )
        .arg(
            Arg::new("word")
                .value_name("WORD")
                .num_args(0..)
                .hide(true)
                .add(Completer(|cursor| {
                    Subcommand::complete_argument(&COMMANDS, cursor)
                })),
        );
    mutually_exclusive(
        line,
        "legacy",
        &["list", "info", "add", "remove", "set", "help-drivers"],
    )
}

/// Completes `NAME=` with the options of a new pool's driver, or with those that can be changed.
fn complete_option<'a>(cursor: &Cursor<'a>) -> Offer<'a> {
    if cursor.current.starts_with("dir_path=") {
        return Offer::Files;
    }
    let driver = match cursor.positionals.as_slice() {
        ["add" | "a", _, driver, ..] => DriverSpec::find(driver),
        _ => None,
    };
    let options = driver.map_or(SETTABLE_OPTIONS.to_vec(), |driver| {
        driver.option_names().collect()
    });
    Offer::words(options.iter().map(|option| format!("{option}=")))
}

/// What a command line asks for.
enum PoolCommand {
    Drivers,
    List,
    Info(Vec<String>),
    Add { name: String, driver: String },
    Remove(Vec<String>),
    Set(String),
}

fn run(call: &mut Invocation) -> Result<u8, Failure> {
    let (command, is_legacy) = match parse_legacy_form(call) {
        Some(command) => (command, true),
        None => (parse_subcommand(call)?, false),
    };
    let options: Vec<String> = call
        .values("option")
        .iter()
        .flat_map(|text| split_options(text, is_legacy))
        .collect();
    let pairs = parse_pairs(&options, |text| {
        format!("option {} is not of the form NAME=VALUE", quoted(text))
    })?;
    if let PoolCommand::Drivers = command {
        return drivers(call);
    }
    if !matches!(command, PoolCommand::List | PoolCommand::Info(_)) {
        call.refuse_json("a change of a pool")?;
    }
    let context = Context::new(call.system()?);
    match command {
        PoolCommand::Drivers => drivers(call),
        PoolCommand::List => list(call, &context),
        PoolCommand::Info(names) => info(call, &context, &names, is_legacy),
        PoolCommand::Add { name, driver } => {
            let new = NewPool {
                name: &name,
                driver: &driver,
                options: &pairs,
            };
            pool::add(&context, &new)
                .map_err(|error| change_failure(&format!("add pool {name}"), &error))
                .map(|()| 0)
        }
        PoolCommand::Remove(names) => {
            let names: Vec<&str> = names.iter().map(String::as_str).collect();
            match pool::remove(&context, &names) {
                Ok(()) => Ok(0),
                Err(LifecycleError::Pool(error @ PoolError::NoSuchPool(_))) => {
                    Err(no_such_pool(&error, is_legacy))
                }
                Err(error) => Err(change_failure(
                    &format!("remove pool {}", names.join(", ")),
                    &error,
                )),
            }
        }
        PoolCommand::Set(name) => set(&context, &name, &pairs, is_legacy),
    }
}

/// Returns the command that the options of R3 and early R4 name.
fn parse_legacy_form(call: &Invocation) -> Option<PoolCommand> {
    let texts = |id| -> Vec<String> { call.values(id).into_iter().map(String::from).collect() };
    if call.has("help-drivers") {
        return Some(PoolCommand::Drivers);
    }
    if call.has("list") {
        return Some(PoolCommand::List);
    }
    match (
        texts("info"),
        &*texts("add"),
        texts("remove"),
        &*texts("set"),
    ) {
        (names, ..) if !names.is_empty() => Some(PoolCommand::Info(names)),
        (_, [name, driver], ..) => Some(PoolCommand::Add {
            name: name.clone(),
            driver: driver.clone(),
        }),
        (_, _, names, _) if !names.is_empty() => Some(PoolCommand::Remove(names)),
        (_, _, _, [.., name]) => Some(PoolCommand::Set(name.clone())),
        _ => None,
    }
}

fn parse_subcommand(call: &Invocation) -> Result<PoolCommand, Failure> {
    let words = call.values("word");
    let command = Subcommand::parse(
        &COMMANDS,
        call.value(SUBCOMMAND_ID).unwrap_or("list"),
        &words,
    )?;
    command.reject_foreign_options(&COMMANDS, call)?;
    let texts = || words.iter().map(ToString::to_string).collect::<Vec<_>>();
    Ok(match (command.words.first(), words.as_slice()) {
        (Some(&"drivers"), _) => PoolCommand::Drivers,
        (Some(&"info"), _) => PoolCommand::Info(texts()),
        (Some(&"add"), [name, driver, ..]) => PoolCommand::Add {
            name: name.to_string(),
            driver: driver.to_string(),
        },
        (Some(&"remove"), _) => PoolCommand::Remove(texts()),
        (Some(&"set"), [name, ..]) => PoolCommand::Set(name.to_string()),
        _ => PoolCommand::List,
    })
}

/// Splits the value of `-o`: in the earlier forms it holds several options separated by commas.
fn split_options(text: &str, is_legacy: bool) -> Vec<String> {
    match is_legacy {
        true => text
            .split(',')
            .filter(|part| !part.is_empty())
            .map(String::from)
            .collect(),
        false => vec![text.to_string()],
    }
}

/// Returns the failure of a change. Upstream's message ends with a line feed of its own.
fn change_failure(what: &str, error: &LifecycleError) -> Failure {
    Failure::Error(format!("Failed to {what}: {}\n", hint::describe(error)))
        .with_hint(Hint::for_error(error))
}

fn no_such_pool(error: &PoolError, is_legacy: bool) -> Failure {
    let failure = match is_legacy {
        false => Failure::usage(error.to_string()),
        true => {
            print_usage_error(LEGACY_USAGE, &format!("qvm-pool: error: {error}"));
            Failure::AlreadyReported(2)
        }
    };
    failure.with_hint(Hint::for_pool_error(error))
}

fn set(
    context: &Context,
    name: &str,
    options: &[(&str, &str)],
    is_legacy: bool,
) -> Result<u8, Failure> {
    if context.read()?.pools.get(name).is_none() {
        return Err(no_such_pool(
            &PoolError::NoSuchPool(name.to_string()),
            is_legacy,
        ));
    }
    pool::set_options(context, name, options)
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

fn drivers(call: &mut Invocation) -> Result<u8, Failure> {
    if call.has("json") {
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

fn list(call: &mut Invocation, context: &Context) -> Result<u8, Failure> {
    let qubes = read_until_exit(context)?;
    let names: Vec<&str> = qubes.pools.iter().map(|pool| pool.name()).collect();
    if call.has("json") {
        call.print_json(
            &describe_pools(context, &qubes, &names)
                .iter()
                .map(pool_json)
                .collect(),
        )?;
    } else {
        let mut rows = vec![["NAME", "DRIVER"]];
        rows.extend(qubes.pools.iter().map(|pool| [pool.name(), pool.driver()]));
        table::print(&mut call.out, &rows)?;
    }
    warn_about_full_pools(call, &describe_pools(context, &qubes, &names));
    Ok(0)
}

fn info(
    call: &mut Invocation,
    context: &Context,
    names: &[String],
    is_legacy: bool,
) -> Result<u8, Failure> {
    let qubes = read_until_exit(context)?;
    if let Some(unknown) = names.iter().find(|name| qubes.pools.get(name).is_none()) {
        return Err(no_such_pool(
            &PoolError::NoSuchPool(unknown.clone()),
            is_legacy,
        ));
    }
    let names: Vec<&str> = names.iter().map(String::as_str).collect();
    let pools = describe_pools(context, &qubes, &names);
    if call.has("json") {
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

/// Returns the sections of the manual page about the subcommands and the drivers.
pub fn manual() -> Vec<Section> {
    let drivers = DRIVERS
        .iter()
        .map(|driver| (driver.name, format!("Options: {}.", option_list(driver))));
    vec![
        Subcommand::manual(&COMMANDS),
        Section::definitions("drivers", drivers),
    ]
}
