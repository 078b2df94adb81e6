//! Collects what cannot be imported from an old store, and the files of its qubes.

use super::old_element::{OldClass, OldElement, sanitize};
use super::pools::ImageLocation;
use super::{ConversionLoss, ImportedQube, OldQubeFiles};
use crate::format::xml::tree::Tree;
use crate::model::Vm;

/// Returns the files of a qube. The name of its firewall file is only accepted inside its
/// directory.
pub(super) fn qube_files(old: &OldElement, vm: &Vm, place: &ImageLocation) -> OldQubeFiles {
    let directory = format!("{}/{}", place.base, place.below);
    let stored = old.text("firewall_conf");
    let inside = stored
        .as_deref()
        .map(|text| text.strip_prefix(&format!("{directory}/")).unwrap_or(text));
    let is_plain = |name: &&str| {
        !name.contains('/') && *name != ".." && *name != "." && !name.contains(char::is_control)
    };
    let name = inside.filter(is_plain).unwrap_or("firewall.xml");
    OldQubeFiles {
        name: vm.name.clone(),
        firewall: format!("{directory}/{name}"),
        directory,
        is_closed_by_default: old.class == OldClass::Template,
    }
}

/// Returns everything that is not imported, in the order of the store.
pub(super) fn find_losses(tree: &Tree, imported: &[ImportedQube]) -> Vec<ConversionLoss> {
    let mut losses = Vec::new();
    let disposables = tree
        .children(Tree::ROOT)
        .filter(|id| tree.name(*id) == b"QubesDisposableVm")
        .count();
    if disposables > 0 {
        losses.push(ConversionLoss {
            qube: None,
            text: format!(
                "disposables are not imported ({disposables}); they ended with their session"
            ),
        });
    }
    for ImportedQube { old, vm } in imported {
        let mut lose = |text: String| {
            losses.push(ConversionLoss {
                qube: Some(vm.name.clone()),
                text,
            })
        };
        if let Some(drive) = old.text("drive").filter(|_| old.class.is_hvm()) {
            let drive = sanitize(&drive);
            lose(format!(
                "drive='{drive}' has no equivalent in R4; \
                 qvm-start --drive='{drive}' attaches it for one start"
            ));
        }
        if old
            .raw("seamless_gui_mode")
            .is_some_and(|text| text.eq_ignore_ascii_case("true"))
        {
            lose(
                "seamless_gui_mode has no equivalent in R4; the tools inside the qube decide it"
                    .into(),
            );
        }
    }
    losses
}
