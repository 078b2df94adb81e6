//! `qubes`: runs every command, selected by the first argument or by the name of the program
//! (`qubes::tools::multicall`).

fn main() -> std::process::ExitCode {
    qubes::tools::multicall::main()
}
