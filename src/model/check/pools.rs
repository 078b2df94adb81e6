//! Checks of storage pools.

use super::{Finding, FindingKind, Location, Problem, Remedy};
use crate::model::boolean::BooleanDialect;
use crate::model::facts::Facts;
use crate::model::pool::Pool;
use crate::model::pool_driver::{DriverSpec, VolumeIds};
use crate::model::property::read_int;
use crate::model::qubes::Qubes;
use crate::model::release::Release;

/// The flag whose volatile volumes are encrypted.
const EPHEMERAL: &str = "ephemeral_volatile";

pub(super) fn check_pools(qubes: &Qubes, facts: &dyn Facts, found: &mut Vec<Finding>) {
    let release = facts.host().release();
    for (position, pool) in qubes.pools.iter().enumerate() {
        let mut problems: Vec<Problem> = Vec::new();
        problems.extend(find_duplicate(qubes, position, pool));
        match driver_options(pool.driver()) {
            None => problems.push(describe_foreign_driver(pool)),
            Some(None) => {}
            Some(Some(driver)) => {
                problems.extend(find_unknown_options(pool, driver));
                problems.extend(find_missing_options(pool, driver));
                problems.extend(find_excess_revisions(pool, driver));
                problems.extend(find_invalid_booleans(pool, release).into_iter().flatten());
            }
        }
        problems.extend(find_misread_flag(pool, release));
        found.extend(problems.into_iter().map(|problem| {
            problem
                .about(&format!("pool '{}'", pool.name()))
                .at(Location::Pool(position))
        }));
    }
}

/// Returns the row of a driver, or `Some(None)` for one whose options are in a separate file.
/// Returns `None` for a driver that no release of Qubes OS includes.
fn driver_options(driver: &str) -> Option<Option<&'static DriverSpec>> {
    match DriverSpec::find(driver) {
        Some(spec) => Some(Some(spec).filter(|spec| spec.volume_ids != VolumeIds::Wrapped)),
        // This, too, wraps another driver.
        None => (driver == "wipe").then_some(None),
    }
}

fn find_duplicate(qubes: &Qubes, position: usize, pool: &Pool) -> Option<Problem> {
    let mut earlier = qubes.pools.iter().take(position);
    let first = earlier.find(|p| p.name() == pool.name())?;
    let remedy = match first.attributes == pool.attributes {
        true => Remedy::remove("the second, which is the same"),
        false => Remedy::manual("take one of them out, or give it another name"),
    };
    let (kind, text) = (FindingKind::PoolTwice, "stands there twice");
    Some(Problem::misread(kind, text, remedy))
}

fn describe_foreign_driver(pool: &Pool) -> Problem {
    let (text, remedy) = match pool.driver() {
        "" => (
            "has no driver: qubesd leaves it out, and refuses volumes in it".to_owned(),
            Remedy::manual("add its driver"),
        ),
        driver => (
            format!(
                "has a driver that Qubes OS does not bring along, '{driver}': without it qubesd \
                 leaves the pool out, and refuses volumes in it"
            ),
            Remedy::manual("install what provides the driver"),
        ),
    };
    Problem::misread(FindingKind::PoolDriver, text, remedy)
}

fn find_unknown_options(pool: &Pool, driver: &DriverSpec) -> Option<Problem> {
    let is_known = |name: &str| matches!(name, "name" | "driver") || driver.option(name).is_some();
    let names = pool.attributes.names();
    let unknown: Vec<&str> = names.filter(|name| !is_known(name)).collect();
    (!unknown.is_empty()).then(|| {
        let names = unknown.join(", ");
        let text = format!("has {names}, which driver {} does not know", driver.name);
        refuse_option(text, Remedy::remove_attributes(unknown))
    })
}

fn find_missing_options(pool: &Pool, driver: &DriverSpec) -> impl Iterator<Item = Problem> {
    let required = driver.required_options().map(|option| option.name);
    let missing = required.filter(|option| pool.option(option).is_none());
    missing.map(|missing| {
        let text = format!("has no {missing}, which driver {} needs", driver.name);
        refuse_option(text, Remedy::manual(format!("add {missing}")))
    })
}

fn find_excess_revisions(pool: &Pool, driver: &DriverSpec) -> Option<Problem> {
    const OPTION: &str = "revisions_to_keep";
    let (text, most) = (pool.option(OPTION)?, driver.max_revisions?);
    let rule = match read_int(text).and_then(|number| number.as_int()) {
        None => "which is not a number".to_owned(),
        Some(number) if number > most => {
            format!("and driver {} keeps at most {most}", driver.name)
        }
        Some(_) => return None,
    };
    let text = format!("has {OPTION}=\"{text}\", {rule}");
    Some(refuse_option(text, Remedy::remove_attributes([OPTION])))
}

/// Checks the options that qubesd parses as booleans.
fn find_invalid_booleans(pool: &Pool, release: Release) -> [Option<Problem>; 2] {
    let check = |option: &'static str, dialect: BooleanDialect, rule: &str| {
        let text = pool.option(option).filter(|text| !text.is_empty())?;
        dialect.parse(text).is_none().then(|| {
            let text = format!("has {option}=\"{text}\", which is {rule}");
            refuse_option(text, Remedy::remove_attributes([option]))
        })
    };
    let flag_rule = "neither True nor False";
    [
        check("setup_check", BooleanDialect::Literal, "not a boolean"),
        check(EPHEMERAL, BooleanDialect::PoolFlag, flag_rule).filter(|_| release >= Release::R4_4),
    ]
}

/// Checks that the release understands the flag `ephemeral_volatile`.
fn find_misread_flag(pool: &Pool, release: Release) -> Option<Problem> {
    let text = pool.option(EPHEMERAL)?;
    let remedy = Remedy::remove_attributes([EPHEMERAL]);
    if !release.has_ephemeral_volumes() {
        let text = format!("has {EPHEMERAL}, which Qubes OS {release} does not know");
        Some(Problem::refused(FindingKind::TooNew, text, remedy))
    } else if !pool.ephemeral_volatile() {
        let text =
            format!("has {EPHEMERAL}=\"{text}\", which every release up to 4.4.0 takes for true");
        Some(Problem::misread(FindingKind::PoolFlag, text, remedy))
    } else {
        None
    }
}

/// Returns the problem of an option for which qubesd refuses the store.
fn refuse_option(text: String, remedy: Remedy) -> Problem {
    Problem::refused(FindingKind::PoolOption, text, remedy)
}
