//! qvm-pool: storage pools.

use clap::{Arg, ArgAction, Command};
use serde_json::{Value as Json, json};

use super::arguments::{self, THE_COMMAND, exclusive, flag, of_listing};
use super::failure::{Failure, quoted};
use super::hint::Hint;
use super::invocation::{Invocation, read_for_good};
use super::output::{say, say_usage};
use super::subcommand::{Count, Subcommand};
use super::table;
use crate::lifecycle::pools::PoolShown;
use crate::lifecycle::{LifecycleError, Session};
use crate::model::{NewPool, POOL_DRIVERS, PoolError, Qubes};

/// The commands, in the order of usage lines.
pub const COMMANDS: [Subcommand; 6] = [
    Subcommand {
        program: "qvm-pool drivers",
        words: &["drivers", "d"],
        positionals: &[],
        options: Subcommand::PLAIN,
        about: "list the drivers and the options of their pools",
    },
    Subcommand {
        program: "qvm-pool list",
        words: &["list", "l", "ls"],
        positionals: &[],
        options: Subcommand::PLAIN,
        about: "list the pools; what is done when no command is given",
    },
    Subcommand {
        program: "qvm-pool info",
        words: &["info", "i"],
        positionals: &[("POOL_NAME", Count::One)],
        options: Subcommand::PLAIN,
        about: "show the options of a pool, its room, and how much of that is in use (bytes)",
    },
    Subcommand {
        program: "qvm-pool add",
        words: &["add", "a"],
        positionals: &[("POOL_NAME", Count::One), ("DRIVER", Count::One)],
        options: with_options,
        about: "prepare a place and add it as a pool; options with -o",
    },
    Subcommand {
        program: "qvm-pool remove",
        words: &["remove", "r", "rm"],
        positionals: &[("POOL_NAME", Count::OneOrMore)],
        options: Subcommand::PLAIN,
        about: "forget pools that nobody uses; what lies in their places stays",
    },
    Subcommand {
        program: "qvm-pool set",
        words: &["set", "s"],
        positionals: &[("POOL_NAME", Count::One)],
        options: with_options,
        about: "change options of a pool with -o: revisions_to_keep, ephemeral_volatile",
    },
];

/// The usage lines of the forms that R3 and early releases of R4 had.
const EARLIER_USAGE: &str =
    "usage: qvm-pool [--verbose] [--quiet] [--help] [--version] [-o options]
                [-l | -i POOLNAME | -a NAME DRIVER | -r NAME | -s POOLNAME | --help-drivers]";

fn with_options(line: Command) -> Command {
    let help = "an option of the pool, NAME=VALUE (can be repeated)";
    line.arg(
        Arg::new("option")
            .long("option")
            .short('o')
            .value_name("OPTION")
            .action(ArgAction::Append)
            .help(help),
    )
}

/// What `--help` prints for one of the commands.
pub fn help_of(word: &str) -> Option<String> {
    Subcommand::help(&COMMANDS, word)
}

pub fn define(line: Command) -> Command {
    let earlier = |id, short: Option<char>, help| {
        of_listing(flag(id, short, help)).help_heading("Earlier forms")
    };
    let of_pool = |id, short, help| {
        let arg = Arg::new(id)
            .long(id)
            .short(short)
            .value_name("POOL_NAME")
            .action(ArgAction::Append);
        arg.help(help).help_heading("Earlier forms")
    };
    let line = line
        .arg(arguments::json())
        .arg(
            Arg::new("option")
                .long("option")
                .short('o')
                .value_name("NAME=VALUE")
                .action(ArgAction::Append)
                .help_heading("Commands add and set")
                .help("an option of the pool (can be repeated; in the earlier forms also several with commas between)"),
        )
        .arg(earlier("list", Some('l'), "the same as list"))
        .arg(of_pool("info", 'i', "the same as info POOL_NAME (can be repeated)"))
        .arg(
            Arg::new("add")
                .long("add")
                .short('a')
                .num_args(2)
                .value_names(["POOL_NAME", "DRIVER"])
                .help("the same as add POOL_NAME DRIVER")
                .help_heading("Earlier forms"),
        )
        .arg(of_pool("remove", 'r', "the same as remove POOL_NAME"))
        .arg(of_pool("set", 's', "the same as set POOL_NAME"))
        .arg(earlier("help-drivers", None, "the same as drivers"))
        .arg(
            Arg::new(THE_COMMAND)
                .value_name(Subcommand::all_words(&COMMANDS))
                .help("list, info POOL, add POOL DRIVER, remove POOL..., set POOL, or drivers; list when left out"),
        )
        .arg(Arg::new("word").value_name("WORD").num_args(0..).hide(true));
    exclusive(
        line,
        "earlier",
        &["list", "info", "add", "remove", "set", "help-drivers"],
    )
}

/// What is to be done.
enum Wanted {
    Drivers,
    List,
    Info(Vec<String>),
    Add { name: String, driver: String },
    Remove(Vec<String>),
    Set(String),
}

