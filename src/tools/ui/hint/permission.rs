//! The hint for a file that the user may not open.

use nix::unistd::{Group, Uid, User, geteuid};

use super::names::offline_context;
use crate::system::{SystemOptions, has_root};

/// Returns who has permission and how to get it; nothing for root.
pub fn hint(command: &str, options: &SystemOptions) -> Option<String> {
    if geteuid().is_root() {
        return None;
    }
    if command == "qubes-create" {
        return Some(
            "run it as root, or make a store of your own: qubes-create --root DIR".to_string(),
        );
    }
    let group = match offline_context(options) {
        Some(context) => context.system.qubes_group(),
        // The root directory is not accessible, so its group is unknown.
        None if has_root(options) => None,
        None => Group::from_name("qubes")
            .ok()
            .flatten()
            .map(|group| group.gid),
    };
    let Some(group) = group else {
        return Some("run it as root, or work on a store of your own with --root DIR".to_string());
    };
    let is_member = nix::unistd::getgroups().is_ok_and(|groups| groups.contains(&group));
    let user = User::from_uid(Uid::effective())
        .ok()
        .flatten()
        .map_or_else(|| "USER".to_string(), |user| user.name);
    Some(match is_member {
        true => "run it as root".to_string(),
        false => format!(
            "root and members of group qubes may: as root, run usermod -aG qubes {user}, then log \
             in again; or work on a store of your own with --root DIR"
        ),
    })
}
