//! The volumes of converted qubes: complete, with the sizes of the images that lie there.

use std::fs;

use crate::format::ConversionLoss;
use crate::lifecycle::Session;
use crate::model::volume::class_volumes;
use crate::model::{Class, Qubes, ResolvedVolume, VolumeConfig};

/// How many missing images are named.
const NAMED: usize = 3;

/// Writes out every volume of every qube. Returns which images are missing.
pub(super) fn complete(qubes: &mut Qubes, session: &Session) -> Option<ConversionLoss> {
    let mut missing = Vec::new();
    // A snapshot has the size of what it is made of.
    for is_template in [true, false] {
        let names: Vec<String> = qubes
            .names_with_classes()
            .filter(|(_, class)| (**class == Class::TemplateVM) == is_template)
            .map(|(name, _)| name.to_string())
            .collect();
        for name in names {
            let volumes = volumes(qubes, &name, session, &mut missing);
            if let Some(vm) = qubes.edit(&name) {
                vm.volumes = volumes;
            }
        }
    }
    let first = missing.first()?;
    let others = match missing.len() {
        1 => String::new(),
        n if n <= NAMED => format!(", {}", missing[1..].join(", ")),
        n => format!(", {} and {} more", missing[1..NAMED].join(", "), n - NAMED),
    };
    Some(ConversionLoss {
        qube: None,
        text: format!(
            "images that are not there are taken to have the usual size: {first}{others}"
        ),
    })
}

/// The volumes of one qube in their order. One that cannot be told (its template is missing) stays
/// as it is.
fn volumes(
    qubes: &Qubes,
    name: &str,
    session: &Session,
    missing: &mut Vec<String>,
) -> Vec<VolumeConfig> {
    let Some(vm) = qubes.get(name) else {
        return Vec::new();
    };
    let of_class = class_volumes(&vm.class).iter().map(|class| class.name);
    let volume = |volume: &'static str| match qubes.volume(vm, volume, session) {
        Ok(mut resolved) => {
            measure(qubes, &mut resolved, session, missing);
            Some(resolved.config())
        }
        Err(_) => vm.volume(volume).cloned(),
    };
    of_class.filter_map(volume).collect()
}

/// The size of the image, where the volume has one of its own.
fn measure(
    qubes: &Qubes,
    volume: &mut ResolvedVolume,
    session: &Session,
    missing: &mut Vec<String>,
) {
    let Some(directory) = qubes
        .pools
        .get(&volume.pool)
        .and_then(|pool| pool.option("dir_path"))
    else {
        return;
    };
    if volume.snap_on_start || volume.driver == "linux-kernel" {
        return;
    }
    let image = session
        .system
        .below_root(format!("{directory}/{}.img", volume.vid));
    match fs::metadata(&image) {
        Ok(file) if file.is_file() && file.len() > 0 => volume.size = file.len(),
        // Every start makes it anew.
        _ if !volume.save_on_stop => {}
        _ => missing.push(image.display().to_string()),
    }
}
