//! Tests the output of the built-in templates and the abilities of users' templates. The check
//! against libvirt's schema is in tests/hypervisor/domain_xml.rs.

use std::fs;

use super::*;
use crate::hypervisor::description::*;

fn work() -> DomainDescription {
    DomainDescription {
        name: "work".to_string(),
        qube: "work".to_string(),
        store: None,
        uuid: uuid::uuid!("67e92c87-65a9-4c7f-b2d3-35c459de9eb5"),
        memory: 400,
        maxmem: 4000,
        memory_hotplug: false,
        vcpus: 2,
        virt_mode: VirtMode::Pvh,
        kernel: Some(Kernel {
            image: "/kernels/6.6/vmlinuz".into(),
            initrd: None,
            cmdline: "root=/dev/xvda <&\"'>".to_string(),
        }),
        disks: Vec::new(),
        block_devices: Vec::new(),
        net: None,
        pci: Vec::new(),
        console_log: None,
        features: BTreeMap::new(),
        debug: false,
        accelerator: Accelerator::Tcg,
        owner: None,
        audiovm_xid: None,
        guivm: None,
        stubdom_mem: None,
    }
}

fn render(
    directory: &Path,
    family: Family,
    vm: &DomainDescription,
) -> Result<String, HypervisorError> {
    Templates::new(directory.join("etc"), directory.join("share")).render(
        family,
        vm,
        &HostDescription::default(),
    )
}

fn write(file: &Path, text: &str) {
    fs::create_dir_all(file.parent().unwrap()).unwrap();
    fs::write(file, text).unwrap();
}

#[test]
fn values_are_escaped_and_paths_are_not() {
    let empty = tempfile::tempdir().unwrap();
    let xml = render(empty.path(), Family::Qemu, &work()).unwrap();
    assert!(
        xml.contains("<kernel>/kernels/6.6/vmlinuz</kernel>"),
        "{xml}"
    );
    assert!(
        xml.contains("<cmdline>root=/dev/xvda &lt;&amp;&quot;&#39;&gt;</cmdline>"),
        "{xml}"
    );
    assert!(xml.starts_with("<domain type=\"qemu\">"), "{xml}");
    let kvm = DomainDescription {
        accelerator: Accelerator::Kvm,
        ..work()
    };
    assert!(
        render(empty.path(), Family::Qemu, &kvm)
            .unwrap()
            .starts_with("<domain type=\"kvm\">")
    );
}

#[test]
fn a_users_template_extends_the_built_in_one() {
    let place = tempfile::tempdir().unwrap();
    write(
        &place.path().join("etc/libvirt/xen/by-name/work.xml"),
        "{% extends 'libvirt/xen.xml' %}\n{% block cpu %}<cpu>\
         {{ vm.features.check_with_template('x', 'none') }}</cpu>{% endblock %}\
         {% block devices %}{{ super() }}<watchdog/>{% endblock %}",
    );
    let xml = render(place.path(), Family::Xen, &work()).unwrap();
    assert!(
        xml.contains("<cpu>none</cpu>") && !xml.contains("host-passthrough"),
        "{xml}"
    );
    assert!(
        xml.contains("<target type=\"xen\" port=\"0\"/>") && xml.contains("<watchdog/>"),
        "{xml}"
    );
    // It does not apply to another qube or another family.
    let other = DomainDescription {
        qube: "vault".to_string(),
        ..work()
    };
    assert!(
        render(place.path(), Family::Xen, &other)
            .unwrap()
            .contains("host-passthrough")
    );
    assert!(
        !render(place.path(), Family::Qemu, &work())
            .unwrap()
            .contains("<watchdog/>")
    );
}

#[test]
fn templates_of_the_qube_the_user_and_the_distribution_precede_the_built_in_one() {
    let place = tempfile::tempdir().unwrap();
    let path = |rest: &str| place.path().join(rest);
    let first = || render(place.path(), Family::Xen, &work()).unwrap();
    // The distribution's plain template is upstream's, which calls Python: it is ignored.
    write(&path("share/libvirt/xen.xml"), "upstream's");
    assert!(first().starts_with("<domain"));
    for (file, text) in [
        ("etc/libvirt/xen.xml", "user's plain"),
        ("share/libvirt/xen-dist.xml", "dist"),
        ("share/libvirt/xen-user.xml", "user in share"),
        ("etc/libvirt/xen-user.xml", "user"),
        ("share/libvirt/xen/by-name/work.xml", "one in share"),
        ("etc/libvirt/xen/by-name/work.xml", "one"),
    ] {
        write(&path(file), text);
        assert_eq!(first(), text);
    }
}

#[test]
fn a_template_error_names_the_file_and_the_line() {
    let place = tempfile::tempdir().unwrap();
    let user = place.path().join("etc/libvirt/qemu-user.xml");
    for (text, location, reason) in [
        (
            "<a>\n{{ vm.nothing }}</a>",
            "libvirt/qemu-user.xml line 2: ",
            "undefined",
        ),
        (
            "{% if x %}",
            "libvirt/qemu-user.xml line 1: ",
            "end of input",
        ),
        (
            "{{ bug('no such mode') }}",
            "libvirt/qemu-user.xml line 1: ",
            "no such mode",
        ),
        (
            "{{ vm.features.check_with_template('gui') }}",
            "libvirt/qemu-user.xml line 1: ",
            "no feature gui",
        ),
        (
            "{% extends 'libvirt/../../../secret' %}",
            "libvirt/qemu-user.xml",
            "not found",
        ),
    ] {
        write(&user, text);
        let error = render(place.path(), Family::Qemu, &work())
            .unwrap_err()
            .to_string();
        let file = place.path().join("etc").join(location);
        assert!(
            error.starts_with(&format!("template {}", file.display())),
            "{text}: {error}"
        );
        assert!(
            error.contains(reason) && !error.contains('\n'),
            "{text}: {error}"
        );
    }
}

#[test]
fn an_endless_or_huge_template_is_an_error() {
    let place = tempfile::tempdir().unwrap();
    let template = place.path().join("etc/libvirt/qemu-user.xml");
    let long = "{% for a in range(100000) %}{{ 'x' * 1000 }}{% endfor %}";
    let endless =
        "{% for a in range(100000) %}{% for b in range(100000) %}{% endfor %}{% endfor %}";
    for (text, reason) in [
        (
            endless,
            "it takes more than 200000 steps; check for an endless loop",
        ),
        (long, "it writes more than 4 MiB"),
        ("{{ 'x' * 90000000 }}", "it writes more than 4 MiB"),
    ] {
        write(&template, text);
        let error = render(place.path(), Family::Qemu, &work())
            .unwrap_err()
            .to_string();
        assert!(
            error.contains("qemu-user.xml") && error.ends_with(reason),
            "{error}"
        );
    }
}
