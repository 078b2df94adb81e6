//! Completion: the candidates that the shells get.

use qubes_test_support::TestSystem;

fn complete(shell: &str, line: &[&str]) -> Vec<String> {
    complete_on(&TestSystem::recorded("small.xml"), shell, line)
}

fn complete_on(store: &TestSystem, shell: &str, line: &[&str]) -> Vec<String> {
    let index = (line.len() - 1).to_string();
    let words = [shell, &index].into_iter().chain(line.iter().copied());
    let words: Vec<String> = words.map(String::from).collect();
    let run = store.run(("qubes-complete", &words));
    assert_eq!((run.code, run.stderr.as_str()), (0, ""), "{line:?}");
    run.stdout.lines().map(String::from).collect()
}

/// The exit code if the name of a file fits.
const A_FILE: i32 = 3;

#[test]
fn file_names_are_offered_only_where_one_fits() {
    let store = TestSystem::recorded("small.xml");
    let exit = |line: &[&str]| {
        let index = (line.len() - 1).to_string();
        let words = ["bash", &index]
            .into_iter()
            .chain(line.iter().copied())
            .map(String::from);
        store
            .run(("qubes-complete", &words.collect::<Vec<_>>()))
            .code
    };
    for line in [
        &["qvm-volume", "import", "work:private", ""][..],
        &["qvm-create", "--root-copy-from", "/"],
        &["qvm-create", "--root-copy-from=/"],
        &["qvm-notes", "work", "--import", ""],
        &["qvm-start", "--hddisk", ""],
        &["qvm-ls", "--qubesxml", ""],
        &["qvm-ls", "--root", ""],
        &["qvm-pool", "add", "new", "file", "-o", "dir_path=/"],
        &["qubes-db", "diff", "./"],
        &[
            "qvm-template-postprocess",
            "--really",
            "post-install",
            "tpl",
            "",
        ],
        &["qubes", "generate", ""],
        &["qubes", "qvm-ls", "--root", ""],
    ] {
        assert_eq!(exit(line), A_FILE, "{line:?}");
    }
    let nowhere = |store: &TestSystem, line: &[&str]| {
        let index = (line.len() - 1).to_string();
        let words = ["bash", &index]
            .into_iter()
            .chain(line.iter().copied())
            .map(String::from);
        let run = store.run(("qubes-complete", &words.collect::<Vec<_>>()));
        assert_eq!(
            (run.code, run.stdout.as_str(), run.stderr.as_str()),
            (0, "", ""),
            "{line:?}"
        );
    };
    let lines = [
        &["qvm-start", ""][..],
        &["qvm-prefs", "work", "netvm", ""],
        &["qvm-create", "-t", ""],
        &["qvm-volume", "info", ""],
        &["qvm-tags", "work", "del", ""],
        &["qubes-db", "restore", ""],
    ];
    for broken in ["", "<qubes><domains>", "no xml"] {
        std::fs::write(store.store_file(), broken).unwrap();
        lines.iter().for_each(|line| nowhere(&store, line));
    }
    std::fs::remove_file(store.store_file()).unwrap();
    lines.iter().for_each(|line| nowhere(&store, line));
    let sound = TestSystem::recorded("small.xml");
    for line in [
        &["qvm-create", "-l", "red", "ne"][..],
        &["qvm-clone", "work", "ne"],
        &["qvm-ls", "zz"],
    ] {
        nowhere(&sound, line);
    }
}

#[test]
fn qubes_properties_and_values_come_from_the_store() {
    assert_eq!(
        complete("bash", &["qvm-start", "sys-"]),
        ["sys-firewall", "sys-net", "sys-usb", "sys-whonix"]
    );
    assert_eq!(complete("bash", &["qvm-prefs", "work", "netv"]), ["netvm"]);
    assert_eq!(
        complete("bash", &["qvm-prefs", "work", "netvm", ""]),
        ["sys-firewall", "sys-net", "sys-whonix", "none"]
    );
    assert_eq!(
        complete("bash", &["qvm-prefs", "--set", "work", "label", "t"]),
        ["teal"]
    );
    assert_eq!(
        complete("bash", &["qubes-prefs", "default_net"]),
        ["default_netvm"]
    );
    assert_eq!(
        complete("bash", &["qubes-prefs", "check_updates_vm", "F"]),
        ["False"]
    );
    assert_eq!(
        complete("bash", &["qvm-create", "-t", "fed"]),
        ["fedora-41-xfce"]
    );
}

#[test]
fn with_several_qubes_properties_of_any_class_are_offered() {
    assert_eq!(complete("bash", &["qvm-prefs", "sys-*", "netv"]), ["netvm"]);
    assert_eq!(complete("bash", &["qvm-prefs", "work,va"]), ["work,vault"]);
    assert_eq!(
        complete("bash", &["qvm-prefs", "work,vault", "vir"]),
        ["virt_mode"]
    );
    assert_eq!(
        complete("bash", &["qvm-prefs", "--all", "transp"]),
        ["transport_rpc"]
    );
    assert_eq!(
        complete("bash", &["qvm-prefs", "--all", "debug", "T"]),
        ["True"]
    );
    assert_eq!(
        complete("bash", &["qvm-prefs", "--class", "AppVM,Disp"]),
        ["AppVM,DispVM"]
    );
    assert_eq!(
        complete("bash", &["qvm-ls", "--color", "a"]),
        ["auto", "always"]
    );
}

