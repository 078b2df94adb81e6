//! Operations on domains that do not run, stale definitions, and guests that cannot start.

use qubes::hypervisor::{Hypervisor, HypervisorError, Outcome};
use qubes::model::PowerState;

use crate::fixture::{Domain, LONG};

#[test]
fn an_operation_on_a_domain_that_does_not_run_reports_it_absent() {
    let domain = Domain::new();
    for _ in ["never defined", "defined, does not run"] {
        assert_eq!(domain.hypervisor.resume(domain.uuid()), Ok(Outcome::Absent));
        assert_eq!(domain.hypervisor.pause(domain.uuid()), Ok(Outcome::Absent));
        assert_eq!(
            domain.hypervisor.shutdown(domain.uuid()),
            Ok(Outcome::Absent)
        );
        assert_eq!(
            domain.hypervisor.destroy(domain.uuid()),
            Ok(Outcome::Absent)
        );
        assert_eq!(
            domain
                .hypervisor
                .wait_until_inactive(domain.uuid(), Some(LONG)),
            Ok(true)
        );
        if !domain.is_defined() {
            domain.create_paused();
            domain.hypervisor.destroy(domain.uuid()).unwrap();
        }
    }
    assert_eq!(domain.hypervisor.undefine(domain.uuid()), Ok(Outcome::Done));
    assert_eq!(
        domain.hypervisor.undefine(domain.uuid()),
        Ok(Outcome::Absent)
    );
}

#[test]
fn an_operation_on_a_domain_that_vanishes_is_not_an_error() {
    let domain = Domain::new();
    domain.create_paused();
    let (uri, uuid) = (domain.hypervisor.uri().to_string(), domain.uuid());
    let killer = std::thread::spawn(move || {
        let other = Hypervisor::new(uri);
        other.destroy(uuid).unwrap();
        other.undefine(uuid).unwrap();
    });
    // Before, during and after the end of the domain the outcome is done or absent, never an error.
    let mut last = Outcome::Done;
    while last != Outcome::Absent {
        last = domain.hypervisor.pause(uuid).unwrap();
        domain.hypervisor.state(uuid).unwrap();
        domain.hypervisor.states().unwrap();
        domain.hypervisor.shutdown(uuid).unwrap();
    }
    killer.join().unwrap();
}

#[test]
fn a_stale_definition_of_the_uuid_or_of_the_name_is_replaced() {
    let old = Domain::new();
    old.create_paused();
    old.hypervisor.destroy(old.uuid()).unwrap();

    // The same uuid under another name: the qube was renamed.
    let mut renamed = Domain::new();
    renamed.description.uuid = old.uuid();
    renamed.create_paused();
    assert_eq!(renamed.state(), Some(PowerState::Paused));
    renamed.hypervisor.destroy(renamed.uuid()).unwrap();

    // The same name with another uuid: the qube was removed and created again.
    let mut again = Domain::new();
    again.description.name = renamed.description.name.clone();
    again.create_paused();
    assert_eq!(again.state(), Some(PowerState::Paused));
    assert!(!renamed.is_defined());
}

#[test]
fn a_running_domain_is_not_replaced() {
    let domain = Domain::new();
    domain.create_paused();
    let error = domain
        .hypervisor
        .create_paused(domain.uuid(), &domain.xml())
        .unwrap_err()
        .to_string();
    assert_eq!(
        error,
        format!(
            "libvirt refused to start domain {}: it is already running",
            domain.uuid()
        )
    );
    let mut namesake = Domain::new();
    namesake.description.name = domain.description.name.clone();
    let error = namesake
        .hypervisor
        .create_paused(namesake.uuid(), &namesake.xml())
        .unwrap_err()
        .to_string();
    assert!(
        error.ends_with(&format!(
            "another domain named {} is running",
            domain.description.name
        )),
        "{error}"
    );
    let error = domain
        .hypervisor
        .undefine(domain.uuid())
        .unwrap_err()
        .to_string();
    assert_eq!(
        error,
        format!(
            "libvirt refused to remove domain {}: it is running",
            domain.uuid()
        )
    );
    assert_eq!(domain.state(), Some(PowerState::Paused));
}

#[test]
fn a_domain_of_the_same_name_that_is_not_a_qube_is_kept() {
    let theirs = Domain::new();
    let xml = theirs
        .xml()
        .replace("urn:qubes:domain", "urn:somebody:else");
    theirs
        .hypervisor
        .create_paused(theirs.uuid(), &xml)
        .unwrap();
    theirs.hypervisor.destroy(theirs.uuid()).unwrap();

    let mut ours = Domain::new();
    ours.description.name = theirs.description.name.clone();
    let error = ours
        .hypervisor
        .create_paused(ours.uuid(), &ours.xml())
        .unwrap_err()
        .to_string();
    assert!(
        error.contains("that is not a qube") && error.contains(&theirs.description.name),
        "{error}"
    );
    assert!(theirs.is_defined());
}

#[test]
fn a_guest_that_cannot_start_is_a_one_line_error_and_is_not_defined() {
    let mut domain = Domain::new();
    domain.description.disks[0].path = domain.place.path().join("missing.img");
    let error = domain
        .hypervisor
        .create_paused(domain.uuid(), &domain.xml())
        .unwrap_err();
    assert!(matches!(error, HypervisorError::Refused { .. }), "{error}");
    let text = error.to_string();
    assert!(
        text.contains("missing.img") && text.contains("No such file") && !text.contains('\n'),
        "{text}"
    );
    assert!(!domain.is_defined());

    // QEMU itself fails: the kernel is invalid.
    let broken = Domain::new();
    std::fs::write(
        &broken.description.kernel.as_ref().unwrap().image,
        "no kernel",
    )
    .unwrap();
    let error = broken
        .hypervisor
        .create_paused(broken.uuid(), &broken.xml())
        .unwrap_err()
        .to_string();
    assert!(error.contains("kernel") && !error.contains('\n'), "{error}");
    assert!(!broken.is_defined());

    let error = domain
        .hypervisor
        .create_paused(domain.uuid(), "no xml")
        .unwrap_err()
        .to_string();
    assert!(
        error.starts_with("libvirt refused to start domain"),
        "{error}"
    );
}
