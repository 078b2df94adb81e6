//! Completes the volumes of converted qubes, with the sizes of their existing images.

use std::fs;

use crate::format::ConversionLoss;
use crate::lifecycle::Context;
use crate::model::DriverSpec;
use crate::model::{Class, Qubes, Volume, VolumeConfig, volume};

/// The most missing images that a message names.
const MAX_NAMED: usize = 3;

/// Adds every volume that R4 expects to every qube. Returns a loss that names missing images.
pub(super) fn complete_volumes(qubes: &mut Qubes, context: &Context) -> Option<ConversionLoss> {
    let mut missing = Vec::new();
    // Templates first: a snapshot has the size of its source.
    for is_template in [true, false] {
        let names: Vec<String> = qubes
            .names_with_classes()
            .filter(|(_, class)| (**class == Class::TemplateVM) == is_template)
            .map(|(name, _)| name.to_string())
            .collect();
        for name in names {
            let volumes = volumes(qubes, &name, context, &mut missing);
            if let Some(vm) = qubes.edit(&name) {
                vm.volumes = volumes;
            }
        }
    }
    let first = missing.first()?;
    let more = match missing.len() {
        1 => String::new(),
        n if n <= MAX_NAMED => format!(", {}", missing[1..].join(", ")),
        n => format!(
            ", {} and {} more",
            missing[1..MAX_NAMED].join(", "),
            n - MAX_NAMED
        ),
    };
    Some(ConversionLoss {
        qube: None,
        text: format!("the usual size is assumed for images that do not exist: {first}{more}"),
    })
}

/// Returns the volumes of one qube in order. A volume that cannot be resolved, because its template
/// is missing say, stays as it is.
fn volumes(
    qubes: &Qubes,
    name: &str,
    context: &Context,
    missing: &mut Vec<String>,
) -> Vec<VolumeConfig> {
    let Some(vm) = qubes.get(name) else {
        return Vec::new();
    };
    let class_names = vm.class.volumes().iter().map(|class| class.name);
    let volume = |volume: &'static str| match volume::resolve(qubes, vm, volume, context.facts()) {
        Ok(mut resolved) => {
            set_size_of_image(qubes, &mut resolved, context, missing);
            Some(resolved.config())
        }
        Err(_) => vm.volume(volume).cloned(),
    };
    class_names.filter_map(volume).collect()
}

/// Sets the volume's size to that of its image, if it has one of its own.
fn set_size_of_image(
    qubes: &Qubes,
    volume: &mut Volume,
    context: &Context,
    missing: &mut Vec<String>,
) {
    let Some(directory) = qubes
        .pools
        .get(&volume.pool)
        .and_then(|pool| pool.option("dir_path"))
    else {
        return;
    };
    if volume.snap_on_start || DriverSpec::has_kernels(&volume.driver) {
        return;
    }
    let image = context
        .system
        .path_below_root(format!("{directory}/{}.img", volume.vid));
    match fs::metadata(&image) {
        Ok(file) if file.is_file() && file.len() > 0 => volume.size = file.len(),
        // A start creates the image anew.
        _ if !volume.save_on_stop => {}
        _ => missing.push(image.display().to_string()),
    }
}
