//! `gpg`, for tests: it makes keys and signs with them, in a folder of its own.

use std::io::Write;
use std::process::{Command, Stdio};

use tempfile::TempDir;

#[derive(Debug)]
pub struct Gpg(TempDir);

impl Drop for Gpg {
    fn drop(&mut self) {
        let home = self.0.path();
        let ended = Command::new("gpgconf")
            .arg("--homedir")
            .arg(home)
            .args(["--kill", "gpg-agent"])
            .status();
        drop(ended);
    }
}

impl Gpg {
    pub fn new() -> Self {
        Self(tempfile::Builder::new().prefix("gpg-").tempdir().unwrap())
    }

    /// What `gpg` answers to these arguments and this input.
    pub fn run(&self, arguments: &[&str], input: &[u8]) -> Vec<u8> {
        let mut child = Command::new("gpg")
            .arg("--homedir")
            .arg(self.0.path())
            .args(["--batch", "--quiet", "--no-tty", "--pinentry-mode=loopback"])
            .args(["--passphrase=", "--trust-model=always"])
            .args(arguments)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .expect("gpg is there (scripts/packages: gnupg)");
        child.stdin.take().unwrap().write_all(input).unwrap();
        let done = child.wait_with_output().unwrap();
        let said = String::from_utf8_lossy(&done.stderr);
        assert!(done.status.success(), "gpg {arguments:?}: {said}");
        done.stdout
    }

    /// A new key, by its fingerprint in lower case.
    pub fn key(&self, name: &str, algorithm: &str, usage: &str) -> String {
        self.run(
            &["--quick-generate-key", name, algorithm, usage, "never"],
            b"",
        );
        let listed = self.run(&["--with-colons", "--list-keys", name], b"");
        fingerprints(&listed).remove(0)
    }

    /// A new subkey for signing.
    pub fn subkey(&self, primary: &str, algorithm: &str) -> String {
        self.run(
            &["--quick-add-key", primary, algorithm, "sign", "never"],
            b"",
        );
        let listed = self.run(&["--with-colons", "--list-keys", primary], b"");
        fingerprints(&listed).pop().unwrap()
    }

    /// The public key, armored.
    pub fn public(&self, key: &str) -> Vec<u8> {
        self.run(&["--armor", "--export", key], b"")
    }

    /// A detached signature of this message.
    pub fn sign(&self, key: &str, message: &[u8], more: &[&str]) -> Vec<u8> {
        let mut arguments = vec!["--local-user", key];
        arguments.extend(more);
        arguments.push("--detach-sign");
        self.run(&arguments, message)
    }

    /// This message, signed in itself.
    pub fn clear(&self, key: &str, message: &[u8]) -> Vec<u8> {
        self.run(&["--local-user", key, "--clear-sign"], message)
    }

    /// The way to a file that `gpg` made beside its keys.
    pub fn file(&self, name: &str) -> Vec<u8> {
        std::fs::read(self.0.path().join(name)).unwrap()
    }
}

fn fingerprints(listed: &[u8]) -> Vec<String> {
    let text = String::from_utf8(listed.to_vec()).unwrap();
    let lines = text.lines().filter(|line| line.starts_with("fpr:"));
    lines
        .filter_map(|line| line.split(':').nth(9))
        .map(str::to_lowercase)
        .collect()
}
