use super::*;

/// The domain that libvirt's own test driver comes with.
const EXAMPLE: Uuid = Uuid::from_u128(0x6695eb01_f6a4_8304_79aa_97f2502e193f);

#[test]
fn an_order_that_misses_the_start_of_its_domain_is_given_again() {
    let hypervisor = LibvirtHypervisor::new("test:///default");
    let starts_after_the_first = std::cell::Cell::new(1);
    let order = |domain: &Domain| {
        if starts_after_the_first.get() == 0 {
            return domain.destroy();
        }
        domain.destroy()?;
        let refusal = domain.destroy();
        starts_after_the_first.set(0);
        domain.create().and(refusal)
    };
    assert_eq!(
        hypervisor.order(EXAMPLE, "kill", order).unwrap(),
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
    // One that does not run, and is not started either.
    assert_eq!(
        hypervisor.order(EXAMPLE, "kill", Domain::destroy).unwrap(),
        Outcome::Absent
    );
}

#[test]
fn an_order_that_meets_the_end_of_its_domain_finds_it_absent_whatever_it_failed_with() {
    let hypervisor = LibvirtHypervisor::new("test:///default");
    let uuid = Uuid::new_v4();
    let xml = format!(
        "<domain type='test'><name>ends</name><uuid>{uuid}</uuid><memory>1024</memory>\
         <os><type>hvm</type></os></domain>"
    );
    let connection = hypervisor.connection().unwrap();
    let domain = Domain::define_xml(connection.get(), &xml).unwrap();
    // Not the words of a domain that does not run: as when its QEMU's monitor hangs up.
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
        hypervisor.order(uuid, "shut down", ending).unwrap(),
        Outcome::Absent
    );
    assert!(!is_active(&domain));
    assert_eq!(
        hypervisor.order(uuid, "shut down", failing).unwrap(),
        Outcome::Absent
    );

    // One that goes on has refused the order.
    domain.create().unwrap();
    let error = hypervisor.order(uuid, "shut down", failing).unwrap_err();
    assert!(matches!(error, HypervisorError::Refused { .. }), "{error}");
    domain.destroy().unwrap();
}
