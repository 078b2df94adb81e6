//! Checks the built-in templates against libvirt's schema.

use std::path::Path;

use qubes::exec::Program;
use qubes::hypervisor::description::*;
use qubes::hypervisor::{Family, Templates};

fn qube(virt_mode: VirtMode) -> DomainDescription {
    DomainDescription {
        name: "work-0123abcd".to_string(),
        qube: "work".to_string(),
        store: None,
        uuid: uuid::uuid!("67e92c87-65a9-4c7f-b2d3-35c459de9eb5"),
        memory: 400,
        maxmem: 4000,
        memory_hotplug: false,
        vcpus: 2,
        virt_mode,
        kernel: Some(Kernel {
            image: "/var/lib/qubes/vm-kernels/6.6/vmlinuz".into(),
            initrd: Some("/var/lib/qubes/vm-kernels/6.6/initramfs".into()),
            cmdline: "root=/dev/mapper/dmroot ro console=hvc0".to_string(),
        }),
        disks: disks_for_volumes([
            ("root", file("root.img"), true),
            ("private", file("private.img"), true),
            (
                "volatile",
                qubes::storage::Attachment::Device("/dev/qubes_dom0/vm-work-volatile".into()),
                true,
            ),
            ("kernel", file("modules.img"), false),
        ])
        .unwrap(),
        block_devices: Vec::new(),
        net: None,
        pci: Vec::new(),
        console_log: None,
        features: Default::default(),
        debug: false,
        accelerator: Accelerator::Tcg,
        owner: None,
        audiovm_xid: None,
        guivm: None,
        stubdom_mem: None,
    }
}

fn file(name: &str) -> qubes::storage::Attachment {
    qubes::storage::Attachment::File(Path::new("/var/lib/qubes/appvms/work").join(name))
}

fn with_everything(virt_mode: VirtMode) -> DomainDescription {
    let device = |kind, target: &str, letter, backend: Option<&str>| BlockDevice {
        source: SourceKind::Block,
        path: "/dev/sr0".into(),
        kind,
        target: target.to_string(),
        letter,
        read_only: kind == DeviceKind::Cdrom,
        backend: backend.map(str::to_string),
        script: backend.map(|_| "/etc/xen/scripts/qubes-block".into()),
    };
    DomainDescription {
        block_devices: vec![
            device(DeviceKind::Cdrom, "xvdi", 'i', Some("sys-usb")),
            device(DeviceKind::Disk, "xvdj", 'j', None),
        ],
        net: Some(NetworkInterface {
            backend: "sys-firewall".to_string(),
            mac: "00:16:3e:5e:6c:04".to_string(),
            ip: "10.137.0.6".to_string(),
            ip6: Some("fd09:24ef:4179::a89:6".to_string()),
            gateway: "10.137.0.5".to_string(),
            netmask: "255.255.255.255".to_string(),
            dns: ["10.139.1.1".to_string(), "10.139.1.2".to_string()],
        }),
        pci: vec![PciDevice {
            domain: "0000".to_string(),
            bus: "03".to_string(),
            slot: "1f".to_string(),
            function: "7".to_string(),
            permissive: false,
            no_strict_reset: false,
        }],
        console_log: Some("/run/qubes/log/work.log".into()),
        owner: Some(QemuUser {
            uid: 64055,
            gid: 980,
        }),
        debug: true,
        ..qube(virt_mode)
    }
}

fn render(family: Family, vm: &DomainDescription, host: &HostDescription) -> String {
    Templates::new("/nonexistent/etc", "/nonexistent/share")
        .render(family, vm, host)
        .unwrap()
}

fn assert_valid(xml: &str) {
    let place = tempfile::tempdir().unwrap();
    let file = place.path().join("domain.xml");
    std::fs::write(&file, xml).unwrap();
    if let Err(error) = Program::new("virt-xml-validate")
        .arg(&file)
        .arg("domain")
        .output()
    {
        panic!("{error}\n{xml}");
    }
}

