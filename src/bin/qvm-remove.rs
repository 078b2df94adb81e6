//! `qvm-remove`: removes qubes with their volumes (`qubes::tools`).

fn main() -> std::process::ExitCode {
    qubes::tools::main(&qubes::tools::QVM_REMOVE)
}
