//! The pools of R3, their names and directories, and where the images of an old system are
//! (`docs/spec/r3-model.md` §11).

use super::old_element::{OldElement, sanitize};
use super::system::{BASE, KERNELS, POOL};
use crate::format::document::parse::diagnosis;
use crate::model::pool_driver::{FILE_REFLINK, LINUX_KERNEL};
use crate::model::{Pool, Pools, TextMap, Vm};

/// What `/etc/qubes/storage.conf` says about a pool.
#[derive(Debug, Clone, PartialEq, Eq)]
enum PoolKind {
    /// R3's only driver: files below this directory.
    Files(String),
    /// A custom driver class, whose image locations are unknown.
    Foreign(String),
}

/// The pools of an old system, in the order in which they became known.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct OldPools(Vec<(String, PoolKind)>);

impl OldPools {
    /// Parses `storage.conf`. A section without a directory is ignored.
    pub fn parse(text: &str) -> OldPools {
        let mut sections: Vec<(String, Vec<(&str, &str)>)> = Vec::new();
        for line in text
            .lines()
            .map(str::trim)
            .filter(|l| !l.starts_with(['#', ';']))
        {
            if let Some(name) = line.strip_prefix('[').and_then(|l| l.strip_suffix(']')) {
                sections.push((name.to_owned(), Vec::new()));
            } else if let (Some((_, keys)), Some((key, value))) =
                (sections.last_mut(), line.split_once(['=', ':']))
            {
                keys.push((key.trim(), value.trim()));
            }
        }
        let pool = |(name, keys): (String, Vec<(&str, &str)>)| {
            let value = |key: &str| {
                keys.iter()
                    .rev()
                    .find(|(k, _)| k.eq_ignore_ascii_case(key))
                    .map(|(_, v)| *v)
            };
            let kind = match (value("class"), value("driver"), value("dir_path")) {
                (Some(class), _, _) => PoolKind::Foreign(class.to_owned()),
                (None, None | Some("xen"), Some(directory)) => {
                    PoolKind::Files(normalize_directory(directory)?)
                }
                (None, Some(driver), _) if driver != "xen" => PoolKind::Foreign(driver.to_owned()),
                (None, ..) => return None,
            };
            (name != "default").then_some((name, kind))
        };
        OldPools(sections.into_iter().filter_map(pool).collect())
    }

    /// Returns the pools of R4: R3's own directory, then dom0's kernels, then all others.
    pub(super) fn to_r4(&self) -> Pools {
        let mut pools = vec![file_pool(POOL, BASE)];
        let kernels = [
            ("name", KERNELS),
            ("dir_path", "/var/lib/qubes/vm-kernels"),
            ("driver", LINUX_KERNEL),
        ];
        pools.push(Pool {
            attributes: TextMap::from_iter(kernels),
        });
        for (name, kind) in &self.0 {
            if let PoolKind::Files(directory) = kind {
                pools.push(file_pool(&r4_pool_name(name), directory));
            }
        }
        Pools(pools)
    }

    /// Returns the location of a qube's images: the pool of R4 and the directory in it. An unusable
    /// location is a diagnosis, and the usual location of its class is used.
    pub(super) fn locate_images(&mut self, old: &OldElement, vm: &mut Vm) -> ImageLocation {
        let usual = format!("{}/{}", old.class.directory(), vm.name);
        let stored = old.text("dir_path");
        let pool = old.text("pool_name").filter(|p| p != "default");
        let located = match &pool {
            None => locate_in_default_pool(stored.as_deref(), &usual),
            Some(pool) => self.locate_in_pool(pool, stored.as_deref(), &usual),
        };
        located.unwrap_or_else(|problem| {
            vm.diagnoses.push(diagnosis(problem));
            ImageLocation::in_default_pool(usual)
        })
    }