/// Removes what only the libvirt patched by Qubes supports: scripts of disks, stub domains and
/// their graphics, firmware without a path, and two options of PCI devices.
fn without_qubes_additions(xml: &str) -> String {
    let additions = [
        "<emulator type=\"stubdom",
        "<graphics type=\"qubes\"",
        "<script path=\"/etc/xen/scripts/",
    ];
    let kept = |line: &&str| {
        !additions
            .iter()
            .any(|addition| line.trim_start().starts_with(addition))
    };
    let text: Vec<&str> = xml.lines().filter(kept).collect();
    text.join("\n")
        .replace(">hvmloader<", ">/usr/libexec/xen/boot/hvmloader<")
        .replace(" nostrictreset=\"yes\"", "")
        .replace(" powerManagementFiltering=\"no\"", "")
}

#[test]
fn every_description_for_qemu_is_valid() {
    for mode in [VirtMode::Hvm, VirtMode::Pvh, VirtMode::Pv] {
        for accelerator in [Accelerator::Kvm, Accelerator::Tcg] {
            for vm in [
                qube(mode),
                with_everything(mode),
                DomainDescription {
                    kernel: None,
                    ..qube(mode)
                },
            ] {
                let vm = DomainDescription { accelerator, ..vm };
                assert_valid(&render(Family::Qemu, &vm, &HostDescription::default()));
            }
        }
    }
}

#[test]
fn every_description_for_xen_is_valid() {
    let host = HostDescription {
        cpu_family: 6,
        cpu_model: 58,
        suspend_s0ix: true,
        vanilla_xen: false,
    };
    for mode in [VirtMode::Hvm, VirtMode::Pvh, VirtMode::Pv] {
        for vm in [qube(mode), with_everything(mode)] {
            for feature in ["uefi", "memory-hotplug", "audio-model"] {
                let mut vm = vm.clone();
                vm.features.insert(feature.to_string(), "ich6".to_string());
                vm.memory_hotplug = feature == "memory-hotplug";
                assert_valid(&without_qubes_additions(&render(Family::Xen, &vm, &host)));
            }
        }
    }
}

/// Returns the XML of a changed qube under Xen.
fn xen(virt_mode: VirtMode, change: impl FnOnce(&mut DomainDescription)) -> String {
    let mut vm = with_everything(virt_mode);
    change(&mut vm);
    render(Family::Xen, &vm, &HostDescription::default())
}

fn set(vm: &mut DomainDescription, feature: &str, value: &str) {
    vm.features.insert(feature.to_string(), value.to_string());
}

#[test]
fn memory_under_xen_follows_balancing_hotplug_and_pci() {
    let memory = |mode, change: fn(&mut DomainDescription)| {
        let xml = xen(mode, change);
        assert!(
            xml.contains("<currentMemory unit=\"MiB\">400</currentMemory>"),
            "{xml}"
        );
        let line = |name: &str| {
            xml.lines()
                .find(|l| l.trim_start().starts_with(name))
                .map(|l| l.trim().to_string())
        };
        (line("<memory"), line("<maxMemory"))
    };
    let mib = |n| Some(format!("<memory unit=\"MiB\">{n}</memory>"));
    assert_eq!(memory(VirtMode::Pvh, |_| {}), (mib(4000), None));
    assert_eq!(memory(VirtMode::Pv, |vm| vm.maxmem = 0), (mib(400), None));
    assert_eq!(
        memory(VirtMode::Hvm, |_| {}),
        (mib(400), None),
        "an HVM qube with PCI devices has no memory balloon"
    );
    assert_eq!(
        memory(VirtMode::Hvm, |vm| vm.pci.clear()),
        (mib(4000), None)
    );
    let plugged = Some("<maxMemory slots=\"1\" unit=\"MiB\">4000</maxMemory>".to_string());
    assert_eq!(
        memory(VirtMode::Pvh, |vm| vm.memory_hotplug = true),
        (mib(400), plugged)
    );
}

