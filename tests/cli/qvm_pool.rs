//! qvm-pool: what it stores of options, and several pools at once.

use qubes_test_support::{TestSystem, tool_output};

#[test]
fn options_are_changed_all_or_none() {
    let system = TestSystem::furnished();
    system.ok("qvm-pool set varlibqubes -o revisions_to_keep=-1 -o ephemeral_volatile=yes");
    let element = system.store();
    let element = element
        .lines()
        .find(|line| line.contains(r#"name="varlibqubes""#))
        .unwrap();
    assert!(
        element.contains(r#" revisions_to_keep="-1""#)
            && element.contains(r#" ephemeral_volatile="True""#),
        "{element}"
    );
    let info = system.ok("qvm-pool info varlibqubes");
    assert!(
        info.contains("revisions_to_keep   -1\n") && info.contains("ephemeral_volatile  True\n"),
        "{info}"
    );
    // Every release up to 4.4.0 reads the text False as true, so a false value is not stored.
    system.ok("qvm-pool set varlibqubes -o ephemeral_volatile=0");
    assert!(!system.store().contains("ephemeral_volatile"));
    system.configure("[store]\nrelease = \"4.0\"\n");
    let words = "is not supported by Qubes OS 4.0, for which the store is written";
    let line = "qvm-pool set varlibqubes -o ephemeral_volatile=1";
    system.refuses(1, line, words);
}

#[test]
fn r3s_syntax_has_options_separated_by_commas() {
    let system = TestSystem::furnished();
    system.ok("qvm-pool -o dir_path=/old,revisions_to_keep=0 -a old file");
    assert!(system.ok("qvm-pool -l").ends_with("old           file\n"));
    let both = system.ok("qvm-pool -i old -i linux-kernel");
    assert!(
        both.contains("name                old\n") && both.contains("name         linux-kernel\n"),
        "{both}"
    );
    system.ok("qvm-pool -s old -o revisions_to_keep=1,ephemeral_volatile=on");
    assert!(
        system
            .store()
            .contains(r#"driver="file" revisions_to_keep="1" ephemeral_volatile="True""#)
    );
    system.ok("qvm-pool -r old");
    assert!(!system.store().contains("/old"));
}

#[test]
fn several_pools_are_all_removed_or_none() {
    let system = TestSystem::furnished();
    for name in ["one", "two"] {
        system.ok(format!("qvm-pool add {name} file -o dir_path=/{name}"));
    }
    let words = "qvm-pool: error: No such pools: ['nosuch']";
    system.refuses(2, "qvm-pool remove one nosuch two", words);
    system.ok("qvm-pool rm one two");
    assert_eq!(system.ok("qvm-pool list").lines().count(), 3);
}

#[test]
fn concurrent_adds_of_one_name_add_it_once() {
    let system = TestSystem::furnished();
    let children: Vec<_> = (0..8)
        .map(|n| system.spawn(format!("qvm-pool add same file -o dir_path=/same{n}")))
        .collect();
    let ran: Vec<_> = children.into_iter().map(tool_output::wait_for).collect();
    assert_eq!(ran.iter().filter(|ran| ran.code == 0).count(), 1, "{ran:?}");
    assert!(
        ran.iter()
            .filter(|ran| ran.code != 0)
            .all(|ran| ran.stderr.contains("Storage pool is in use: 'same'"))
    );
    assert_eq!(system.store().matches(r#"name="same""#).count(), 1);
}
