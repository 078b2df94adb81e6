//! Where the kernels of a qube are.

use crate::model::facts::Facts;
use crate::model::property;
use crate::model::qubes::Qubes;
use crate::model::vm::Vm;

/// Returns the directory of the kernels in the pool of the qube's kernel volume.
pub fn kernels_dir(qubes: &Qubes, vm: &Vm, facts: &dyn Facts) -> String {
    let own = vm
        .volume("kernel")
        .and_then(|v| v.attributes.get("pool"))
        .map(str::to_owned);
    let pool = own.or_else(|| {
        property::global_value_by_name(qubes, "default_pool_kernel", facts)
            .ok()
            .and_then(|v| v.as_str().map(str::to_owned))
    });
    pool.and_then(|name| {
        qubes
            .pools
            .get(&name)?
            .option("dir_path")
            .map(str::to_owned)
    })
    .unwrap_or_else(|| facts.host().default_kernels_dir())
}