#[test]
fn the_clock_of_an_hvm_qube_follows_its_timezone() {
    for (timezone, clock) in [
        (
            "",
            "<clock offset=\"variable\" adjustment=\"0\" basis=\"utc\"/>",
        ),
        (
            "LocalTime",
            "<clock offset=\"variable\" adjustment=\"0\" basis=\"localtime\"/>",
        ),
        (
            "-3600",
            "<clock offset=\"variable\" adjustment=\"-3600\" basis=\"utc\"/>",
        ),
        (
            "Mars",
            "<clock offset=\"variable\" adjustment=\"0\" basis=\"utc\"/>",
        ),
    ] {
        let xml = xen(VirtMode::Hvm, |vm| set(vm, "timezone", timezone));
        assert!(xml.contains(clock), "{timezone}: {xml}");
    }
    let xml = xen(VirtMode::Pvh, |vm| set(vm, "timezone", "localtime"));
    assert!(
        xml.contains(
            "<clock offset=\"utc\" adjustment=\"reset\">\n    <timer name=\"tsc\" mode=\"native\"/>"
        ),
        "{xml}"
    );
}

#[test]
fn the_boot_configuration_under_xen_follows_virt_mode() {
    let xml = xen(VirtMode::Pvh, |_| {});
    assert!(
        xml.contains("machine=\"xenpvh\">xenpvh</type>") && xml.contains("6.6/initramfs</initrd>"),
        "{xml}"
    );
    assert!(xen(VirtMode::Pv, |_| {}).contains("machine=\"xenpv\">linux</type>"));
    let xml = xen(VirtMode::Hvm, |_| {});
    assert!(
        xml.contains("<loader type=\"rom\">hvmloader</loader>") && !xml.contains("<kernel>"),
        "{xml}"
    );
    assert!(xen(VirtMode::Hvm, |vm| set(vm, "uefi", "1")).contains("OVMF.fd</loader>"));
    // An empty feature is disabled.
    assert!(xen(VirtMode::Hvm, |vm| set(vm, "uefi", "")).contains("hvmloader</loader>"));
    let host = |family, model| HostDescription {
        cpu_family: family,
        cpu_model: model,
        ..HostDescription::default()
    };
    let rdrand = |host| render(Family::Xen, &qube(VirtMode::Pvh), &host).contains("rdrand");
    assert!(
        rdrand(host(6, 58)) && rdrand(host(6, 62)) && !rdrand(host(6, 60)) && !rdrand(host(0, 0))
    );
    assert!(!xen(VirtMode::Pv, |_| {}).contains("<cpu "));
}

#[test]
fn a_vanilla_xen_gets_no_scripts_of_qubes() {
    let mut vm = with_everything(VirtMode::Pvh);
    // The script of a block device is part of its description.
    vm.block_devices.clear();
    let xml = |vanilla_xen| {
        render(
            Family::Xen,
            &vm,
            &HostDescription {
                vanilla_xen,
                ..HostDescription::default()
            },
        )
    };
    assert!(xml(false).contains("qubes-block") && xml(false).contains("vif-route-qubes"));
    assert!(
        !xml(true).contains("qubes-block") && !xml(true).contains("vif-route-qubes"),
        "{}",
        xml(true)
    );
}

#[test]
fn xml_for_xen_contains_the_disks_the_devices_and_the_network() {
    let xml = xen(VirtMode::Pvh, |_| {});
    let squeezed: String = xml.lines().map(str::trim).collect();
    for part in [
        "<source dev=\"/var/lib/qubes/appvms/work/root.img\"/><target dev=\"xvda\"/>\
         <script path=\"/etc/xen/scripts/qubes-block\"/></disk>",
        "<target dev=\"xvdd\"/><readonly/><script",
        "<disk type=\"block\" device=\"cdrom\"><driver name=\"phy\"/><source dev=\"/dev/sr0\"/>\
         <target dev=\"xvdi\"/><readonly/>\
         <backenddomain name=\"sys-usb\"/><script path=\"/etc/xen/scripts/qubes-block\"/></disk>",
        "<target dev=\"xvdj\"/></disk>",
        "<interface type=\"ethernet\"><mac address=\"00:16:3e:5e:6c:04\"/>\
         <ip address=\"10.137.0.6\"/><ip address=\"fd09:24ef:4179::a89:6\" family=\"ipv6\"/>\
         <script path=\"vif-route-qubes\"/><backenddomain name=\"sys-firewall\"/></interface>",
        "<address domain=\"0x0000\" bus=\"0x03\" slot=\"0x1f\" function=\"0x7\"/>",
        "<e820_host state=\"on\"/>",
        "<console type=\"pty\"><target type=\"xen\" port=\"0\"/></console>",
    ] {
        assert!(squeezed.contains(part), "{part}\n{xml}");
    }
    let xml = xen(VirtMode::Pvh, |vm| {
        set(vm, "pci-e820-host", "");
        vm.net = None;
        vm.pci[0].permissive = true;
        vm.pci[0].no_strict_reset = true;
    });
    assert!(
        !xml.contains("e820") && !xml.contains("<interface"),
        "{xml}"
    );
    assert!(
        xml.contains("managed=\"yes\" nostrictreset=\"yes\">")
            && xml.contains("<source writeFiltering=\"no\">"),
        "{xml}"
    );
}

