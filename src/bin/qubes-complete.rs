//! `qubes-complete`: completes the command lines of the other programs
//! (`qubes::tools::completion::complete`).

fn main() -> std::process::ExitCode {
    qubes::tools::completion::complete::main()
}
