//! The boot agent: `/init` of the boot environment, `dragonfly-agent home` in the installed system.

use std::process::ExitCode;

fn main() -> ExitCode {
    dragonfly::agent::main()
}