#[test]
fn options_their_values_and_commands_come_from_the_tools() {
    assert_eq!(
        complete("bash", &["qvm-ls", "--raw"]),
        ["--raw-data", "--raw-list"]
    );
    assert_eq!(complete("bash", &["qvm-ls", "--format", "k"]), ["kernel"]);
    assert_eq!(
        complete("bash", &["qvm-ls", "-O", "NAME,PRIV-M"]),
        ["NAME,PRIV-MAX"]
    );
    assert_eq!(
        complete("bash", &["qvm-ls", "--class", "AppVM", "Disp"]),
        ["DispVM"]
    );
    assert_eq!(
        complete("zsh", &["qvm-ls", "--format=ne"]),
        ["--format=network"]
    );
    assert_eq!(
        complete("bash", &["qvm-ls", "--format", "=", "ne"]),
        ["network"]
    );
    assert_eq!(
        complete("fish", &["qubes", "qvm-kil"]),
        ["qvm-kill\tKill qubes without a shutdown"]
    );
    assert_eq!(complete("bash", &["qubes", "qvm-prefs", "wor"]), ["work"]);
    assert_eq!(complete("bash", &["qubes-set-updates", "d"]), ["disable"]);
    assert_eq!(
        complete("bash", &["qvm-template-postprocess", "--really", "p"]),
        ["post-install", "pre-remove"]
    );
    assert_eq!(
        complete("bash", &["qvm-add-appvm", "new", "fed"]),
        ["fedora-41-xfce"]
    );
    assert_eq!(complete("bash", &["qvm-start", "--", "--"]), [""; 0]);
}

#[test]
fn features_services_and_tags_come_from_the_qube() {
    assert_eq!(
        complete("bash", &["qvm-features", "work", "m"]),
        ["menu-items", "multiline", "memory-hotplug"]
    );
    assert_eq!(
        complete("bash", &["qvm-features", "-D", "work", "m"]),
        ["menu-items", "multiline"],
        "those that are set"
    );
    assert_eq!(
        complete("bash", &["qvm-service", "-e", "work", "n"]),
        ["network-manager"],
        "its template supports it"
    );
    assert_eq!(
        complete("bash", &["qvm-service", "-D", "work", "n"]),
        [""; 0]
    );
    assert_eq!(
        complete("bash", &["qvm-features", "work", "gui", ""]),
        [""; 0]
    );
    assert_eq!(
        complete("bash", &["qvm-service", "work", ""]),
        ["cups", "clocksync", "network-manager"]
    );
    assert_eq!(
        complete("bash", &["qvm-service", "work", "cups", "o"]),
        ["on", "off"]
    );
    assert_eq!(
        complete("bash", &["qvm-tags", "vault", ""]),
        ["list", "add", "del"]
    );
    assert_eq!(
        complete("bash", &["qvm-tags", "vault", "del", ""]),
        ["audiovm-dom0", "guivm-dom0"]
    );
    assert_eq!(
        complete("bash", &["qvm-tags", "vault", "add", "zz"]),
        ["zz-last"]
    );
    assert_eq!(
        complete("bash", &["qvm-tags", "vault", "add", "job", "zz"]),
        ["zz-last"]
    );
}

#[test]
fn only_qubes_that_a_command_can_work_on_are_offered() {
    let store = TestSystem::recorded("small.xml");
    let offered = |line: &[&str]| complete_on(&store, "bash", line);
    let has = |line: &[&str], name: &str| offered(line).iter().any(|word| word == name);
    assert!(
        has(&["qvm-prefs", ""], "dom0")
            && has(&["qvm-check", ""], "dom0")
            && has(&["qvm-ls", ""], "remote-work")
    );
    for tool in ["qvm-start", "qvm-kill", "qvm-shutdown", "qvm-notes"] {
        assert!(
            !has(&[tool, ""], "dom0")
                && !has(&[tool, ""], "remote-work")
                && has(&[tool, ""], "work"),
            "{tool}"
        );
    }
    for tool in ["qvm-remove", "qvm-clone"] {
        assert!(
            !has(&[tool, ""], "dom0") && has(&[tool, ""], "remote-work"),
            "{tool}"
        );
    }
    assert_eq!(offered(&["qvm-clone", "work", ""]), [""; 0], "a new name");
    assert_eq!(offered(&["qvm-create", "wo"]), [""; 0], "a new name");

    // A record says that work was started.
    let records = store.root().join("run/qubes/vm");
    std::fs::create_dir_all(&records).unwrap();
    std::fs::write(records.join("work"), "").unwrap();
    assert!(!has(&["qvm-start", ""], "work") && has(&["qvm-start", ""], "vault"));
    assert_eq!(offered(&["qvm-shutdown", ""]), ["work"]);
    assert_eq!(offered(&["qvm-kill", "--all", "--exclude", ""]), ["work"]);
}

