//! The kernel command line of a qube (`docs/spec/r4-properties.md` §5.5, §5.6,
//! `docs/spec/r4-features.md` §6).

use crate::hypervisor::uri::Family;
use crate::model::{Facts, PropertyError, Qubes, Vm, features, property};

/// The options of every kernel of dom0 whose directory has no `default-kernelopts-common.txt`.
const COMMON: &str = "root=/dev/mapper/dmroot ro nomodeset console=hvc0 rd_NO_PLYMOUTH \
                      rd.plymouth.enable=0 plymouth.enable=0 xen_privcmd.unrestricted ";

/// The options that replace [`COMMON`] under QEMU: the root volume is the first disk, not a device
/// that a Qubes initramfs creates, and the console is a serial port.
const COMMON_UNDER_QEMU: &str = "root=/dev/vda rw console=ttyS0 ";

/// Returns the whole command line: the common options, the qube's own, its security module, its
/// boot mode.
///
/// # Errors
/// A property has an invalid value.
pub fn kernel_command_line(
    qubes: &Qubes,
    vm: &Vm,
    facts: &dyn Facts,
    family: Family,
) -> Result<String, PropertyError> {
    let without_defaults = features::get_with_template(qubes, vm, "no-default-kernelopts")
        .is_some_and(|f| !f.is_empty());
    let mut line = if without_defaults {
        String::new()
    } else {
        common_options(qubes, vm, facts, family)?
    };
    line.push_str(&property::kernelopts(qubes, vm, facts)?);
    if !without_defaults {
        line.push_str(security_module_options(qubes, vm));
    }
    if let Some(options) = boot_mode_options(qubes, vm, facts)? {
        line.push(' ');
        line.push_str(options);
    }
    Ok(line)
}

/// Returns the options that all qubes have, from the kernel's directory if it has any; empty for a
/// qube that boots its own kernel.
fn common_options(
    qubes: &Qubes,
    vm: &Vm,
    facts: &dyn Facts,
    family: Family,
) -> Result<String, PropertyError> {
    let kernel = property::kernel(qubes, vm, facts)?;
    if kernel.is_empty() {
        return Ok(String::new());
    }
    let mut line = String::new();
    if let (Some("Linux"), Some(uuid)) = (features::get_with_template(qubes, vm, "os"), vm.uuid()) {
        line = format!("systemd.machine_id={} ", uuid.simple());
    }
    let file = facts.host().kernel_file(
        &property::kernels_dir(qubes, vm, facts),
        &kernel,
        "default-kernelopts-common.txt",
    );
    let default = if family == Family::Qemu {
        COMMON_UNDER_QEMU
    } else {
        COMMON
    };
    let text = file
        .as_deref()
        .map_or(default, |t| t.strip_suffix('\n').unwrap_or(t));
    match features::get_with_template(qubes, vm, "no-nomodeset").is_some_and(|f| !f.is_empty()) {
        true => line.push_str(&text.replace("nomodeset ", "")),
        false => line.push_str(text),
    }
    Ok(line)
}

/// Returns the options of the guest's security module.
fn security_module_options(qubes: &Qubes, vm: &Vm) -> &'static str {
    let is_on = |feature| features::get_with_template(qubes, vm, feature) == Some("1");
    match (is_on("apparmor"), is_on("selinux")) {
        (true, _) => " apparmor=1 security=apparmor",
        (_, true) => " selinux=1 security=selinux",
        _ => "",
    }
}

/// Returns the options of the chosen boot mode, or of the default one if it has none.
fn boot_mode_options<'a>(
    qubes: &'a Qubes,
    vm: &'a Vm,
    facts: &dyn Facts,
) -> Result<Option<&'a str>, PropertyError> {
    let mode = property::text(qubes, vm, "bootmode", facts)?;
    let options = |mode: &str| {
        features::get_with_template(qubes, vm, &format!("boot-mode.kernelopts.{mode}"))
    };
    Ok(options(&mode).or_else(|| options("default")))
}
