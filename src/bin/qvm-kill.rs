//! `qvm-kill`: kills qubes without a shutdown (`qubes::tools`).

fn main() -> std::process::ExitCode {
    qubes::tools::main(&qubes::tools::QVM_KILL)
}
