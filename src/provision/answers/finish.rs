//! The last thing that an installer does: a script, run inside the new system.

use std::fmt::Write;

use super::words::shell;
use super::{Questions, has_own_network};
use crate::model::action::Answers;
use crate::model::yaml::to_yaml;
use crate::provision::first_boot::network_config;

pub(super) const UNIT_NAME: &str = "dragonfly-home.service";
/// For half an hour; within it a network comes up.
const RETRIES: u32 = 360;
const RETRY_SECONDS: u32 = 5;

/// The script: the user's keys and sudo, the network where the installer has no answers for it, and the unit that
/// calls home.
pub fn finish(questions: &Questions<'_>) -> String {
    let user = shell(questions.defaults.user());
    let mut script = String::from("#!/bin/sh\nset -eu\numask 022\n");
    let _ = writeln!(script, "user={user}");
    // Ubuntu makes the user, with its keys, at the first start.
    script.push_str("if id \"$user\" >/dev/null 2>&1; then\n");
    script.push_str("    home=$(getent passwd \"$user\" | cut -d: -f6)\n");
    script.push_str("    mkdir -p \"$home/.ssh\" /etc/sudoers.d\n");
    for key in &questions.defaults.ssh_keys {
        let key = shell(key.as_str());
        let _ = writeln!(
            script,
            "    printf '%s\\n' {key} >>\"$home/.ssh/authorized_keys\""
        );
    }
    script.push_str("    chmod -R go= \"$home/.ssh\"\n");
    script.push_str("    chown -R \"$user:$(id -g \"$user\")\" \"$home/.ssh\"\n");
    script.push_str(
        "    printf '%s ALL=(ALL) NOPASSWD:ALL\\n' \"$user\" >/etc/sudoers.d/90-dragonfly\n",
    );
    script.push_str("    chmod 0440 /etc/sudoers.d/90-dragonfly\nfi\n");
    if questions.installer.answers == Answers::Preseed && has_own_network(questions.machine) {
        let network = network_config(questions.machine, questions.defaults);
        let text = to_yaml(&serde_json::json!({ "network": network }));
        script.push_str("printf 'auto lo\\niface lo inet loopback\\n' >/etc/network/interfaces\n");
        script.push_str("mkdir -p /etc/netplan\n");
        let _ = writeln!(
            script,
            "(umask 077; printf '%s' {} >/etc/netplan/50-dragonfly.yaml)",
            shell(&text)
        );
        script.push_str("systemctl enable systemd-networkd.service\n");
    }
    // The address of the unit holds a secret.
    let _ = writeln!(
        script,
        "(umask 077; printf '%s' {} >/etc/systemd/system/{UNIT_NAME})",
        shell(&unit(&questions.links.home))
    );
    let _ = writeln!(script, "systemctl enable {UNIT_NAME}");
    script
}

/// The unit by which the new system tells that it runs. Once it was heard, it is not started again.
pub(super) fn unit(home: &str) -> String {
    format!(
        "[Unit]\n\
         Description=Tells Dragonfly that this system runs\n\
         Wants=network-online.target\n\
         After=network-online.target\n\
         \n\
         [Service]\n\
         Type=oneshot\n\
         ExecStart=/usr/bin/curl --fail --silent --show-error --retry {RETRIES} --retry-delay {RETRY_SECONDS} --retry-all-errors --output /dev/null {home}\n\
         ExecStartPost=systemctl disable {UNIT_NAME}\n\
         \n\
         [Install]\n\
         WantedBy=multi-user.target\n"
    )
}
