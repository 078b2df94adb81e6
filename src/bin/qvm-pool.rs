//! `qvm-pool`: lists and changes storage pools (`qubes::tools`).

fn main() -> std::process::ExitCode {
    qubes::tools::main(&qubes::tools::QVM_POOL)
}