#[test]
fn values_fit_their_property() {
    let values = |property: &str| complete("zsh", &["qvm-prefs", "work", property, ""]);
    assert_eq!(
        values("template"),
        [
            "debian-12-xfce:TemplateVM",
            "fedora-41-xfce:TemplateVM",
            "whonix-gateway-17:TemplateVM"
        ]
    );
    assert_eq!(
        values("default-dispvm"),
        ["default-dvm:AppVM", "none:no qube"]
    );
    assert_eq!(
        complete("bash", &["qvm-prefs", "sys-usb", "template", ""]),
        ["default-dvm"],
        "a disposable's"
    );
    assert_eq!(
        values("kernel"),
        ["5.15.124-1", "6.12.21-1.fc37", "6.6.77-1.fc37"]
    );
    assert!(
        !values("guivm")
            .iter()
            .any(|word| word.starts_with("remote-work"))
    );
    assert_eq!(
        complete("bash", &["qubes-prefs", "default_template", "deb"]),
        ["debian-12-xfce"]
    );

    assert_eq!(
        complete("bash", &["qvm-create", "-p", ""]),
        ["root=", "private=", "volatile="]
    );
    // bash breaks words at `=`, the other shells do not.
    assert_eq!(
        complete("bash", &["qvm-create", "-p", "private", "=", "sl"]),
        ["slow-hdd"]
    );
    assert_eq!(
        complete("bash", &["qvm-create", "-p", "private", "="]).len(),
        5
    );
    assert_eq!(
        complete("zsh", &["qvm-clone", "--pool", "private=sl"]),
        ["private=slow-hdd:file"]
    );
    assert_eq!(
        complete("bash", &["qvm-clone", "--pool", "=", "private", "=", "sl"]),
        ["slow-hdd"]
    );
    assert_eq!(
        complete("fish", &["qvm-clone", "--pool=private=sl"]),
        ["--pool=private=slow-hdd\tfile"]
    );
    assert_eq!(
        complete("bash", &["qvm-create", "--prop", "virt"]),
        ["virt_mode="]
    );
    assert_eq!(
        complete("zsh", &["qvm-create", "--property", "virt_mode=p"]),
        ["virt_mode=pv", "virt_mode=pvh"]
    );
    assert_eq!(
        complete("bash", &["qvm-create", "--disp", "--prop", "auto_c"]),
        ["auto_cleanup="]
    );
    assert_eq!(
        complete("bash", &["qvm-create", "--prop", "auto_c"]),
        [""; 0],
        "an AppVM has no such property"
    );
    assert_eq!(
        complete("bash", &["qvm-create", "--disp", "-t", ""]),
        ["default-dvm"]
    );
    assert_eq!(complete("bash", &["qvm-clone", "-P", "ref"]), ["reflinked"]);
}

#[test]
fn an_unreadable_store_has_no_completions_and_no_errors() {
    assert_eq!(
        complete("bash", &["qvm-start", "--qubesxml", "/nonexistent", ""]),
        [""; 0]
    );
}

#[test]
fn pools_volumes_drivers_and_their_options_are_completed() {
    assert_eq!(complete("fish", &["qvm-pool", "re"]), ["remove"]);
    assert_eq!(
        complete("bash", &["qvm-pool", "info", "v"]),
        ["varlibqubes", "vm-pool"]
    );
    assert_eq!(complete("bash", &["qvm-pool", "-r", "slow"]), ["slow-hdd"]);
    assert_eq!(
        complete("bash", &["qvm-pool", "remove", "vm-pool", "refl"]),
        ["reflinked"]
    );
    assert_eq!(
        complete("bash", &["qvm-pool", "add", "new", "file"]),
        ["file", "file-reflink"]
    );
    assert_eq!(
        complete("bash", &["qvm-pool", "add", "new", "lvm_thin", "-o", "v"]),
        ["volume_group="]
    );
    assert_eq!(
        complete("bash", &["qvm-pool", "set", "vm-pool", "-o", "rev"]),
        ["revisions_to_keep="]
    );
    assert_eq!(
        complete("fish", &["qvm-volume", "info", "work:p"]),
        ["work:private\tAppVM"]
    );
    // bash makes three words of it and replaces the last.
    assert_eq!(
        complete("bash", &["qvm-volume", "info", "work", ":", "p"]),
        ["private"]
    );
    assert_eq!(
        complete("bash", &["qvm-volume", "info", "work:private", "rev"]),
        ["revisions_to_keep", "revisions"]
    );
    assert_eq!(
        complete("bash", &["qvm-volume", "config", "work:private", "rw", ""]),
        ["True", "False"]
    );
    assert_eq!(
        complete("bash", &["qvm-volume", "list", "-p", "slow"]),
        ["slow-hdd"]
    );
    assert_eq!(
        complete("bash", &["qvm-template-commit", "fed"]),
        ["fedora-41-xfce"]
    );
    assert_eq!(complete("bash", &["qvm-grow-private", "wo"]), ["work"]);
}
