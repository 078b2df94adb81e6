fn main() -> std::process::ExitCode {
    qubes::tools::multicall::main()
}
