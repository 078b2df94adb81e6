//! qubes-domain-xml: the disks of a domain.

use std::fs;

use qubes_test_support::TestSystem;
use qubes_test_support::system::KERNELS;

#[test]
fn a_kernel_without_modules_has_no_disk() {
    let system = TestSystem::furnished();
    let disks = || -> Vec<String> {
        let xml = system.ok("qubes-domain-xml work");
        let files = xml
            .lines()
            .filter_map(|line| line.split_once("<source file="));
        files.map(|(_, file)| file.to_string()).collect()
    };
    let modules = format!("vm-kernels/{}/modules.img", KERNELS[0]);
    let with_modules = disks();
    assert!(
        with_modules.len() == 4 && with_modules[3].contains(&modules),
        "{with_modules:?}"
    );
    fs::remove_file(system.image(&modules)).unwrap();
    assert_eq!(disks().len(), 3, "root, private, volatile");
    fs::write(system.image(&modules), [0; 4096]).unwrap();
    system.ok(["qvm-prefs", "work", "kernel", ""]);
    assert_eq!(disks().len(), 3, "a qube that boots from its own disk");
}
