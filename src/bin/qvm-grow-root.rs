//! `qvm-grow-root`: extends the root volume of a qube (`qubes::tools`).

fn main() -> std::process::ExitCode {
    qubes::tools::main(&qubes::tools::QVM_GROW_ROOT)
}
