//! Debian's installer: one question a line, `OWNER QUESTION TYPE VALUE`, and the value is the rest of the line.

use super::{AnswersError, Questions, disk, has_own_network, words};
use crate::provision::first_boot::OwnName;

/// Where packages come from when nobody says.
const MIRROR: &str = "http://deb.debian.org/debian";

struct Lines(String);

impl Lines {
    /// A value is one line, and does not end in a backslash: every one of them is a checked word, a type that holds
    /// neither, or ours.
    fn ask(&mut self, question: &str, kind: &str, value: &str) {
        let owner = question.split('/').next();
        let own = owner.filter(|owner| ["tasksel", "popularity-contest"].contains(owner));
        let owner = own.unwrap_or("d-i");
        let line = format!("{owner} {question} {kind} {value}");
        self.0.push_str(line.trim_end());
        self.0.push('\n');
    }

    fn string(&mut self, question: &str, value: &str) {
        self.ask(question, "string", value);
    }

    fn yes(&mut self, questions: &[&str]) {
        for question in questions {
            self.ask(question, "boolean", "true");
        }
    }
}

pub(super) fn preseed(questions: &Questions<'_>) -> Result<String, AnswersError> {
    let mut lines = Lines(String::new());
    place(&mut lines, questions);
    mirror(&mut lines, questions)?;
    users(&mut lines, questions);
    disks(&mut lines, questions)?;
    software(&mut lines, questions)?;
    let report = questions.links;
    let late = format!(
        "wget -q -O /target/root/dragonfly-finish {} && in-target sh /root/dragonfly-finish && rm /target/root/dragonfly-finish && wget -q -O /dev/null {}",
        report.finish, report.installed
    );
    lines.string("preseed/late_command", &late);
    lines.ask("finish-install/reboot_in_progress", "note", "");
    Ok(lines.0)
}

fn place(lines: &mut Lines, questions: &Questions<'_>) {
    let defaults = questions.defaults;
    let own = OwnName::of(questions.machine);
    let locale = defaults
        .locale
        .as_ref()
        .map_or("en_US.UTF-8", |own| own.as_str());
    lines.string("debian-installer/locale", locale);
    lines.ask("keyboard-configuration/xkb-keymap", "select", "us");
    lines.string("netcfg/get_hostname", &own.host);
    lines.string("netcfg/hostname", &own.host);
    lines.string(
        "netcfg/get_domain",
        own.domain.as_deref().unwrap_or_default(),
    );
    let zone = defaults.timezone.as_ref().map_or("UTC", |own| own.as_str());
    lines.yes(&["clock-setup/utc"]);
    lines.string("time/zone", zone);
    let ntp = defaults.ntp.first();
    lines.ask(
        "clock-setup/ntp",
        "boolean",
        if ntp.is_some() { "true" } else { "false" },
    );
    if let Some(server) = ntp {
        lines.string("clock-setup/ntp-server", server.as_str());
    }
}

fn mirror(lines: &mut Lines, questions: &Questions<'_>) -> Result<(), AnswersError> {
    let source = words::source(questions)?.unwrap_or_else(|| MIRROR.into());
    let unable = |what| AnswersError::Unable {
        kind: "preseed",
        what,
    };
    let rest = source
        .strip_prefix("http://")
        .ok_or_else(|| unable("mirror but one by plain http://"))?;
    let (host, folder) = rest.split_once('/').unwrap_or((rest, ""));
    lines.string("mirror/country", "manual");
    lines.ask("mirror/protocol", "select", "http");
    lines.string("mirror/http/hostname", host);
    lines.string(
        "mirror/http/directory",
        &format!("/{}", folder.trim_end_matches('/')),
    );
    lines.string("mirror/http/proxy", "");
    if let Some(suite) = words::suite(questions)? {
        lines.string("mirror/suite", &suite);
    }
    Ok(())
}

fn users(lines: &mut Lines, questions: &Questions<'_>) {
    let user = questions.defaults.user();
    lines.ask("passwd/root-login", "boolean", "false");
    lines.string("passwd/user-fullname", user);
    lines.string("passwd/username", user);
    // An exclamation mark is the hash of no password.
    let hash = questions.defaults.password_hash.as_ref();
    let hash = hash.map_or("!", |hash| hash.as_str());
    lines.ask("passwd/user-password-crypted", "password", hash);
}

fn disks(lines: &mut Lines, questions: &Questions<'_>) -> Result<(), AnswersError> {
    if let Some(disk) = disk(questions)? {
        lines.string("partman-auto/disk", &disk);
        lines.string("grub-installer/bootdev", &disk);
    } else {
        // The only one that there is: its own question would wait for a person where there are several.
        let only = "disks=$(list-devices disk); set -- $disks; [ $# -eq 1 ] && debconf-set partman-auto/disk \"$1\" && debconf-set grub-installer/bootdev \"$1\"";
        lines.string("partman/early_command", only);
    }
    lines.string("partman-auto/method", "regular");
    lines.ask("partman-auto/choose_recipe", "select", "atomic");
    lines.ask("partman/choose_partition", "select", "finish");
    lines.yes(&[
        "partman-lvm/device_remove_lvm",
        "partman-md/device_remove_md",
        "partman-lvm/confirm",
        "partman-partitioning/confirm_write_new_label",
        "partman/confirm",
        "partman/confirm_nooverwrite",
        "partman-efi/non_efi_system",
        "grub-installer/only_debian",
        "grub-installer/force-efi-extra-removable",
    ]);
    Ok(())
}

fn software(lines: &mut Lines, questions: &Questions<'_>) -> Result<(), AnswersError> {
    let mut needed = vec!["openssh-server", "sudo", "curl"];
    if has_own_network(questions.machine) {
        needed.push("netplan.io");
    }
    let packages = words::packages(questions, &needed)?;
    lines.ask("tasksel/first", "multiselect", "standard");
    lines.string("pkgsel/include", &packages.join(" "));
    lines.ask("pkgsel/upgrade", "select", "none");
    lines.ask("pkgsel/update-policy", "select", "none");
    lines.ask("popularity-contest/participate", "boolean", "false");
    Ok(())
}