    /// Returns the location in a pool of storage.conf, or the problem with it.
    fn locate_in_pool(
        &mut self,
        pool: &str,
        stored: Option<&str>,
        usual: &str,
    ) -> Result<ImageLocation, String> {
        let known = self
            .0
            .iter()
            .find(|(name, _)| name == pool)
            .map(|(_, kind)| kind.clone());
        let base = match known {
            Some(PoolKind::Files(base)) => base,
            Some(PoolKind::Foreign(class)) => {
                return Err(format!(
                    "its images are in pool '{}' of the unknown class {}; \
                     they are expected in {BASE}/{usual}",
                    sanitize(pool),
                    sanitize(&class)
                ));
            }
            None => {
                // R3 stores every qube of a pool in DIR/appvms/NAME, so the directory of the qube
                // shows that of the pool.
                let base = stored
                    .and_then(|d| normalize_directory(d.strip_suffix(&format!("/{usual}"))?))
                    .ok_or_else(|| {
                        format!(
                            "the directory of its pool '{}' is unknown; \
                             its images are expected in {BASE}/{usual}",
                            sanitize(pool)
                        )
                    })?;
                self.0
                    .push((pool.to_owned(), PoolKind::Files(base.clone())));
                base
            }
        };
        let below = stored
            .and_then(|stored| relative_directory(stored, &base))
            .unwrap_or_else(|| usual.to_owned());
        Ok(ImageLocation {
            pool: r4_pool_name(pool),
            base,
            below,
        })
    }
}

/// Returns the location in the default pool, or the problem with it.
fn locate_in_default_pool(stored: Option<&str>, usual: &str) -> Result<ImageLocation, String> {
    let below = match stored {
        None => usual.to_owned(),
        Some(stored) => relative_directory(stored, BASE).ok_or_else(|| {
            format!(
                "dir_path='{}' is not a directory below {BASE}; {BASE}/{usual} is used",
                sanitize(stored)
            )
        })?,
    };
    Ok(ImageLocation::in_default_pool(below))
}

/// Location of the images of one qube.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct ImageLocation {
    /// Name of the pool in R4.
    pub pool: String,
    /// Directory of the pool.
    pub base: String,
    /// Directory of the qube, relative to that of the pool.
    pub below: String,
}

impl ImageLocation {
    fn in_default_pool(below: String) -> ImageLocation {
        ImageLocation {
            pool: POOL.into(),
            base: BASE.into(),
            below,
        }
    }
}

fn file_pool(name: &str, directory: &str) -> Pool {
    let attributes = [
        ("name", name),
        ("dir_path", directory),
        ("driver", FILE_REFLINK),
        ("revisions_to_keep", "1"),
    ];
    Pool {
        attributes: TextMap::from_iter(attributes),
    }
}

/// Returns the name of a pool in R4, where two names are reserved for pools that every system has.
fn r4_pool_name(old: &str) -> String {
    if matches!(old, POOL | KERNELS) {
        format!("r3-{old}")
    } else {
        old.to_owned()
    }
}

/// Returns a directory without slashes at its end; `None` if it is not absolute or has a component
/// such as `..`.
fn normalize_directory(text: &str) -> Option<String> {
    let text = text.trim_end_matches('/');
    let is_plain = text
        .strip_prefix('/')
        .is_some_and(|rest| rest.split('/').all(is_safe));
    is_plain.then(|| text.to_owned())
}

/// Returns `directory` relative to `base`.
fn relative_directory(directory: &str, base: &str) -> Option<String> {
    let inside = directory
        .strip_prefix(base)?
        .strip_prefix('/')?
        .trim_end_matches('/');
    inside.split('/').all(is_safe).then(|| inside.to_owned())
}

fn is_safe(part: &str) -> bool {
    !matches!(part, "" | "." | "..") && !part.chars().any(char::is_control)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn storage_conf_names_pools_with_their_directories() {
        let text = "; ours\n[default]\ndriver=xen\ndir_path=/var/lib/qubes\n\n[big disk]\
            \nDRIVER = xen\n\
                    dir_path = /mnt/big/\n[odd]\nclass: my.Pool\n[up]\ndriver=xen\
                    \ndir_path=/mnt/../etc\n[linux-kernel]\n\
                    driver=xen\ndir_path=/k\n[half]\ndriver=xen\nno line\n";
        let pools = OldPools::parse(text);
        assert_eq!(
            pools.0,
            [
                ("big disk".to_string(), PoolKind::Files("/mnt/big".into())),
                ("odd".to_string(), PoolKind::Foreign("my.Pool".into())),
                ("linux-kernel".to_string(), PoolKind::Files("/k".into())),
            ]
        );
        let new = pools.to_r4();
        let names: Vec<_> = new
            .iter()
            .map(|p| (p.name(), p.option("dir_path").unwrap()))
            .collect();
        assert_eq!(
            names,
            [
                ("varlibqubes", "/var/lib/qubes"),
                ("linux-kernel", "/var/lib/qubes/vm-kernels"),
                ("big disk", "/mnt/big"),
                ("r3-linux-kernel", "/k"),
            ]
        );
        assert_eq!(OldPools::parse("[[[=\n]\0"), OldPools::default());
    }
}
