//! Which images the volumes of a store mean: those of every domain of the file, also of domains
//! that cannot be used. Where a part of the answer is not written down, every possible answer is
//! a claim. Nothing here looks at a disk.

use super::class::Class;
use super::facts::Facts;
use super::name::VmName;
use super::pool::Pool;
use super::qubes::Qubes;
use super::text_map::TextMap;
use super::volume::{class_volume, volume_traits};

/// A `<domain>` of the file as it stands there, or a `<volume>` that stands in none.
#[derive(Debug, Clone)]
pub struct StoredDomain {
    /// From 1.
    pub line: usize,
    /// The name under which the collection of qubes has it.
    pub qube: Option<VmName>,
    /// Every name that it gives itself.
    pub names: Vec<String>,
    pub class: Class,
    /// The attributes of its `<volume>` elements.
    pub volumes: Vec<TextMap>,
    /// Whether it is a `<domain>` element.
    pub is_domain: bool,
}

/// What a volume does with an image that it means.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ImageRole {
    /// The image is the volume's own.
    Own,
    /// The volume is a snapshot of it.
    Source,
}

/// An image that a volume of the store means, or may mean.
#[derive(Debug, Clone)]
pub struct ImageClaim<'a> {
    /// The qube, where the domain can be used.
    pub qube: Option<VmName>,
    /// The volume for messages: `work:private`, or with the line of its domain.
    pub volume: String,
    /// The line of its domain, from 1.
    pub line: usize,
    pub pool: &'a Pool,
    pub vid: String,
    pub role: ImageRole,
    /// Whether the image is the volume's own and what is written to it stays.
    pub is_kept: bool,
    /// Whether a start of the qube would use this image. Others are what the volume may have
    /// meant before, or would mean after a repair.
    pub is_certain: bool,
}

/// The claims of a store.
#[derive(Debug, Default)]
pub struct ImageClaims<'a> {
    pub claims: Vec<ImageClaim<'a>>,
    /// Volumes of which nobody can tell where their images are, each with the reason.
    pub unresolved: Vec<String>,
}

/// Lists the images that the volumes of `domains` mean. `qubes` and `domains` are of one file.
pub fn collect_image_claims<'a>(
    qubes: &'a Qubes,
    domains: &[StoredDomain],
    facts: &dyn Facts,
) -> ImageClaims<'a> {
    let mut found = ImageClaims::default();
    for domain in domains {
        for attributes in &domain.volumes {
            Look {
                qubes,
                domain,
                facts,
            }
            .take(attributes, &mut found);
        }
        let local = domain.is_domain
            && (domain.class.is_local_guest() || matches!(domain.class, Class::Unknown(_)));
        let named = |name: &str| domain.volumes.iter().any(|v| v.get("name") == Some(name));
        for name in ["root", "private", "volatile"]
            .into_iter()
            .filter(|name| local && !named(name))
        {
            let attributes = TextMap::from_iter([("name", name)]);
            Look {
                qubes,
                domain,
                facts,
            }
            .take(&attributes, &mut found);
        }
    }
    found.unresolved.sort();
    found.unresolved.dedup();
    found
}

/// How a volume means an image.
#[derive(Clone, Copy)]
struct Use {
    role: ImageRole,
    is_kept: bool,
    is_certain: bool,
}

impl Use {
    const OWN: Use = Use {
        role: ImageRole::Own,
        is_kept: false,
        is_certain: false,
    };
    const SOURCE: Use = Use {
        role: ImageRole::Source,
        ..Use::OWN
    };

    fn kept(self, is_kept: bool) -> Use {
        Use { is_kept, ..self }
    }
}

struct Look<'a, 'd> {
    qubes: &'a Qubes,
    domain: &'d StoredDomain,
    facts: &'d dyn Facts,
}

