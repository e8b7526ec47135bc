//! What the benches of images share: lines of shell, and children that end with the bench.

use std::process::{Child, Command};

use super::Result;

/// A child that is ended when nobody needs it any more.
pub struct Running(pub Child);

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// Runs a line of shell to its end; a pipeline fails with its first program.
pub fn shell(line: &str) -> Result<()> {
    let status = Command::new("bash")
        .args(["-o", "pipefail", "-c", line])
        .status()?;
    if status.success() {
        return Ok(());
    }
    Err(format!("{line}: {status}").into())
}
