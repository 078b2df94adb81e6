//! Describing the domain of a qube, and rendering its XML.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use crate::hypervisor::description::{
    Accelerator, BlockDevice, DomainDescription, HostDescription, Kernel, NetworkInterface,
};
use crate::hypervisor::kvm::choose_accelerator;
use crate::hypervisor::toolstack;
use crate::hypervisor::uri::Family;
use crate::hypervisor::xml::Templates;
use crate::lifecycle::qube::{self, domain_disks, kernel_command_line};
use crate::lifecycle::{Context, LifecycleError};
use crate::model::{Facts, PropertyError, Qubes, VirtMode, Vm, VmName, property};
use crate::storage::VmStorage;

/// Describes the domain of a qube, without its disks, which are known once its storage is
/// started, and without its required devices.
///
/// # Errors
/// A property has an invalid value.
pub(in crate::lifecycle) fn describe_domain(
    context: &Context,
    qubes: &Qubes,
    vm: &Vm,
) -> Result<DomainDescription, LifecycleError> {
    let family = Family::from_uri(context.hypervisor().uri());
    let virt_mode = property::virt_mode(qubes, vm, context.facts())?;
    let (memory, maxmem) = (
        property::memory(qubes, vm, context.facts())?,
        property::maxmem(qubes, vm, context.facts())?,
    );
    Ok(DomainDescription {
        name: domain_name(context, vm),
        qube: vm.name.to_string(),
        store: store_in_metadata(context, family),
        uuid: vm.uuid().unwrap_or_default(),
        memory,
        // libvirt refuses a domain whose maximum is below its memory.
        maxmem: if maxmem == 0 { 0 } else { maxmem.max(memory) },
        memory_hotplug: property::has_memory_hotplug(qubes, vm, context.facts())?,
        vcpus: property::vcpus(qubes, vm, context.facts())?,
        virt_mode,
        kernel: describe_kernel(context, qubes, vm, virt_mode, family)?,
        disks: Vec::new(),
        block_devices: Vec::new(),
        net: describe_network(context, qubes, vm)?,
        pci: Vec::new(),
        console_log: (family == Family::Qemu).then(|| console_log(context, vm.name.as_str())),
        features: inherited_features(qubes, vm),
        debug: property::is_on(qubes, vm, "debug", context.facts()),
        accelerator: match family {
            Family::Qemu => {
                choose_accelerator(context.system.program_path(), context.system.cache_dir())
            }
            Family::Xen => Accelerator::Tcg,
        },
        owner: None,
        audiovm_xid: property::audiovm(qubes, vm, context.facts())?
            .and_then(|a| u32::try_from(context.facts().domain_id(a)).ok()),
        guivm: running_guivm(context, qubes, vm)?,
        stubdom_mem: property::value_by_name(qubes, vm, "stubdom_mem", context.facts())?
            .as_int()
            .and_then(|n| u64::try_from(n).ok()),
    })
}

/// Returns the XML of the domain that a start would create, without starting anything. Images
/// and required devices are named whether they exist or not.
///
/// # Errors
/// The qube has no domain here, a property has an invalid value, or a template is invalid.
pub fn preview_domain_xml(context: &Context, name: &VmName) -> Result<String, LifecycleError> {
    let qubes = context.read()?;
    let vm = qube::find(&qubes, name)?;
    if !vm.class.is_local_guest() {
        return Err(LifecycleError::NoDomain {
            qube: name.clone(),
            class: vm.class.clone(),
        });
    }
    let mut description = describe_domain(context, &qubes, vm)?;
    qube::add_required_devices_unchecked(context, vm, &mut description);
    let storage = VmStorage::for_qube(&context.system, &qubes, vm, context.facts())?;
    description.disks = domain_disks::describe_disks(&storage.attachments()?)?;
    render_domain_xml(context, &qubes, &description)
}

/// Renders the XML of a domain for the context's hypervisor.
pub(in crate::lifecycle) fn render_domain_xml(
    context: &Context,
    qubes: &Qubes,
    description: &DomainDescription,
) -> Result<String, LifecycleError> {
    let family = Family::from_uri(context.hypervisor().uri());
    Ok(templates(context).render(family, description, &describe_host(qubes))?)
}

/// Renders the XML of a disk for a running domain.
pub(in crate::lifecycle) fn render_disk_xml(
    context: &Context,
    device: &BlockDevice,
) -> Result<String, LifecycleError> {
    Ok(templates(context).render_disk(Family::from_uri(context.hypervisor().uri()), device)?)
}

/// Returns the user's and the built-in XML templates.
fn templates(context: &Context) -> Templates {
    Templates::new("/etc/qubes/templates", "/usr/share/qubes/templates")
        .below(context.system.root())
}

/// Returns the store to name in the domain's metadata. Xen domains of the machine's own store
/// name none, like upstream's.
fn store_in_metadata(context: &Context, family: Family) -> Option<String> {
    let is_named = family == Family::Qemu || context.system.is_foreign_store();
    is_named.then(|| context.system.store_file().to_string_lossy().into_owned())
}

/// Returns the path of the log of the guest's console under QEMU.
pub fn console_log(context: &Context, qube: &str) -> PathBuf {
    context.system.console_dir().path().join(log_name(qube))
}