impl<'a> Look<'a, '_> {
    fn take(&self, attributes: &TextMap, found: &mut ImageClaims<'a>) {
        let written = |name: &str| attributes.get(name).filter(|text| !text.is_empty());
        let volume = written("name").unwrap_or_default();
        if written("pool").map_or(volume == "kernel", |name| self.is_of_kernels(name)) {
            return;
        }
        let is_kept = volume_traits(volume, class_volume(&self.domain.class, volume), attributes)
            .save_on_stop;
        self.take_certain(volume, found);
        let pools = self.pools(volume, written("pool"), found);
        for pool in &pools {
            match written("vid") {
                Some(vid) => self.add(volume, pool, vid.to_owned(), Use::OWN.kept(is_kept), found),
                None => {
                    for vid in self.default_vids(pool, volume) {
                        self.add(volume, pool, vid, Use::OWN.kept(is_kept), found);
                    }
                }
            }
            if let Some(source) = written("source") {
                self.add(volume, pool, source.to_owned(), Use::SOURCE, found);
            }
        }
        if written("vid").is_none() && self.domain.names.is_empty() {
            let text = "has no vid, and its domain has no name to make one from";
            found
                .unresolved
                .push(format!("volume {} {text}", self.label(volume)));
        }
    }

    /// What a start would use.
    fn take_certain(&self, volume: &str, found: &mut ImageClaims<'a>) {
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
        let Ok(resolved) = self.qubes.volume(vm, volume, self.facts) else {
            return;
        };
        let Some(pool) = self
            .qubes
            .pools
            .get(&resolved.pool)
            .filter(|pool| !is_kernel_pool(pool))
        else {
            return;
        };
        let own = Use {
            is_certain: true,
            ..Use::OWN.kept(resolved.save_on_stop)
        };
        self.add(volume, pool, resolved.vid, own, found);
        if let Some(source) = resolved.source {
            self.add(
                volume,
                pool,
                source,
                Use {
                    is_certain: true,
                    ..Use::SOURCE
                },
                found,
            );
        }
    }

    /// The pools in which the volume may lie.
    fn pools(
        &self,
        volume: &str,
        written: Option<&str>,
        found: &mut ImageClaims<'a>,
    ) -> Vec<&'a Pool> {
        let all = || {
            self.qubes
                .pools
                .iter()
                .filter(|pool| !is_kernel_pool(pool))
                .collect()
        };
        // Where it is not written, another default may have counted when the image was made.
        let Some(name) = written else { return all() };
        let called: Vec<&Pool> = self.pools_called(name).collect();
        let label = || self.label(volume);
        match called.as_slice() {
            [] => {
                let name = name.escape_debug();
                found.unresolved.push(format!(
                    "volume {} is in pool '{name}', which does not exist",
                    label()
                ));
                all()
            }
            pools if pools.iter().all(|pool| !is_told(pool)) => {
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
            _ => called,
        }
    }

    fn pools_called<'n>(&self, name: &'n str) -> impl Iterator<Item = &'a Pool> + use<'a, 'n> {
        self.qubes
            .pools
            .iter()
            .filter(move |pool| pool.name() == name)
    }

    /// Whether a volume in the pool of this name is a kernel. Of several pools of one name each may
    /// be meant.
    fn is_of_kernels(&self, name: &str) -> bool {
        let mut called = self.pools_called(name).peekable();
        called.peek().is_some() && called.all(is_kernel_pool)
    }

    /// The vids that drivers give to a volume of this name, whatever the class was then.
    fn default_vids(&self, pool: &Pool, volume: &str) -> Vec<String> {
        let names = self.domain.names.iter();
        match (pool.option("dir_path"), pool.option("volume_group")) {
            (Some(_), _) => names
                .flat_map(|name| {
                    ["appvms", "vm-templates"].map(|above| format!("{above}/{name}/{volume}"))
                })
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
        meant: Use,
        found: &mut ImageClaims<'a>,
    ) {
        if is_kernel_pool(pool) {
            return;
        }
        let (qube, line) = (self.domain.qube.clone(), self.domain.line);
        let volume = self.label(volume);
        let Use {
            role,
            is_kept,
            is_certain,
        } = meant;
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

    /// The volume for messages.
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

fn is_kernel_pool(pool: &Pool) -> bool {
    pool.driver() == "linux-kernel"
}

/// Whether the pool says where its images are, or keeps them in no file and no logical volume.
fn is_told(pool: &Pool) -> bool {
    let has = |option| pool.option(option).is_some_and(|text| !text.is_empty());
    has("dir_path") || (has("volume_group") && has("thin_pool")) || has("container")
}
