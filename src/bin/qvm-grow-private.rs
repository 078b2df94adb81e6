//! `qvm-grow-private`: extends the private volume of a qube (`qubes::tools`).

fn main() -> std::process::ExitCode {
    qubes::tools::main(&qubes::tools::QVM_GROW_PRIVATE)
}