/// Creates the log of the guest's console, readable for members of group qubes; libvirt alone
/// would keep it to its own user. `RUN/console/NAME.log` is a link to it for people to read;
/// this program never follows it.
///
/// # Errors
/// The log cannot be created.
pub(in crate::lifecycle) fn create_console_log(
    context: &Context,
    qube: &str,
) -> Result<(), LifecycleError> {
    let (consoles, run, group) = (
        context.system.console_dir(),
        context.system.run_dir(),
        context.system.qubes_group(),
    );
    let name = log_name(qube);
    let failed = LifecycleError::cannot("create", &consoles.path().join(&name).display());
    let directory = consoles.create(&[], group).map_err(&failed)?;
    directory
        .open_or_create(Path::new(&name), consoles.access(group))
        .map_err(failed)?;
    let link = Path::new("console").join(&name);
    let linked = run
        .create(&["console"], group)
        .and_then(|run| run.replace_link(&link, &consoles.path().join(&name)));
    // The link is a convenience (`qubes-domain-xml` names the log, too): a start does not fail
    // without it.
    let _ignored = linked;
    Ok(())
}

/// Returns the name of the domain of a qube in libvirt.
pub fn domain_name(context: &Context, vm: &Vm) -> String {
    format!("{}{}", vm.name, context.system.domain_suffix())
}

/// Returns the kernel that dom0 provides. A qube that boots its own kernel needs a boot loader
/// from dom0 under Xen, and nothing under QEMU.
fn describe_kernel(
    context: &Context,
    qubes: &Qubes,
    vm: &Vm,
    mode: VirtMode,
    family: Family,
) -> Result<Option<Kernel>, LifecycleError> {
    let kernel = property::kernel(qubes, vm, context.facts())?;
    let kernels = Path::new("/").join(property::kernels_dir(qubes, vm, context.facts()));
    let file = |version: &str, file| {
        context
            .system
            .path_below_root(kernels.join(version).join(file))
    };
    if !kernel.is_empty() {
        let initrd = Some(file(&kernel, "initramfs")).filter(|f| f.is_file());
        let cmdline = kernel_command_line(qubes, vm, context.facts(), family)?;
        return Ok(Some(Kernel {
            image: file(&kernel, "vmlinuz"),
            initrd,
            cmdline,
        }));
    }
    let loader = match (family, mode) {
        (Family::Xen, VirtMode::Pvh) => "pvgrub2-pvh",
        (Family::Xen, VirtMode::Pv) => "pvgrub2",
        _ => return Ok(None),
    };
    Ok(Some(Kernel {
        image: file(loader, "vmlinuz"),
        initrd: None,
        cmdline: String::new(),
    }))
}

/// Returns the network interface of a qube; `None` without a netvm.
fn describe_network(
    context: &Context,
    qubes: &Qubes,
    vm: &Vm,
) -> Result<Option<NetworkInterface>, PropertyError> {
    let Some(netvm) = property::netvm(qubes, vm, context.facts())? else {
        return Ok(None);
    };
    let text = |name| property::text(qubes, vm, name, context.facts());
    let ip6 = text("ip6")?;
    Ok(Some(NetworkInterface {
        backend: domain_name(context, netvm),
        mac: text("mac")?,
        ip: text("ip")?,
        ip6: (!ip6.is_empty() && ip6 != "None").then_some(ip6),
        gateway: text("visible_gateway")?,
        netmask: text("visible_netmask")?,
        dns: name_servers(&text("dns")?),
    }))
}

/// Returns the domain name of the guivm of a qube, if it is running.
fn running_guivm(
    context: &Context,
    qubes: &Qubes,
    vm: &Vm,
) -> Result<Option<String>, PropertyError> {
    let guivm = property::guivm(qubes, vm, context.facts())?.filter(|g| g.class.is_local_guest());
    let is_running = |g: &&Vm| context.facts().power_state(g).is_active();
    Ok(guivm.filter(is_running).map(|g| domain_name(context, g)))
}

/// Returns the features of a qube, including those inherited from its template.
fn inherited_features(qubes: &Qubes, vm: &Vm) -> BTreeMap<String, String> {
    let mut features = BTreeMap::new();
    for owner in property::template_chain(qubes, vm) {
        for (name, text) in owner.features.iter() {
            features
                .entry(name.to_string())
                .or_insert_with(|| text.to_string());
        }
    }
    features
}

/// Returns the text of the manual page about users' XML templates.
pub fn user_templates_help() -> String {
    "The first file of these is taken, below /etc/qubes/templates, then below \
     /usr/share/qubes/templates; FAMILY is xen or qemu: libvirt/FAMILY/by-name/NAME.xml \
     (one qube), libvirt/FAMILY-user.xml (every qube), libvirt/FAMILY-dist.xml (for \
     distributions), then the one that is built in. A file that begins with \
     {% extends 'libvirt/FAMILY.xml' %} changes blocks of it: basic, cpu, os, features, clock, \
     on, devices, network. An error names file and line, and the qube does not start."
        .to_string()
}

/// Returns the file name of a console log.
fn log_name(qube: &str) -> String {
    format!("{qube}.log")
}

/// Splits the two name servers, which upstream separates by a blank.
fn name_servers(words: &str) -> [String; 2] {
    let mut words = words.split_whitespace().map(str::to_string);
    [
        words.next().unwrap_or_default(),
        words.next().unwrap_or_default(),
    ]
}

/// Returns what the XML depends on of the host.
fn describe_host(qubes: &Qubes) -> HostDescription {
    let cpuinfo = fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
    let field = |name: &str| {
        let line = cpuinfo
            .lines()
            .find(|l| l.split(':').next().is_some_and(|n| n.trim() == name))?;
        line.split(':').nth(1)?.trim().parse().ok()
    };
    let suspend = qubes
        .get("dom0")
        .and_then(|dom0| dom0.features.get("suspend-s0ix"))
        .is_some_and(|f| !f.is_empty());
    HostDescription {
        cpu_family: field("cpu family").unwrap_or(0),
        cpu_model: field("model").unwrap_or(0),
        suspend_s0ix: suspend,
        vanilla_xen: toolstack::is_vanilla_xen(),
    }
}
