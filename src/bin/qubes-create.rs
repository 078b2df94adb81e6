//! `qubes-create`: creates a new store with dom0 (`qubes::tools`).

fn main() -> std::process::ExitCode {
    qubes::tools::main(&qubes::tools::QUBES_CREATE)
}
