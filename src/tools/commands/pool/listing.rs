//! qvm-pool drivers, list and info.

use serde_json::{Value as Json, json};

use super::{Form, check_pools};
use crate::lifecycle::pool::PoolDetails;
use crate::lifecycle::{Context, pool};
use crate::model::pool_driver::DRIVERS;
use crate::model::{DriverSpec, Qubes};
use crate::tools::ui::arguments::JsonOption;
use crate::tools::ui::failure::Failure;
use crate::tools::ui::invocation::{Invocation, read_until_exit};
use crate::tools::ui::output::print_message;
use crate::tools::ui::table;

pub fn drivers(call: &mut Invocation, output: JsonOption) -> Result<u8, Failure> {
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

pub fn list(call: &mut Invocation, output: JsonOption) -> Result<u8, Failure> {
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

pub fn info(
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
pub fn option_list(driver: &DriverSpec) -> String {
    driver.option_names().collect::<Vec<_>>().join(", ")
}
