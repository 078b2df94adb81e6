//! Checks of storage pools.

use super::{Finding, FindingKind, Harm, Location, Remedy};
use crate::model::boolean::BooleanDialect;
use crate::model::facts::Facts;
use crate::model::pool::Pool;
use crate::model::pool_driver::{DriverSpec, VolumeIds};
use crate::model::property::read_int;
use crate::model::qubes::Qubes;
use crate::model::release::Release;

/// Returns the row of a driver, or `Some(None)` for one whose options are in a separate file. Returns
/// `None` for a driver that no release of Qubes OS includes.
fn driver_options(driver: &str) -> Option<Option<&'static DriverSpec>> {
    match DriverSpec::find(driver) {
        Some(spec) => Some(Some(spec).filter(|spec| spec.volume_ids != VolumeIds::Wrapped)),
        // This, too, wraps another driver.
        None => (driver == "wipe").then_some(None),
    }
}

/// Checks for missing and invalid options, for which qubesd refuses the store.
fn check_options(
    pool: &Pool,
    driver: &DriverSpec,
    release: Release,
    add: &mut impl FnMut(FindingKind, Harm, String, Remedy),
) {
    for missing in driver
        .required_options()
        .map(|option| option.name)
        .filter(|option| pool.option(option).is_none())
    {
        let text = format!("has no {missing}, which driver {} needs", driver.name);
        add(
            FindingKind::PoolOption,
            Harm::Refused,
            text,
            Remedy::Manual(format!("add {missing}")),
        );
    }
    if let (Some(text), Some(most)) = (pool.option("revisions_to_keep"), driver.max_revisions) {
        let rule = match read_int(text).and_then(|number| number.as_int()) {
            None => Some("which is not a number".to_owned()),
            Some(number) if number > most => {
                Some(format!("and driver {} keeps at most {most}", driver.name))
            }
            Some(_) => None,
        };
        if let Some(rule) = rule {
            let remedy = Remedy::RemoveAttributes(vec!["revisions_to_keep".into()]);
            add(
                FindingKind::PoolOption,
                Harm::Refused,
                format!("has revisions_to_keep=\"{text}\", {rule}"),
                remedy,
            );
        }
    }
    if let Some(text) = pool
        .option("setup_check")
        .filter(|text| !text.is_empty() && BooleanDialect::Literal.parse(text).is_none())
    {
        let remedy = Remedy::RemoveAttributes(vec!["setup_check".into()]);
        add(
            FindingKind::PoolOption,
            Harm::Refused,
            format!("has setup_check=\"{text}\", which is not a boolean"),
            remedy,
        );
    }
    let is_flag = |text: &str| BooleanDialect::PoolFlag.parse(text).is_some();
    if let Some(text) = pool
        .option("ephemeral_volatile")
        .filter(|text| release >= Release::R4_4 && !is_flag(text))
    {
        let remedy = Remedy::RemoveAttributes(vec!["ephemeral_volatile".into()]);
        let text = format!("has ephemeral_volatile=\"{text}\", which is neither True nor False");
        add(FindingKind::PoolOption, Harm::Refused, text, remedy);
    }
}

pub(super) fn check_pools(qubes: &Qubes, facts: &dyn Facts, found: &mut Vec<Finding>) {
    for (position, pool) in qubes.pools.iter().enumerate() {
        let mut add = |kind, harm, text: String, remedy| {
            found.push(Finding {
                at: Location::Pool(position),
                kind,
                harm,
                text: format!("pool '{}' {text}", pool.name()),
                remedy,
            });
        };
        if let Some(first) = qubes
            .pools
            .iter()
            .take(position)
            .find(|p| p.name() == pool.name())
        {
            let remedy = match first.attributes == pool.attributes {
                true => Remedy::Remove {
                    what: "the second, which is the same".into(),
                },
                false => Remedy::Manual("take one of them out, or give it another name".into()),
            };
            add(
                FindingKind::PoolTwice,
                Harm::Misread,
                "stands there twice".into(),
                remedy,
            );
        }
        match (pool.driver(), driver_options(pool.driver())) {
            ("", _) => add(
                FindingKind::PoolDriver,
                Harm::Misread,
                "has no driver: qubesd leaves it out, and refuses volumes in it".into(),
                Remedy::Manual("add its driver".into()),
            ),
            (driver, None) => {
                let text = format!(
                    "has a driver that Qubes OS does not bring along, '{driver}': without it \
                     qubesd leaves the pool out, and refuses volumes in it"
                );
                add(
                    FindingKind::PoolDriver,
                    Harm::Misread,
                    text,
                    Remedy::Manual("install what provides the driver".into()),
                );
            }
            (_, Some(Some(driver))) => {
                let is_known =
                    |name: &str| matches!(name, "name" | "driver") || driver.option(name).is_some();
                let unknown: Vec<&str> = pool
                    .attributes
                    .names()
                    .filter(|name| !is_known(name))
                    .collect();
                if !unknown.is_empty() {
                    let text = format!(
                        "has {}, which driver {} does not know",
                        unknown.join(", "),
                        driver.name
                    );
                    let names = unknown.into_iter().map(str::to_owned).collect();
                    add(
                        FindingKind::PoolOption,
                        Harm::Refused,
                        text,
                        Remedy::RemoveAttributes(names),
                    );
                }
                check_options(pool, driver, facts.host().release(), &mut add);
            }
            (_, Some(None)) => {}
        }
        let remove_flag = || Remedy::RemoveAttributes(vec!["ephemeral_volatile".into()]);
        match pool.option("ephemeral_volatile") {
            Some(_) if facts.host().release() < Release::R4_1 => {
                add(
                    FindingKind::TooNew,
                    Harm::Refused,
                    "has ephemeral_volatile, which Qubes OS 4.0 does not know".into(),
                    remove_flag(),
                );
            }
            Some(text) if !pool.ephemeral_volatile() => {
                add(
                    FindingKind::PoolFlag,
                    Harm::Misread,
                    format!(
                        "has ephemeral_volatile=\"{text}\", which every release up to 4.4.0 \
                         takes for true"
                    ),
                    remove_flag(),
                );
            }
            _ => {}
        }
    }
}