pub fn run(call: &mut Invocation) -> Result<u8, Failure> {
    let (wanted, is_earlier) = match in_earlier_form(call) {
        Some(wanted) => (wanted, true),
        None => (in_todays_form(call)?, false),
    };
    let options: Vec<String> = call
        .values("option")
        .iter()
        .flat_map(|text| separated(text, is_earlier))
        .collect();
    let pairs = super::create::pairs(options.iter().map(String::as_str).collect(), |text| {
        format!("option {} is not of the form NAME=VALUE", quoted(text))
    })?;
    if let Wanted::Drivers = wanted {
        return drivers(call);
    }
    if !matches!(wanted, Wanted::List | Wanted::Info(_)) {
        call.refuse_json("a change of a pool")?;
    }
    let session = Session::new(call.system()?);
    match wanted {
        Wanted::Drivers => drivers(call),
        Wanted::List => list(call, &session),
        Wanted::Info(names) => info(call, &session, &names, is_earlier),
        Wanted::Add { name, driver } => {
            let new = NewPool {
                name: &name,
                driver: &driver,
                options: &pairs,
            };
            session
                .add_pool(&new)
                .map_err(|error| failed(&format!("add pool {name}"), &error))
                .map(|()| 0)
        }
        Wanted::Remove(names) => {
            let names: Vec<&str> = names.iter().map(String::as_str).collect();
            match session.remove_pools(&names) {
                Ok(()) => Ok(0),
                Err(LifecycleError::Pool(error @ PoolError::NoSuchPool(_))) => {
                    Err(no_such_pool(&error, is_earlier))
                }
                Err(error) => Err(failed(&format!("remove pool {}", names.join(", ")), &error)),
            }
        }
        Wanted::Set(name) => set(&session, &name, &pairs, is_earlier),
    }
}

/// What the options of R3 and early R4 ask for, wherever they stand.
fn in_earlier_form(call: &Invocation) -> Option<Wanted> {
    let texts = |id| -> Vec<String> { call.values(id).into_iter().map(String::from).collect() };
    if call.has("help-drivers") {
        return Some(Wanted::Drivers);
    }
    if call.has("list") {
        return Some(Wanted::List);
    }
    match (
        texts("info"),
        &*texts("add"),
        texts("remove"),
        &*texts("set"),
    ) {
        (names, ..) if !names.is_empty() => Some(Wanted::Info(names)),
        (_, [name, driver], ..) => Some(Wanted::Add {
            name: name.clone(),
            driver: driver.clone(),
        }),
        (_, _, names, _) if !names.is_empty() => Some(Wanted::Remove(names)),
        (_, _, _, [.., name]) => Some(Wanted::Set(name.clone())),
        _ => None,
    }
}

fn in_todays_form(call: &Invocation) -> Result<Wanted, Failure> {
    let words = call.values("word");
    let command = Subcommand::choose(&COMMANDS, call.value(THE_COMMAND).unwrap_or("list"), &words)?;
    command.refuse_options_of_others(&COMMANDS, call)?;
    let texts = || words.iter().map(ToString::to_string).collect::<Vec<_>>();
    Ok(match (command.words.first(), words.as_slice()) {
        (Some(&"drivers"), _) => Wanted::Drivers,
        (Some(&"info"), _) => Wanted::Info(texts()),
        (Some(&"add"), [name, driver, ..]) => Wanted::Add {
            name: name.to_string(),
            driver: driver.to_string(),
        },
        (Some(&"remove"), _) => Wanted::Remove(texts()),
        (Some(&"set"), [name, ..]) => Wanted::Set(name.to_string()),
        _ => Wanted::List,
    })
}

/// The options in one word: several, with commas between, in the earlier forms.
fn separated(text: &str, is_earlier: bool) -> Vec<String> {
    match is_earlier {
        true => text
            .split(',')
            .filter(|part| !part.is_empty())
            .map(String::from)
            .collect(),
        false => vec![text.to_string()],
    }
}

/// Upstream ends these texts with a line feed of their own.
fn failed(what: &str, error: &LifecycleError) -> Failure {
    Failure::Error(format!("Failed to {what}: {error}\n")).with_hint(Hint::of(error))
}

fn no_such_pool(error: &PoolError, is_earlier: bool) -> Failure {
    let failure = match is_earlier {
        false => Failure::usage(error.to_string()),
        true => {
            say_usage(EARLIER_USAGE, &format!("qvm-pool: error: {error}"));
            Failure::Said(2)
        }
    };
    failure.with_hint(Hint::of_pool(error))
}

fn set(
    session: &Session,
    name: &str,
    options: &[(&str, &str)],
    is_earlier: bool,
) -> Result<u8, Failure> {
    if session.read()?.pools.get(name).is_none() {
        return Err(no_such_pool(
            &PoolError::NoSuchPool(name.to_string()),
            is_earlier,
        ));
    }
    session
        .set_pool_options(name, options)
        .map(|()| 0)
        .map_err(|error| match error.is_not_to_be_set() {
            true => {
                let options = ["revisions_to_keep", "ephemeral_volatile"];
                // A name that is right belongs to another driver.
                let is_known = options.contains(&error.option.as_str());
                let hint = || Hint::one_of(&error.option, "what can be changed is", &options);
                Failure::Error(format!("{error}\n")).with_hint((!is_known).then(hint))
            }
            false => failed(
                &format!("set option {} for pool {name}", error.option),
                &error.source,
            ),
        })
}

