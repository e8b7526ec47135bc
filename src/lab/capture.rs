//! What passes on the wire, as a file that any analyser reads. tcpdump listens on the bridge itself.

use std::{
    path::{Path, PathBuf},
    process::Command,
    time::Duration,
};

use super::{
    Lab, LabError,
    net::BRIDGE,
    process::Process,
    tools::{Tools, output},
    wait::Stop,
};

const STARTS_WITHIN: Duration = Duration::from_secs(5);

/// Ends with the lab, or when it is asked to.
#[derive(Debug)]
pub struct Capture {
    pub file: PathBuf,
    process: Process,
    tools: Tools,
    stop: Stop,
}

impl Capture {
    pub(super) fn start(lab: &Lab, name: &str, filter: &str) -> Result<Capture, LabError> {
        let file = lab.record.path(&format!("logs/{name}.pcap"));
        let filter: Vec<String> = filter.split_whitespace().map(str::to_owned).collect();
        let tcpdump = lab.tcpdump(Some(&file), &filter)?;
        let process = lab.spawn_in(&format!("capture-{name}"), &lab.wire(), &tcpdump)?;
        process.wait_log(&lab.stop, "listening on", STARTS_WITHIN)?;
        Ok(Capture {
            file,
            process,
            tools: lab.tools.clone(),
            stop: lab.stop.clone(),
        })
    }

    /// What has passed so far and passes `filter`, as tcpdump prints it.
    pub fn lines(&self, filter: &str) -> Result<Vec<String>, LabError> {
        let mut tcpdump = self.tools.command("tcpdump")?;
        tcpdump
            .args(["-n", "-e", "-v", "-Z", "root", "-r"])
            .arg(&self.file);
        tcpdump.args(filter.split_whitespace());
        Ok(output(tcpdump, "tcpdump -r")?
            .lines()
            .map(str::to_owned)
            .collect())
    }

    /// Waits for a packet whose print holds `text`, and gives that line.
    pub fn wait(&self, text: &str, within: Duration) -> Result<String, LabError> {
        self.stop
            .until(&format!("{text:?} on the wire"), within, || {
                self.process.expect_alive()?;
                Ok(self.lines("")?.into_iter().find(|line| line.contains(text)))
            })
    }

    pub fn end(&self) -> Result<(), LabError> {
        self.process.end()
    }
}

impl Lab {
    /// tcpdump on the bridge, to a file or as text; it is to be run by [`Lab::wire_command`].
    pub fn tcpdump(&self, file: Option<&Path>, filter: &[String]) -> Result<Command, LabError> {
        let mut tcpdump = self.tools.command("tcpdump")?;
        // As root it would step down to a user that a bare machine need not have.
        tcpdump.args(["-i", BRIDGE, "-n", "-Z", "root"]);
        match file {
            Some(file) => tcpdump.args(["--immediate-mode", "-U", "-w"]).arg(file),
            None => tcpdump.args(["-l", "-e"]),
        };
        tcpdump.args(filter);
        Ok(tcpdump)
    }

    /// A command on the wire itself, in the foreground of whoever starts it.
    pub fn wire_command(&self, command: &Command) -> Command {
        self.wire().command(command)
    }
}
