//! Debian's installer: one question a line, `OWNER QUESTION TYPE VALUE`, and the value is the rest of the line.

use super::{AnswersError, Questions, disk, has_own_network, words};
use crate::provision::first_boot::OwnName;

/// Where packages come from when a template names no source.
const MIRROR: &str = "http://deb.debian.org/debian";
/// Where Debian itself keeps its security updates.
const SECURITY: &str = "security.debian.org";
/// Sets what is asked for under its own name. The installer's kernel may know a disk by a lasting name that its
/// partitioner does not understand, so that is resolved first.
const TAKE_DISK: &str = "for question in partman-auto/disk grub-installer/bootdev; do debconf-set $question \"$(readlink -f \"$disk\")\"; done";

struct Lines(String);

impl Lines {
    /// A value is one line, and does not end in a backslash: every one of them is a checked word, a type that holds
    /// neither, or ours.
    fn ask(&mut self, question: &str, kind: &str, value: &str) {
        let owner = question.split('/').next();
        let own = owner.filter(|owner| *owner == "popularity-contest");
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
    let mirror = Mirror::of(questions)?;
    place(&mut lines, questions);
    mirror.ask(&mut lines);
    if let Some(suite) = words::suite(questions)? {
        lines.string("mirror/suite", &suite);
    }
    users(&mut lines, questions);
    disks(&mut lines);
    let early = format!("{}; {}", choose_disk(questions)?, mirror.choose_services());
    lines.string("partman/early_command", &early);
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

/// Where packages come from.
struct Mirror {
    host: String,
    folder: String,
}

impl Mirror {
    fn of(questions: &Questions<'_>) -> Result<Self, AnswersError> {
        let source = words::source(questions)?.unwrap_or_else(|| MIRROR.into());
        let rest = source.strip_prefix("http://").ok_or(AnswersError::Unable {
            kind: "preseed",
            what: "mirror but one by plain http://",
        })?;
        let (host, folder) = rest.split_once('/').unwrap_or((rest, ""));
        Ok(Self {
            host: host.to_owned(),
            folder: format!("/{}", folder.trim_end_matches('/')),
        })
    }

    fn ask(&self, lines: &mut Lines) {
        lines.string("mirror/country", "manual");
        lines.ask("mirror/protocol", "select", "http");
        lines.string("mirror/http/hostname", &self.host);
        lines.string("mirror/http/directory", &self.folder);
        lines.string("mirror/http/proxy", "");
    }

    /// Of the updates, those that can be fetched: one that cannot would be told to a person, who has to answer, in
    /// whatever manner the installer was started. Many mirrors keep the security updates beside the rest.
    fn choose_services(&self) -> String {
        let Self { host, folder } = self;
        let release = "InRelease";
        format!(
            "get() {{ wget -q -t 1 -T 20 -O /dev/null \"http://$1/{release}\"; }}; \
             suite=$(debconf-get mirror/codename); services=; \
             for host in '{host}' {SECURITY}; do \
             get \"$host/debian-security/dists/$suite-security\" || continue; \
             debconf-set apt-setup/security_host \"$host\"; services=security; break; done; \
             get \"{host}{folder}/dists/$suite-updates\" && services=\"${{services:+$services, }}updates\"; \
             debconf-set apt-setup/services-select \"$services\""
        )
    }
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

/// The disk that is written to, as a command. Where nobody looked into the machine it is the only one that there is:
/// the installer's own question would wait for a person.
fn choose_disk(questions: &Questions<'_>) -> Result<String, AnswersError> {
    let disk = disk(questions)?.map(|disk| format!("disk='{disk}'; {TAKE_DISK}"));
    Ok(disk.unwrap_or_else(|| {
        format!("disk=$(list-devices disk); set -- $disk; [ $# -ne 1 ] || {{ {TAKE_DISK}; }}")
    }))
}

fn disks(lines: &mut Lines) {
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
}

fn software(lines: &mut Lines, questions: &Questions<'_>) -> Result<(), AnswersError> {
    let mut needed = vec!["openssh-server", "sudo", "curl"];
    if has_own_network(questions.machine) {
        needed.push("netplan.io");
    }
    let packages = words::packages(questions, &needed)?;
    // What was asked for, and what Debian itself needs: a task's packages can be named as any others.
    lines.ask("pkgsel/run_tasksel", "boolean", "false");
    lines.string("pkgsel/include", &packages.join(" "));
    lines.ask("pkgsel/upgrade", "select", "none");
    lines.ask("pkgsel/update-policy", "select", "none");
    lines.ask("popularity-contest/participate", "boolean", "false");
    Ok(())
}
