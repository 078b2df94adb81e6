//! The images that the volumes of a store refer to, including those of domains that cannot be used.
//! Where the store leaves a part open, every possible image is claimed. No function here accesses a
//! disk.

use super::class::{self, Class};
use super::facts::Facts;
use super::name::VmName;
use super::pool::Pool;
use super::qubes::Qubes;
use super::text_map::TextMap;
use super::volume::volume_traits;
use crate::model::volume;

/// A `<domain>` of the store as it is written, or a `<volume>` outside any domain.
#[derive(Debug, Clone)]
pub struct StoredDomain {
    /// The line in the file, from 1.
    pub line: usize,
    /// The name in the collection of qubes, if the domain can be used.
    pub qube: Option<VmName>,
    /// Every name that the domain states.
    pub names: Vec<String>,
    /// The class of the qube.
    pub class: Class,
    /// The attributes of its `<volume>` elements.
    pub volumes: Vec<TextMap>,
    /// Whether it is a `<domain>` element.
    pub is_domain: bool,
}

/// The role of an image for a volume.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ImageRole {
    /// The image is the volume's own.
    Own,
    /// The volume is a snapshot of the image.
    Source,
}

/// An image that a volume of the store refers to, or may refer to.
#[derive(Debug, Clone)]
pub struct ImageClaim<'a> {
    /// The qube, if the domain can be used.
    pub qube: Option<VmName>,
    /// The volume for messages: `work:private`, or with the line of its domain.
    pub volume: String,
    /// The line of its domain, from 1.
    pub line: usize,
    /// The pool of the image.
    pub pool: &'a Pool,
    /// The vid of the image.
    pub vid: String,
    /// The role of the image for the volume.
    pub role: ImageRole,
    /// Whether the image is the volume's own and changes to it are kept.
    pub is_kept: bool,
    /// Whether a start of the qube would use this image. Others are images that the volume may have
    /// referred to before, or would refer to after a repair.
    pub is_certain: bool,
}

/// All claims of a store.
#[derive(Debug, Default)]
pub struct ImageClaims<'a> {
    /// The claims in the order of the domains.
    pub claims: Vec<ImageClaim<'a>>,
    /// Volumes whose images cannot be determined, each with the reason.
    pub unresolved: Vec<String>,
}

/// Lists the images that the volumes of `domains` refer to. `qubes` and `domains` must be of the
/// same file.
pub fn collect_image_claims<'a>(
    qubes: &'a Qubes,
    domains: &[StoredDomain],
    facts: &dyn Facts,
) -> ImageClaims<'a> {
    let mut found = ImageClaims::default();
    for domain in domains {
        for attributes in &domain.volumes {
            ClaimCollector {
                qubes,
                domain,
                facts,
            }
            .collect(attributes, &mut found);
        }
        let is_local = domain.is_domain
            && (domain.class.is_local_guest() || matches!(domain.class, Class::Unknown(_)));
        let is_configured = |name: &str| domain.volumes.iter().any(|v| v.get("name") == Some(name));
        for name in ["root", "private", "volatile"]
            .into_iter()
            .filter(|name| is_local && !is_configured(name))
        {
            let attributes = TextMap::from_iter([("name", name)]);
            ClaimCollector {
                qubes,
                domain,
                facts,
            }
            .collect(&attributes, &mut found);
        }
    }
    found.unresolved.sort();
    found.unresolved.dedup();
    found
}

/// How a volume uses an image.
#[derive(Clone, Copy)]
struct ImageUse {
    role: ImageRole,
    is_kept: bool,
    is_certain: bool,
}

impl ImageUse {
    const OWN: ImageUse = ImageUse {
        role: ImageRole::Own,
        is_kept: false,
        is_certain: false,
    };
    const SOURCE: ImageUse = ImageUse {
        role: ImageRole::Source,
        ..ImageUse::OWN
    };

    fn with_kept(self, is_kept: bool) -> ImageUse {
        ImageUse { is_kept, ..self }
    }
}

struct ClaimCollector<'a, 'd> {
    qubes: &'a Qubes,
    domain: &'d StoredDomain,
    facts: &'d dyn Facts,
}

