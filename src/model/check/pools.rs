//! Storage pools.

use super::{At, Finding, Harm, Kind, Remedy};
use crate::model::facts::Facts;
use crate::model::qubes::Qubes;
use crate::model::release::Release;

/// The drivers that the releases of Qubes OS bring along, with the options each knows besides `name` and `driver`
/// (`spec/r4-storage.md` §4); `None` where they are not known here.
const DRIVERS: [(&str, Option<&[&str]>); 7] = [
    ("file", Some(&["dir_path", "revisions_to_keep", "ephemeral_volatile"])),
    ("file-reflink", Some(&["dir_path", "revisions_to_keep", "setup_check", "ephemeral_volatile"])),
    ("linux-kernel", Some(&["dir_path"])),
    ("lvm_thin", Some(&["volume_group", "thin_pool", "revisions_to_keep", "ephemeral_volatile"])),
    ("zfs", Some(&["container", "revisions_to_keep", "ephemeral_volatile", "snap_on_start_forensics"])),
    ("callback", None),
    ("wipe", None),
];

impl Qubes {
    pub(super) fn check_pools(&self, facts: &dyn Facts, found: &mut Vec<Finding>) {
        for (position, pool) in self.pools.iter().enumerate() {
            let mut add = |kind, harm, text: String, remedy| {
                found.push(Finding {
                    at: At::Pool(position),
                    kind,
                    harm,
                    text: format!("pool '{}' {text}", pool.name()),
                    remedy,
                });
            };
            if let Some(first) = self.pools.iter().take(position).find(|p| p.name() == pool.name()) {
                let remedy = match first.attributes == pool.attributes {
                    true => Remedy::TakeOut { what: "the second, which is the same".into() },
                    false => Remedy::ByHand("take one of them out, or give it another name".into()),
                };
                add(Kind::PoolTwice, Harm::Misread, "stands there twice".into(), remedy);
            }
            let driver = DRIVERS.iter().find(|(name, _)| *name == pool.driver());
            match (pool.driver(), driver) {
                ("", _) => add(
                    Kind::PoolDriver,
                    Harm::Misread,
                    "has no driver: qubesd leaves it out, and refuses volumes in it".into(),
                    Remedy::ByHand("add its driver".into()),
                ),
                (driver, None) => {
                    let text = format!(
                        "has a driver that Qubes OS does not bring along, '{driver}': without it qubesd leaves the pool out, and refuses volumes in it"
                    );
                    add(
                        Kind::PoolDriver,
                        Harm::Misread,
                        text,
                        Remedy::ByHand("install what provides the driver".into()),
                    );
                }
                (_, Some((driver, Some(known)))) => {
                    let is_known = |name: &str| matches!(name, "name" | "driver") || known.contains(&name);
                    let unknown: Vec<&str> = pool.attributes.names().filter(|name| !is_known(name)).collect();
                    if !unknown.is_empty() {
                        let text = format!("has {}, which driver {driver} does not know", unknown.join(", "));
                        let names = unknown.into_iter().map(str::to_owned).collect();
                        add(Kind::PoolOption, Harm::Refused, text, Remedy::TakeOutAttributes(names));
                    }
                }
                (_, Some((_, None))) => {}
            }
            let taken_out = || Remedy::TakeOutAttributes(vec!["ephemeral_volatile".into()]);
            match pool.option("ephemeral_volatile") {
                Some(_) if facts.release() < Release::R4_1 => {
                    add(
                        Kind::TooNew,
                        Harm::Refused,
                        "has ephemeral_volatile, which Qubes OS 4.0 does not know".into(),
                        taken_out(),
                    );
                }
                Some(text) if !pool.ephemeral_volatile() => {
                    add(
                        Kind::PoolFlag,
                        Harm::Misread,
                        format!("has ephemeral_volatile=\"{text}\", which every release up to 4.4.0 takes for true"),
                        taken_out(),
                    );
                }
                _ => {}
            }
        }
    }
}
