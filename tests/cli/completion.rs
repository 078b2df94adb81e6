//! Completion: what the shells are offered, from the store and from the command line so far.

use crate::store::Store;

fn complete(shell: &str, line: &[&str]) -> Vec<String> {
    let store = Store::small();
    let index = (line.len() - 1).to_string();
    let words = ["complete", shell, &index].into_iter().chain(line.iter().copied());
    let words: Vec<String> = words.map(String::from).collect();
    let run = store.run(env!("CARGO_BIN_EXE_qubes"), &words, "", false);
    assert_eq!((run.exit, run.stderr.as_str()), (0, ""), "{line:?}");
    run.stdout.lines().map(String::from).collect()
}

#[test]
fn qubes_properties_and_values_come_from_the_store() {
    assert_eq!(complete("bash", &["qvm-start", "sys-"]), ["sys-firewall", "sys-net", "sys-usb", "sys-whonix"]);
    assert_eq!(complete("bash", &["qvm-prefs", "work", "netv"]), ["netvm"]);
    assert_eq!(complete("bash", &["qvm-prefs", "work", "netvm", ""]), ["sys-firewall", "sys-net", "sys-whonix"]);
    assert_eq!(complete("bash", &["qvm-prefs", "--set", "work", "label", "t"]), ["teal"]);
    assert_eq!(complete("bash", &["qubes-prefs", "default_net"]), ["default_netvm"]);
    assert_eq!(complete("bash", &["qubes-prefs", "check_updates_vm", "F"]), ["False"]);
    assert_eq!(complete("bash", &["qvm-create", "-t", "fed"]), ["fedora-41-xfce"]);
}

#[test]
fn options_their_values_and_commands_come_from_the_tools() {
    assert_eq!(complete("bash", &["qvm-ls", "--raw"]), ["--raw-data", "--raw-list"]);
    assert_eq!(complete("bash", &["qvm-ls", "--format", "k"]), ["kernel"]);
    assert_eq!(complete("bash", &["qvm-ls", "-O", "NAME,PRIV-M"]), ["NAME,PRIV-MAX"]);
    assert_eq!(complete("bash", &["qvm-ls", "--class", "AppVM", "Disp"]), ["DispVM"]);
    assert_eq!(complete("zsh", &["qvm-ls", "--format=ne"]), ["--format=network"]);
    assert_eq!(complete("bash", &["qvm-ls", "--format", "=", "ne"]), ["network"]);
    assert_eq!(complete("fish", &["qubes", "qvm-kil"]), ["qvm-kill\tEnd qubes at once"]);
    assert_eq!(complete("bash", &["qubes", "qvm-prefs", "wor"]), ["work"]);
    assert_eq!(complete("bash", &["qubes-set-updates", "d"]), ["disable"]);
    assert_eq!(complete("bash", &["qvm-template-postprocess", "--really", "p"]), ["post-install", "pre-remove"]);
    assert_eq!(complete("bash", &["qvm-add-appvm", "new", "fed"]), ["fedora-41-xfce"]);
    assert_eq!(complete("bash", &["qvm-start", "--", "--"]), [""; 0]);
}

#[test]
fn features_services_and_tags_are_those_of_the_qube_and_new_tags_those_of_all() {
    assert_eq!(complete("bash", &["qvm-features", "work", "m"]), ["menu-items", "multiline"]);
    assert_eq!(complete("bash", &["qvm-features", "work", "gui", ""]), [""; 0]);
    assert_eq!(complete("bash", &["qvm-service", "work", ""]), ["cups", "clocksync"]);
    assert_eq!(complete("bash", &["qvm-service", "work", "cups", "o"]), ["on", "off"]);
    assert_eq!(complete("bash", &["qvm-tags", "vault", ""]), ["list", "add", "del"]);
    assert_eq!(complete("bash", &["qvm-tags", "vault", "del", ""]), ["audiovm-dom0", "guivm-dom0"]);
    assert_eq!(complete("bash", &["qvm-tags", "vault", "add", "zz"]), ["zz-last"]);
    assert_eq!(complete("bash", &["qvm-tags", "vault", "add", "job", "zz"]), ["zz-last"]);
}

#[test]
fn a_store_that_cannot_be_read_offers_nothing_and_says_nothing() {
    assert_eq!(complete("bash", &["qvm-start", "--qubesxml", "/nonexistent", ""]), [""; 0]);
}
