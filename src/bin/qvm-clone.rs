//! `qvm-clone`: clones a qube (`qubes::tools`).

fn main() -> std::process::ExitCode {
    qubes::tools::main(&qubes::tools::QVM_CLONE)
}
