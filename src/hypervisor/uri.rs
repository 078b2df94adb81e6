//! Which hypervisor is talked to, and in which language its domains are described.

/// What the decision depends on.
#[derive(Debug, Clone, Copy)]
pub struct UriFacts<'a> {
    /// What the environment or core.toml says.
    pub configured: Option<&'a str>,
    /// Whether this machine is a dom0 of Xen.
    pub is_xen: bool,
    /// Whether we are root.
    pub is_superuser: bool,
}

/// The libvirt URI: the configured one; Xen's in a dom0; QEMU's system daemon for root, its session
/// daemon (which starts by itself) for everybody else.
pub fn choose_uri<'a>(facts: &UriFacts<'a>) -> &'a str {
    match facts {
        UriFacts {
            configured: Some(uri),
            ..
        } => uri,
        UriFacts { is_xen: true, .. } => "xen:///system",
        UriFacts {
            is_superuser: true, ..
        } => "qemu:///system",
        _ => "qemu:///session",
    }
}

/// Whether a URI only names a hypervisor of this machine by one of libvirt's usual addresses: no
/// transport, no parameter, so nothing that libvirt would run, or connect to, on its account.
pub fn is_plain_uri(uri: &str) -> bool {
    ["xen:///system", "qemu:///system", "qemu:///session"].contains(&uri)
}

/// A family of domain descriptions: the name of the templates' directory.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Family {
    /// Domains of Xen, through libvirt's libxl driver.
    Xen,
    /// Domains of QEMU, with or without KVM.
    Qemu,
}

impl Family {
    /// The family that the driver behind a URI understands: `xen:///system`, `xen+ssh://host/` are
    /// Xen's, all else QEMU's.
    pub fn from_uri(uri: &str) -> Family {
        let scheme = uri.split(':').next().unwrap_or_default();
        if scheme.split('+').next() == Some("xen") {
            Family::Xen
        } else {
            Family::Qemu
        }
    }

    /// The part of template names: `libvirt/xen.xml`, `libvirt/qemu/by-name/work.xml`.
    pub fn as_str(self) -> &'static str {
        match self {
            Family::Xen => "xen",
            Family::Qemu => "qemu",
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_decision_table() {
        let choose = |configured, is_xen, is_superuser| {
            choose_uri(&UriFacts {
                configured,
                is_xen,
                is_superuser,
            })
        };
        assert_eq!(
            choose(Some("test:///default"), true, true),
            "test:///default"
        );
        assert_eq!(choose(None, true, true), "xen:///system");
        assert_eq!(choose(None, true, false), "xen:///system");
        assert_eq!(choose(None, false, true), "qemu:///system");
        assert_eq!(choose(None, false, false), "qemu:///session");
    }

    #[test]
    fn only_usual_addresses_are_plain() {
        assert!(
            ["xen:///system", "qemu:///system", "qemu:///session"]
                .into_iter()
                .all(is_plain_uri)
        );
        for uri in [
            "",
            "qemu+ext:///system?command=/tmp/evil",
            "qemu:///system?command=/tmp/evil",
            "qemu:///session?socket=/tmp/evil",
            "qemu+ssh://host/system",
            "qemu://host/system",
            "QEMU:///system",
            "qemu:///system ",
            "xen:///",
            "test:///default",
            "lxc:///system",
        ] {
            assert!(!is_plain_uri(uri), "{uri}");
        }
    }

    #[test]
    fn the_family_follows_the_driver_not_the_transport() {
        assert_eq!(Family::from_uri("xen:///system"), Family::Xen);
        assert_eq!(Family::from_uri("xen+ssh://dom0/"), Family::Xen);
        assert_eq!(Family::from_uri("qemu:///session"), Family::Qemu);
        assert_eq!(
            Family::from_uri("qemu+unix:///system?socket=/xen"),
            Family::Qemu
        );
    }
}
