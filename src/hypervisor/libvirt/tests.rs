use std::thread;
use std::time::Duration;

use virt::error::ErrorNumber;

use super::domain::is_active;
use super::*;
use crate::hypervisor::Outcome;

/// The predefined domain of libvirt's test driver.
const EXAMPLE: Uuid = Uuid::from_u128(0x6695eb01_f6a4_8304_79aa_97f2502e193f);

#[test]
fn an_operation_that_fails_before_its_domain_is_started_is_retried() {
    let hypervisor = Hypervisor::new("test:///default");
    let remaining_starts = std::cell::Cell::new(1);
    let operation = |domain: &Domain| {
        if remaining_starts.get() == 0 {
            return domain.destroy();
        }
        domain.destroy()?;
        let refusal = domain.destroy();
        remaining_starts.set(0);
        domain.create().and(refusal)
    };
    assert_eq!(
        hypervisor.run(EXAMPLE, "kill", operation).unwrap(),
        Outcome::Done
    );
    assert!(
        !hypervisor
            .state(EXAMPLE)
            .unwrap()
            .unwrap()
            .state
            .is_active()
    );
    // A domain that does not run and is not started.
    assert_eq!(
        hypervisor.run(EXAMPLE, "kill", Domain::destroy).unwrap(),
        Outcome::Absent
    );
}

#[test]
fn an_operation_that_fails_while_its_domain_ends_reports_it_absent() {
    let hypervisor = Hypervisor::new("test:///default");
    let uuid = Uuid::new_v4();
    let xml = format!(
        "<domain type='test'><name>ends</name><uuid>{uuid}</uuid><memory>1024</memory>\
         <os><type>hvm</type></os></domain>"
    );
    let connection = hypervisor.connection().unwrap();
    let domain = Domain::define_xml(connection.get(), &xml).unwrap();
    // Not the error of an inactive domain, as if its QEMU's monitor closed the connection.
    let failing = |domain: &Domain| domain.detach_device_flags("no xml", 0).map(drop);
    domain.create().unwrap();
    assert_ne!(
        failing(&domain).unwrap_err().code(),
        ErrorNumber::OperationInvalid
    );

    let ending = |domain: &Domain| {
        let ends = domain.clone();
        let end = thread::spawn(move || {
            thread::sleep(Duration::from_millis(300));
            ends.destroy()
        });
        let failed = failing(domain);
        drop(end);
        failed
    };
    assert_eq!(
        hypervisor.run(uuid, "shut down", ending).unwrap(),
        Outcome::Absent
    );
    assert!(!is_active(&domain));
    assert_eq!(
        hypervisor.run(uuid, "shut down", failing).unwrap(),
        Outcome::Absent
    );

    // If the domain keeps running, the error is a refusal.
    domain.create().unwrap();
    let error = hypervisor.run(uuid, "shut down", failing).unwrap_err();
    assert!(matches!(error, HypervisorError::Refused { .. }), "{error}");
    domain.destroy().unwrap();
}

#[test]
fn every_call_in_offline_mode_is_an_error_with_its_purpose() {
    let hypervisor = Hypervisor::offline("qemu:///system");
    let error = hypervisor.states().unwrap_err();
    assert_eq!(
        error.to_string(),
        "offline mode: the state of the qubes needs the hypervisor; \
         run it without --offline-mode and QUBES_OFFLINE"
    );
    assert!(matches!(
        hypervisor.create_paused(Uuid::nil(), "<domain/>"),
        Err(HypervisorError::Offline(_))
    ));
    assert!(matches!(
        hypervisor.destroy(Uuid::nil()),
        Err(HypervisorError::Offline(_))
    ));
    assert_eq!(hypervisor.uri(), "qemu:///system");
}