#[test]
fn an_hvm_qube_gets_its_stub_domain_and_graphics() {
    let emulator = |change: fn(&mut DomainDescription)| {
        let xml = xen(VirtMode::Hvm, change);
        xml.lines()
            .find(|l| l.contains("<emulator"))
            .unwrap_or_default()
            .trim()
            .to_string()
    };
    assert_eq!(
        emulator(|vm| vm.debug = false),
        "<emulator type=\"stubdom-linux\" cmdline=\"-qubes-net:client_ip=10.137.0.6,\
         dns_0=10.139.1.1,dns_1=10.139.1.2,gw=10.137.0.5,netmask=255.255.255.255 \
         -qubes-audio:audiovm_xid=-1 \"/>"
    );
    assert_eq!(
        emulator(|vm| {
            vm.net = None;
            vm.audiovm_xid = Some(7);
            vm.stubdom_mem = Some(128);
            set(vm, "qemu-extra-args", "-vga <x>");
            set(vm, "stubdom-qrexec", "1");
        }),
        "<emulator type=\"stubdom-linux\" \
         cmdline=\"-qubes-audio:audiovm_xid=7 -vga &lt;x&gt; -trace xen_platform_log\" \
         memory=\"131072\" kernel=\"/usr/libexec/xen/boot/qemu-stubdom-linux-full-kernel\" \
         ramdisk=\"/usr/libexec/xen/boot/qemu-stubdom-linux-full-rootfs\"/>"
    );
    let old = emulator(|vm| set(vm, "linux-stubdom", ""));
    assert!(
        old.starts_with(
            "<emulator type=\"stubdom\" \
             cmdline=\"-net lwip,client_ip=10.137.0.6,server_ip=10.139.1.2,"
        ),
        "{old}"
    );
    let xml = xen(VirtMode::Hvm, |vm| vm.guivm = Some("sys-gui".to_string()));
    assert!(
        xml.contains("<graphics type=\"qubes\" domain=\"sys-gui\" log_level=\"2\"/>"),
        "{xml}"
    );
    let xml = xen(VirtMode::Hvm, |vm| set(vm, "video-model", "none"));
    assert!(
        !xml.contains("<video>") && !xml.contains("<graphics"),
        "{xml}"
    );
}

#[test]
fn xml_for_qemu_has_no_network_no_ballooning_and_a_console_log() {
    let xml = render(
        Family::Qemu,
        &with_everything(VirtMode::Pvh),
        &HostDescription::default(),
    );
    let squeezed: String = xml.lines().map(str::trim).collect();
    assert!(!xml.contains("<interface"), "{xml}");
    for part in [
        "<memory unit=\"MiB\">400</memory><currentMemory unit=\"MiB\">400</currentMemory>",
        "<source file=\"/var/lib/qubes/appvms/work/root.img\"/>\
         <target dev=\"vda\" bus=\"virtio\"/></disk>",
        "<source dev=\"/dev/qubes_dom0/vm-work-volatile\"/>\
         <target dev=\"vdc\" bus=\"virtio\"/></disk>",
        "<source file=\"/var/lib/qubes/appvms/work/modules.img\"/>\
         <target dev=\"vdd\" bus=\"virtio\"/><readonly/></disk>",
        "<log file=\"/run/qubes/log/work.log\" append=\"on\"/>",
        "<seclabel type=\"static\" model=\"dac\" relabel=\"no\">\
         <label>+64055:+980</label></seclabel>",
        "<qubes:domain xmlns:qubes=\"urn:qubes:domain\" qube=\"work\"/>",
    ] {
        assert!(squeezed.contains(part), "{part}\n{xml}");
    }
}
