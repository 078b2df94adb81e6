//! Which domains belong to the qubes of one store. A copy of a store has the same uuids, and
//! libvirt has one name space for all.

/// By what the domains of one store are told from those of its copies.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StoreIdentity {
    /// What the names of its domains end in; empty for the machine's own store.
    pub suffix: String,
    /// The path of the store, as our domains' metadata have it.
    pub store: String,
}

impl StoreIdentity {
    /// Whether the domain `name`, which has the uuid of a qube of this store, is that qube's.
    /// `stated` asks for the store that the domain's metadata name; it is called only where the
    /// name does not decide.
    pub fn owns_domain(&self, name: &str, stated: impl FnOnce() -> Option<String>) -> bool {
        if !self.suffix.is_empty() {
            return name.ends_with(&self.suffix);
        }
        // A qube of the machine's own store may be called like a domain of another store. Its
        // domain may have no metadata: Xen's and those of a user's own template have none.
        !has_suffix(name) || stated().is_none_or(|store| store == self.store)
    }
}

/// Whether a name ends as those of domains of other stores do: in `-` and eight hexadecimal digits.
fn has_suffix(name: &str) -> bool {
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
        let unasked = || panic!("the name decides");
        assert!(ours.owns_domain("work-0123abcd", unasked));
        assert!(!ours.owns_domain("work-0123abce", unasked));
        assert!(!ours.owns_domain("work", unasked));
    }

    #[test]
    fn the_machines_own_store_asks_the_metadata_only_where_a_name_may_be_anothers() {
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
