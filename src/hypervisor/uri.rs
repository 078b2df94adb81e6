//! The choice of the libvirt URI, and the family of domain templates that belongs to it.

/// The facts that decide the URI.
#[derive(Debug, Clone, Copy)]
pub struct UriFacts<'a> {
    /// The URI from the environment or core.toml.
    pub configured: Option<&'a str>,
    /// This host is a dom0 of Xen.
    pub is_xen: bool,
    /// The effective user is root.
    pub is_superuser: bool,
}

/// Returns the libvirt URI: the configured one, else Xen's in a dom0, else QEMU's system daemon for
/// root and its session daemon, which libvirt starts on demand, for other users.
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

/// A family of domain templates, by the hypervisor.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Family {
    /// Domains of Xen, through libvirt's libxl driver.
    Xen,
    /// Domains of QEMU, with or without KVM.
    Qemu,
}

impl Family {
    /// Returns the family of the driver in a URI: Xen for `xen:///system` and `xen+ssh://host/`,
    /// QEMU for all others.
    pub fn from_uri(uri: &str) -> Family {
        let scheme = uri.split(':').next().unwrap_or_default();
        if scheme.split('+').next() == Some("xen") {
            Family::Xen
        } else {
            Family::Qemu
        }
    }

    /// Returns the family's part of template names: `libvirt/xen.xml`,
    /// `libvirt/qemu/by-name/work.xml`.
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
    fn the_configured_uri_wins_then_xen_then_the_daemon_of_the_user() {
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
