//! Checks of the attributes of a volume: flags that upstream misreads, and unknown ones.

use super::{FindingKind, Problem, Remedy};
use crate::model::class_volume::ClassVolume;
use crate::model::release::Release;
use crate::model::vm::{Vm, VolumeConfig};
use crate::model::volume::ATTRIBUTES;

/// The attributes that every release up to 4.4.0 reads as true when they are `False`
/// (`docs/spec/r4-xml.md` §1.8).
const FLAGS: [&str; 4] = ["rw", "save_on_stop", "snap_on_start", "ephemeral"];

/// Checks the attributes of a volume one by one, without its pool.
pub(super) fn find_attribute_problems(
    vm: &Vm,
    own: &VolumeConfig,
    release: Release,
) -> impl Iterator<Item = Problem> + use<> {
    let [harmless, wrong] = find_false_flags(vm.class.volume(own.name()), own, release);
    let problems = [
        find_new_attribute(own, release),
        harmless,
        wrong,
        find_unknown_attributes(own),
    ];
    problems.into_iter().flatten()
}

fn find_new_attribute(own: &VolumeConfig, release: Release) -> Option<Problem> {
    (!release.has_ephemeral_volumes() && own.attributes.contains("ephemeral")).then(|| {
        let text = format!("has ephemeral, which Qubes OS {release} does not know");
        let remedy = Remedy::remove_attributes(["ephemeral"]);
        Problem::refused(FindingKind::TooNew, text, remedy)
    })
}

/// Checks flags that are `False`. Without the flag the class's default is in effect, which is the
/// same or the opposite.
fn find_false_flags(
    class: Option<&ClassVolume>,
    own: &VolumeConfig,
    release: Release,
) -> [Option<Problem>; 2] {
    let is_read = |flag: &str| flag == "ephemeral" && release.can_read_false_flags();
    let is_false = |flag: &&str| own.attributes.get(flag) == Some("False") && !is_read(flag);
    let is_default = |flag: &&str| class.is_some_and(|class| class.flag(flag));
    let (wrong, harmless): (Vec<&str>, Vec<&str>) =
        FLAGS.into_iter().filter(is_false).partition(is_default);
    let list = |flags: &[&str]| {
        let texts: Vec<String> = flags.iter().map(|f| format!("{f}=\"False\"")).collect();
        (!texts.is_empty()).then(|| texts.join(" "))
    };
    let kind = FindingKind::VolumeFlag;
    [
        list(&harmless).map(|flags| {
            let text = format!("has {flags}, which every release up to 4.4.0 takes for true");
            Problem::misread(kind, text, Remedy::remove_attributes(harmless))
        }),
        list(&wrong).map(|flags| {
            let text = format!(
                "has {flags}, which no release up to 4.4.0 can be told: it is true in this class"
            );
            let remedy = Remedy::manual("accept it as true, or use a later release");
            Problem::misread(kind, text, remedy)
        }),
    ]
}

/// Checks that upstream's drivers accept all attributes.
fn find_unknown_attributes(own: &VolumeConfig) -> Option<Problem> {
    // Upstream's drivers drop `internal`.
    let is_known = |name: &str| ATTRIBUTES.contains(&name) || name == "internal";
    let names = own.attributes.names();
    let unknown: Vec<&str> = names.filter(|name| !is_known(name)).collect();
    (!unknown.is_empty()).then(|| {
        let names = unknown.join(", ");
        let text = format!("has {names}, which upstream's drivers refuse");
        let remedy = Remedy::remove_attributes(unknown);
        Problem::refused(FindingKind::VolumeAttribute, text, remedy)
    })
}
