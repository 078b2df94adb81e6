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
    assert_eq!(hypervisor.order(EXAMPLE, "kill", order).unwrap(), Outcome::Done);
    assert!(!hypervisor.state(EXAMPLE).unwrap().unwrap().state.is_active());
    // One that does not run, and is not started either.
    assert_eq!(hypervisor.order(EXAMPLE, "kill", Domain::destroy).unwrap(), Outcome::Absent);
}
