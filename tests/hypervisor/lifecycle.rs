//! The lifecycle of a domain, from its definition to its end.

use std::fs;
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::time::{Duration, Instant};

use qubes::hypervisor::{Hypervisor, Outcome, owner_for_image};
use qubes::model::PowerState;

use crate::fixture::{Domain, LONG};

#[test]
fn a_domain_is_created_paused_runs_is_paused_and_killed() {
    let domain = Domain::new();
    assert_eq!(domain.state(), None, "it is defined only at the start");

    domain.create_paused();
    assert_eq!(domain.state(), Some(PowerState::Paused));
    assert_eq!(
        fs::read_to_string(domain.console()).unwrap_or_default(),
        "",
        "it has not run yet"
    );

    assert_eq!(domain.hypervisor.resume(domain.uuid()), Ok(Outcome::Done));
    domain.wait_for_greeting();
    assert_eq!(domain.state(), Some(PowerState::Running));

    assert_eq!(domain.hypervisor.pause(domain.uuid()), Ok(Outcome::Done));
    assert_eq!(domain.state(), Some(PowerState::Paused));
    assert_eq!(domain.hypervisor.resume(domain.uuid()), Ok(Outcome::Done));

    assert_eq!(domain.hypervisor.destroy(domain.uuid()), Ok(Outcome::Done));
    assert_eq!(domain.state(), Some(PowerState::Halted));
    assert_eq!(domain.hypervisor.undefine(domain.uuid()), Ok(Outcome::Done));
    assert_eq!(domain.state(), None);
}

#[test]
fn a_guest_shuts_down_by_acpi_and_the_wait_returns() {
    let domain = Domain::new();
    domain.start();
    let short = Duration::from_millis(50);
    assert_eq!(
        domain
            .hypervisor
            .wait_until_inactive(domain.uuid(), Some(short)),
        Ok(false),
        "it still runs"
    );

    // The wait starts before the shutdown, in a thread with its own connection.
    let (uri, uuid) = (domain.hypervisor.uri().to_string(), domain.uuid());
    let waiting =
        std::thread::spawn(move || Hypervisor::new(uri).wait_until_inactive(uuid, Some(LONG)));
    let requested = Instant::now();
    assert_eq!(domain.hypervisor.shutdown(domain.uuid()), Ok(Outcome::Done));
    assert_eq!(waiting.join().unwrap(), Ok(true));
    assert!(
        requested.elapsed() < Duration::from_secs(20),
        "noticed by polling every 30 s, not by an event: {:?}",
        requested.elapsed()
    );
    assert_eq!(domain.state(), Some(PowerState::Halted));
    assert_eq!(
        domain.hypervisor.wait_until_inactive(domain.uuid(), None),
        Ok(true),
        "it has stopped already"
    );
}

#[test]
fn states_lists_running_domains_with_memory_and_vcpus() {
    let (running, paused, halted) = (Domain::new(), Domain::new(), Domain::new());
    running.start();
    paused.create_paused();
    halted.start();
    halted.hypervisor.destroy(halted.uuid()).unwrap();

    let states = running.hypervisor.states().unwrap();
    let live = states[&running.uuid()];
    assert_eq!(
        (live.state, live.memory_kib, live.max_memory_kib, live.vcpus),
        (PowerState::Running, 32768, 32768, 1)
    );
    assert!(live.id.is_some() && live.cpu_time_ns > 0, "{live:?}");
    assert_eq!(states[&paused.uuid()].state, PowerState::Paused);
    assert!(
        !states.contains_key(&halted.uuid()),
        "a halted domain is not listed"
    );

    let one = running.hypervisor.state(running.uuid()).unwrap().unwrap();
    assert_eq!(
        (
            one.state,
            one.id,
            one.memory_kib,
            one.max_memory_kib,
            one.vcpus
        ),
        (live.state, live.id, 32768, 32768, 1)
    );
}

#[test]
fn states_works_with_libvirts_test_driver() {
    // libvirt's test driver runs in this process and starts with one running domain.
    let hypervisor = Hypervisor::new("test:///default");
    let states = hypervisor.states().unwrap();
    let (uuid, live) = states.iter().next().unwrap();
    assert_eq!(
        (states.len(), live.state, live.id, live.vcpus),
        (1, PowerState::Running, Some(1), 2)
    );
    assert!(
        live.memory_kib > 0 && live.memory_kib <= live.max_memory_kib,
        "{live:?}"
    );
    assert_eq!(hypervisor.pause(*uuid), Ok(Outcome::Done));
    assert_eq!(hypervisor.states().unwrap()[uuid].state, PowerState::Paused);
    assert_eq!(hypervisor.resume(*uuid), Ok(Outcome::Done));
    assert_eq!(hypervisor.shutdown(*uuid), Ok(Outcome::Done));
    assert!(hypervisor.states().unwrap().is_empty());
}

#[test]
fn images_keep_their_owner_and_mode_while_the_guest_runs_and_after() {
    let domain = Domain::new();
    let image = domain.description.disks[0].path.clone();
    let read_owner_and_mode = || {
        fs::metadata(&image)
            .map(|m| (m.uid(), m.gid(), m.mode()))
            .unwrap()
    };
    let before = read_owner_and_mode();
    domain.start();
    assert_eq!(read_owner_and_mode(), before);
    domain.hypervisor.destroy(domain.uuid()).unwrap();
    assert_eq!(read_owner_and_mode(), before);
}

#[test]
fn qemu_runs_as_libvirts_user_in_the_images_group_if_that_can_open_them() {
    if !nix::unistd::geteuid().is_root() {
        qubes_test_support::skip("only root's libvirt runs QEMU as another user");
        return;
    }
    let mut domain = Domain::new();
    let image = domain.description.disks[0].path.clone();
    let own = owner_for_image(&image).unwrap();
    assert_eq!(
        (own.uid, own.gid),
        (0, 0),
        "root's private image needs root"
    );

    // Like the images of group qubes: the group can reach and write them.
    let group = 4242;
    std::os::unix::fs::chown(&image, None, Some(group)).unwrap();
    fs::set_permissions(&image, fs::Permissions::from_mode(0o660)).unwrap();
    fs::set_permissions(domain.place.path(), fs::Permissions::from_mode(0o755)).unwrap();
    let owner = owner_for_image(&image).unwrap();
    assert!(owner.uid != 0 && owner.gid == group, "{owner:?}");

    domain.description.owner = Some(owner);
    domain.start();
    let pid =
        fs::read_to_string(format!("/run/libvirt/qemu/{}.pid", domain.description.name)).unwrap();
    let status = fs::read_to_string(format!("/proc/{}/status", pid.trim())).unwrap();
    let ids = |line: &str| {
        status
            .lines()
            .find(|l| l.starts_with(line))
            .unwrap()
            .split_whitespace()
            .nth(1)
            .map(str::to_string)
    };
    assert_eq!(
        (ids("Uid:"), ids("Gid:")),
        (Some(owner.uid.to_string()), Some(group.to_string()))
    );
    assert_eq!(
        fs::metadata(&image).map(|m| (m.uid(), m.gid())).unwrap(),
        (0, group),
        "the image still belongs to root"
    );
}