fn drivers(call: &mut Invocation) -> Result<u8, Failure> {
    if call.has("json") {
        let driver = |d: &crate::model::PoolDriver| json!({"driver": d.name, "options": d.options, "required": d.required});
        return call
            .print_json(&POOL_DRIVERS.iter().map(driver).collect())
            .map(|()| 0);
    }
    let mut rows = vec![["DRIVER".to_string(), "OPTIONS".to_string()]];
    rows.extend(
        POOL_DRIVERS
            .iter()
            .map(|driver| [driver.name.to_string(), driver.options.join(", ")]),
    );
    table::print(&mut call.out, &rows).map(|()| 0)
}

fn list(call: &mut Invocation, session: &Session) -> Result<u8, Failure> {
    let qubes = read_for_good(session)?;
    let names: Vec<&str> = qubes.pools.iter().map(|pool| pool.name()).collect();
    if call.has("json") {
        call.print_json(&shown(session, &qubes, &names).iter().map(json_of).collect())?;
    } else {
        let mut rows = vec![["NAME", "DRIVER"]];
        rows.extend(qubes.pools.iter().map(|pool| [pool.name(), pool.driver()]));
        table::print(&mut call.out, &rows)?;
    }
    warn_of_full_pools(call, &shown(session, &qubes, &names));
    Ok(0)
}

fn info(
    call: &mut Invocation,
    session: &Session,
    names: &[String],
    is_earlier: bool,
) -> Result<u8, Failure> {
    let qubes = read_for_good(session)?;
    if let Some(unknown) = names.iter().find(|name| qubes.pools.get(name).is_none()) {
        return Err(no_such_pool(
            &PoolError::NoSuchPool(unknown.clone()),
            is_earlier,
        ));
    }
    let names: Vec<&str> = names.iter().map(String::as_str).collect();
    let pools = shown(session, &qubes, &names);
    if call.has("json") {
        match pools.as_slice() {
            [only] => call.print_json(&json_of(only))?,
            several => call.print_json(&several.iter().map(json_of).collect())?,
        }
    } else {
        for pool in &pools {
            table::print(&mut call.out, &rows_of(pool))?;
        }
    }
    for pool in &pools {
        if let Some(reason) = &pool.why_unknown
            && arguments::verbosity(&call.given) > 1
        {
            say(&format!("{}: {reason}", pool.name));
        }
    }
    warn_of_full_pools(call, &pools);
    Ok(0)
}

fn shown(session: &Session, qubes: &Qubes, names: &[&str]) -> Vec<PoolShown> {
    names
        .iter()
        .filter_map(|name| session.show_pool(qubes, name))
        .collect()
}

/// What is nearly full is told on standard error, whatever was listed.
fn warn_of_full_pools(call: &Invocation, pools: &[PoolShown]) {
    for warning in pools.iter().flat_map(|pool| &pool.warnings) {
        call.warn("qvm-pool", warning);
    }
}

/// The name first, then everything else sorted.
fn rows_of(pool: &PoolShown) -> Vec<[String; 2]> {
    let mut rows: Vec<[String; 2]> = pool
        .options
        .iter()
        .map(|(name, text)| [name.clone(), text.clone()])
        .collect();
    rows.push(["driver".to_string(), pool.driver.clone()]);
    if let Some(above) = &pool.included_in {
        rows.push(["included_in".to_string(), above.clone()]);
    }
    if let Some(room) = pool.room_in_tables() {
        rows.push(["size".to_string(), room.size.to_string()]);
        rows.push(["usage".to_string(), room.used.to_string()]);
    }
    rows.sort();
    rows.insert(0, ["name".to_string(), pool.name.clone()]);
    rows
}

fn json_of(pool: &PoolShown) -> Json {
    let options: serde_json::Map<String, Json> = pool
        .options
        .iter()
        .map(|(name, text)| (name.clone(), text.as_str().into()))
        .collect();
    json!({
        "name": pool.name,
        "driver": pool.driver,
        "options": options,
        "size": pool.room.map(|room| room.size),
        "usage": pool.room.map(|room| room.used),
        "metadata_size": pool.metadata.map(|room| room.size),
        "metadata_usage": pool.metadata.map(|room| room.used),
        "included_in": pool.included_in,
        "nearly_full": !pool.warnings.is_empty(),
    })
}

/// The commands as a section of the manual page.
pub fn manual() -> Vec<(&'static str, String)> {
    let drivers: Vec<(&str, String)> = POOL_DRIVERS
        .iter()
        .map(|d| (d.name, d.options.join(", ")))
        .collect();
    let drivers = super::table::explained(
        drivers
            .iter()
            .map(|(name, options)| (*name, options.as_str())),
    );
    vec![
        ("commands", Subcommand::manual(&COMMANDS)),
        ("drivers and their options", drivers),
    ]
}