impl<'a> ClaimCollector<'a, '_> {
    fn collect(&self, attributes: &TextMap, found: &mut ImageClaims<'a>) {
        let attribute = |name: &str| attributes.get(name).filter(|text| !text.is_empty());
        let volume = attribute("name").unwrap_or_default();
        if attribute("pool").map_or(volume == "kernel", |name| self.is_kernel_pool_name(name)) {
            return;
        }
        let is_kept =
            volume_traits(volume, self.domain.class.volume(volume), attributes).save_on_stop;
        self.collect_certain(volume, found);
        let pools = self.pools(volume, attribute("pool"), found);
        for pool in &pools {
            match attribute("vid") {
                Some(vid) => self.add(
                    volume,
                    pool,
                    vid.to_owned(),
                    ImageUse::OWN.with_kept(is_kept),
                    found,
                ),
                None => {
                    for vid in self.default_vids(pool, volume) {
                        self.add(volume, pool, vid, ImageUse::OWN.with_kept(is_kept), found);
                    }
                }
            }
            if let Some(source) = attribute("source") {
                self.add(volume, pool, source.to_owned(), ImageUse::SOURCE, found);
            }
        }
        if attribute("vid").is_none() && self.domain.names.is_empty() {
            let text = "has no vid, and its domain has no name to make one from";
            found
                .unresolved
                .push(format!("volume {} {text}", self.label(volume)));
        }
    }

    /// Adds the images that a start would use.
    fn collect_certain(&self, volume: &str, found: &mut ImageClaims<'a>) {
        let Some(vm) = self
            .domain
            .qube
            .as_ref()
            .and_then(|name| self.qubes.get(name.as_str()))
        else {
            return;
        };
        if !vm.class.is_local_guest() {
            return;
        }
        let Ok(resolved) = volume::resolve(self.qubes, vm, volume, self.facts) else {
            return;
        };
        let Some(pool) = self
            .qubes
            .pools
            .get(&resolved.pool)
            .filter(|pool| !Pool::has_kernels(pool))
        else {
            return;
        };
        let own = ImageUse {
            is_certain: true,
            ..ImageUse::OWN.with_kept(resolved.save_on_stop)
        };
        self.add(volume, pool, resolved.vid, own, found);
        if let Some(source) = resolved.source {
            self.add(
                volume,
                pool,
                source,
                ImageUse {
                    is_certain: true,
                    ..ImageUse::SOURCE
                },
                found,
            );
        }
    }

    /// Returns the pools that the volume may be in.
    fn pools(
        &self,
        volume: &str,
        name: Option<&str>,
        found: &mut ImageClaims<'a>,
    ) -> Vec<&'a Pool> {
        let all = || {
            self.qubes
                .pools
                .iter()
                .filter(|pool| !Pool::has_kernels(pool))
                .collect()
        };
        // The default pool may have been another one when the image was created.
        let Some(name) = name else { return all() };
        let matching: Vec<&Pool> = self.pools_named(name).collect();
        let label = || self.label(volume);
        match matching.as_slice() {
            [] => {
                let name = name.escape_debug();
                found.unresolved.push(format!(
                    "volume {} is in pool '{name}', which does not exist",
                    label()
                ));
                all()
            }
            pools if pools.iter().all(|pool| !has_known_location(pool)) => {
                let driver = pools[0].driver().escape_debug().to_string();
                let name = name.escape_debug();
                let text = format!(
                    "volume {} is in pool '{name}', whose driver '{driver}'",
                    label()
                );
                found
                    .unresolved
                    .push(format!("{text} does not tell where its images are"));
                all()
            }
            _ => matching,
        }
    }

    fn pools_named<'n>(&self, name: &'n str) -> impl Iterator<Item = &'a Pool> + use<'a, 'n> {
        self.qubes
            .pools
            .iter()
            .filter(move |pool| pool.name() == name)
    }

    /// Returns whether a volume in the pool of this name is a kernel. If several pools have this
    /// name, all must be kernel pools.
    fn is_kernel_pool_name(&self, name: &str) -> bool {
        let mut matching = self.pools_named(name).peekable();
        matching.peek().is_some() && matching.all(Pool::has_kernels)
    }

    /// Returns the vids that drivers assign to a volume of this name, for every class that the qube
    /// may have had.
    fn default_vids(&self, pool: &Pool, volume: &str) -> Vec<String> {
        let names = self.domain.names.iter();
        match (pool.option("dir_path"), pool.option("volume_group")) {
            (Some(_), _) => names
                .flat_map(|name| class::DIRECTORIES.map(|above| format!("{above}/{name}/{volume}")))
                .collect(),
            (None, Some(group)) => names
                .map(|name| format!("{group}/vm-{name}-{volume}"))
                .collect(),
            (None, None) => Vec::new(),
        }
    }

    fn add(
        &self,
        volume: &str,
        pool: &'a Pool,
        vid: String,
        image_use: ImageUse,
        found: &mut ImageClaims<'a>,
    ) {
        if Pool::has_kernels(pool) {
            return;
        }
        let (qube, line) = (self.domain.qube.clone(), self.domain.line);
        let volume = self.label(volume);
        let ImageUse {
            role,
            is_kept,
            is_certain,
        } = image_use;
        found.claims.push(ImageClaim {
            qube,
            volume,
            line,
            pool,
            vid,
            role,
            is_kept,
            is_certain,
        });
    }

    /// Returns the name of the volume for messages.
    fn label(&self, volume: &str) -> String {
        let (domain, volume) = (self.domain, volume.escape_debug());
        match (&domain.qube, domain.names.last()) {
            (Some(name), _) => format!("{name}:{volume}"),
            (None, Some(name)) => {
                format!(
                    "{}:{volume} (of the domain at line {})",
                    name.escape_debug(),
                    domain.line
                )
            }
            (None, None) => format!("'{volume}' of the domain at line {}", domain.line),
        }
    }
}

/// Returns whether the locations of the pool's images are known, or it has neither files nor
/// logical volumes.
fn has_known_location(pool: &Pool) -> bool {
    let has = |option| pool.option(option).is_some_and(|text| !text.is_empty());
    has("dir_path") || (has("volume_group") && has("thin_pool")) || has("container")
}
