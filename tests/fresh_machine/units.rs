//! Tests of the units on machines where libvirt's QEMU driver is a separate daemon.

use std::fs;

use crate::sources::repository;

#[test]
fn units_are_ordered_after_either_daemon_of_libvirt() {
    let mut read = 0;
    for entry in fs::read_dir(repository("units")).unwrap() {
        let path = entry.unwrap().path();
        let Some("service") = path.extension().and_then(|e| e.to_str()) else {
            continue;
        };
        let text = fs::read_to_string(&path).unwrap();
        let after: Vec<&str> = text
            .lines()
            .filter_map(|l| l.strip_prefix("After="))
            .flat_map(str::split_whitespace)
            .collect();
        for daemon in ["libvirtd.service", "virtqemud.service"] {
            assert!(
                after.contains(&daemon),
                "{} is not ordered after {daemon}",
                path.display()
            );
        }
        read += 1;
    }
    assert!(read >= 3, "{read} units");
}
