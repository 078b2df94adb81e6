//! `qubes-set-updates`: switches the search for updates on or off (`qubes::tools`).

fn main() -> std::process::ExitCode {
    qubes::tools::main(&qubes::tools::QUBES_SET_UPDATES)
}
