//! Decides which domains belong to the qubes of one store. A copy of a store has the same uuids,
//! and all stores share libvirt's namespace.

/// The properties that distinguish the domains of one store from those of its copies.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StoreIdentity {
    /// The suffix of the store's domain names; empty for the host's main store.
    pub suffix: String,
    /// The path of the store, as in the metadata of its domains.
    pub store: String,
}

impl StoreIdentity {
    /// Returns whether the domain `name`, which has the uuid of a qube of this store, is that
    /// qube's. `read_store` reads the store in the domain's metadata; it is called only if the name
    /// does not decide.
    pub fn owns_domain(&self, name: &str, read_store: impl FnOnce() -> Option<String>) -> bool {
        if !self.suffix.is_empty() {
            return name.ends_with(&self.suffix);
        }
        // A qube of the main store may have a name like a domain of another store. Its domain may
        // have no metadata: Xen's domains and those of a user's own template have none.
        !has_store_suffix(name) || read_store().is_none_or(|store| store == self.store)
    }
}

/// Returns whether a name ends like the domains of other stores: in `-` and eight hexadecimal
/// digits.
fn has_store_suffix(name: &str) -> bool {
    let is_digit = |b: u8| b.is_ascii_digit() || (b'a'..=b'f').contains(&b);
    name.rsplit_once('-')
        .is_some_and(|(qube, end)| !qube.is_empty() && end.len() == 8 && end.bytes().all(is_digit))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn identity(suffix: &str) -> StoreIdentity {
        StoreIdentity {
            suffix: suffix.into(),
            store: "/var/lib/qubes/qubes.xml".into(),
        }
    }

    #[test]
    fn the_suffix_decides_for_a_store_that_has_one() {
        let ours = identity("-0123abcd");
        let not_called = || panic!("the name decides");
        assert!(ours.owns_domain("work-0123abcd", not_called));
        assert!(!ours.owns_domain("work-0123abce", not_called));
        assert!(!ours.owns_domain("work", not_called));
    }

    #[test]
    fn the_main_store_reads_the_metadata_only_of_names_with_a_store_suffix() {
        let ours = identity("");
        assert!(ours.owns_domain("work", || panic!("the name decides")));
        assert!(ours.owns_domain("backup-20261130", || None));
        assert!(ours.owns_domain("backup-20261130", || Some(
            "/var/lib/qubes/qubes.xml".into()
        )));
        assert!(!ours.owns_domain("work-0123abcd", || Some(
            "/srv/copy/var/lib/qubes/qubes.xml".into()
        )));
    }
}
