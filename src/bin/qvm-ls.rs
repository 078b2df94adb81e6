//! `qvm-ls`: lists qubes (`qubes::tools`).

fn main() -> std::process::ExitCode {
    qubes::tools::main(&qubes::tools::QVM_LS)
}
