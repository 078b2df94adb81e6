//! Volumes that a class does not have: they are not listed, and naming one is an error.

use serde_json::{Value as Json, json};

use crate::system::System;

#[test]
fn classes_without_volumes_have_none() {
    let system = System::new();
    system.ok("qvm-create -C RemoteVM -l gray far");
    for qube in ["dom0", "far"] {
        assert_eq!(
            system.ok(format!("qvm-volume list {qube}")).lines().count(),
            1,
            "the heading alone"
        );
        let listed: Json =
            serde_json::from_str(&system.ok(format!("qvm-volume --json list {qube}"))).unwrap();
        assert_eq!(listed, json!([]));
        for volume in ["root", "private", "volatile", "kernel"] {
            let words = format!("qvm-volume: error: vm '{qube}' has no volume '{volume}'");
            for command in ["info", "clear -f", "revert"] {
                assert_eq!(
                    system.refuses(1, &format!("qvm-volume {command} {qube}:{volume}")),
                    words
                );
            }
            assert_eq!(
                system.refuses(1, &format!("qvm-volume resize {qube}:{volume} 1G")),
                words
            );
        }
        let refused = system.refuses(1, &format!("qvm-grow-private {qube} 1G"));
        assert!(
            refused.contains(&format!("'{qube}' has no volume 'private'")),
            "{refused}"
        );
        // The 0 in the table is upstream's. JSON has null.
        assert_eq!(
            system.ok(format!(
                "qvm-ls --raw-data -O name,root-pool,priv-max,disk {qube}"
            )),
            format!("{qube}|-|0|0\n")
        );
        let row: Json = serde_json::from_str(
            &system.ok(format!("qvm-ls --json -O name,root-pool,priv-max {qube}")),
        )
        .unwrap();
        assert_eq!(
            (&row[0]["root-pool"], &row[0]["priv-max"]),
            (&Json::Null, &Json::Null),
            "{row}"
        );
    }
    let dump: Json = serde_json::from_str(&system.ok("qubes-db dump --json")).unwrap();
    assert_eq!(dump["domains"]["dom0"]["volumes"], json!({}));
    assert!(
        dump["domains"]["far"]
            .get("volumes")
            .is_none_or(Json::is_null),
        "{}",
        dump["domains"]["far"]
    );
}

#[test]
fn a_kernel_without_modules_has_no_disk() {
    let system = System::new();
    let disks = |qube: &str| -> Vec<String> {
        let xml = system.ok(format!("qubes-domain-xml {qube}"));
        xml.lines()
            .filter_map(|line| Some(line.split_once("<source file=")?.1.to_string()))
            .collect()
    };
    assert_eq!(disks("work").len(), 3, "root, private, volatile");
    std::fs::write(
        system.path("/var/lib/qubes/vm-kernels/1.0/modules.img"),
        [0; 4096],
    )
    .unwrap();
    let with_modules = disks("work");
    assert!(
        with_modules.len() == 4 && with_modules[3].contains("1.0/modules.img"),
        "{with_modules:?}"
    );
    assert!(
        system
            .command("qvm-prefs work kernel")
            .arg("")
            .status()
            .unwrap()
            .success()
    );
    assert_eq!(
        disks("work").len(),
        3,
        "a qube that boots from its own disk"
    );
}
