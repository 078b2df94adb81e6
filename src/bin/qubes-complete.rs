//! `qubes-complete`: completes the command lines of the other programs (`qubes::tools::complete`).

fn main() -> std::process::ExitCode {
    qubes::tools::complete::main()
}
