//! Anaconda: commands with options, read by Python's `shlex`.

use super::words::{self, shlex};
use super::{AnswersError, Questions, disk};
use crate::model::{BondMode, StaticIp};
use crate::provision::first_boot::OwnName;

pub(super) fn kickstart(questions: &Questions<'_>) -> Result<String, AnswersError> {
    let defaults = questions.defaults;
    let locale = defaults
        .locale
        .as_ref()
        .map_or("en_US.UTF-8", |own| own.as_str());
    let zone = defaults.timezone.as_ref().map_or("UTC", |own| own.as_str());
    let mut lines = vec![
        "text".to_owned(),
        format!("lang {}", shlex(locale)),
        "keyboard us".to_owned(),
        format!("timezone {} --utc", shlex(zone)),
    ];
    let servers = defaults.ntp.iter();
    lines.extend(
        servers.map(|server| format!("timesource --ntp-server={}", shlex(server.as_str()))),
    );
    if let Some(source) = words::source(questions)? {
        lines.push(format!("url --url={}", shlex(&source)));
    }
    network(&mut lines, questions);
    users(&mut lines, questions);
    disks(&mut lines, questions)?;
    lines.push("services --enabled=sshd".to_owned());
    lines.push("reboot".to_owned());
    lines.push("%packages".to_owned());
    lines.push("@core".to_owned());
    lines.extend(words::packages(
        questions,
        &["openssh-server", "sudo", "curl"],
    )?);
    lines.push("%end".to_owned());
    lines.push("%post --interpreter=/bin/sh --erroronfail".to_owned());
    lines.push("set -eu".to_owned());
    let report = questions.links;
    let fetch = "curl --fail --silent --show-error --output";
    lines.push(format!(
        "{fetch} /root/dragonfly-finish {}",
        words::shell(&report.finish)
    ));
    lines.push("sh /root/dragonfly-finish".to_owned());
    lines.push("rm /root/dragonfly-finish".to_owned());
    lines.push(format!(
        "{fetch} /dev/null {}",
        words::shell(&report.installed)
    ));
    lines.push("%end".to_owned());
    lines.push(String::new());
    Ok(lines.join("\n"))
}

/// The first line is the card or the bond, a second one the VLAN on it.
fn network(lines: &mut Vec<String>, questions: &Questions<'_>) {
    let config = &questions.machine.config;
    let mac = questions.machine.identity.primary_mac;
    let base = match &config.bond {
        Some(bond) => {
            let members: Vec<_> = bond.members().iter().map(ToString::to_string).collect();
            let options = match bond.mode() {
                BondMode::Lacp => "mode=802.3ad,miimon=100,xmit_hash_policy=layer3+4",
                BondMode::ActiveBackup => "mode=active-backup,miimon=100",
            };
            let (members, options) = (shlex(&members.join(",")), shlex(options));
            format!("network --device=bond0 --bondslaves={members} --bondopts={options}")
        }
        None => format!("network --device={mac}"),
    };
    let address = address(questions);
    match config.vlan {
        Some(vlan) => {
            let parent = if config.bond.is_some() {
                "bond0".to_owned()
            } else {
                mac.to_string()
            };
            lines.push(format!("{base} --bootproto=dhcp --activate"));
            lines.push(format!(
                "network --device={parent} --vlanid={vlan} --interfacename=vlan{vlan} {address}"
            ));
        }
        None => lines.push(format!("{base} {address} --activate")),
    }
    let name = OwnName::of(questions.machine).full();
    lines.push(format!("network --hostname={}", shlex(&name)));
}

fn address(questions: &Questions<'_>) -> String {
    let Some(ip) = &questions.machine.config.static_ip else {
        return "--bootproto=dhcp".to_owned();
    };
    let servers: Vec<_> = questions
        .defaults
        .dns
        .iter()
        .map(ToString::to_string)
        .collect();
    let mut words = address_words(ip);
    if !servers.is_empty() {
        words.push_str(" --nameserver=");
        words.push_str(&servers.join(","));
    }
    words
}

fn address_words(ip: &StaticIp) -> String {
    let gateway = ip.gateway().map(|gateway| gateway.to_string());
    if ip.address().is_ipv6() {
        let gateway = gateway.map(|gateway| format!(" --ipv6gateway={gateway}"));
        return format!(
            "--bootproto=dhcp --ipv6={}/{}{}",
            ip.address(),
            ip.prefix(),
            gateway.unwrap_or_default()
        );
    }
    let bits = u32::MAX
        .checked_shl(32 - u32::from(ip.prefix()))
        .unwrap_or(0);
    let mask = std::net::Ipv4Addr::from(bits);
    let gateway = gateway.map(|gateway| format!(" --gateway={gateway}"));
    format!(
        "--bootproto=static --ip={} --netmask={mask}{}",
        ip.address(),
        gateway.unwrap_or_default()
    )
}

fn users(lines: &mut Vec<String>, questions: &Questions<'_>) {
    let (user, hash) = (questions.defaults.user(), &questions.defaults.password_hash);
    lines.push("rootpw --lock".to_owned());
    let password = match hash {
        Some(hash) => format!("--iscrypted --password={}", shlex(hash.as_str())),
        None => "--lock".to_owned(),
    };
    lines.push(format!(
        "user --name={} --groups=wheel {password}",
        shlex(user)
    ));
}

fn disks(lines: &mut Vec<String>, questions: &Questions<'_>) -> Result<(), AnswersError> {
    let disk = disk(questions)?;
    let disk = disk
        .as_deref()
        .map(|path| shlex(path.trim_start_matches("/dev/")));
    lines.push("zerombr".to_owned());
    match disk {
        Some(disk) => {
            lines.push(format!("ignoredisk --only-use={disk}"));
            lines.push(format!("clearpart --all --initlabel --drives={disk}"));
        }
        None => lines.push("clearpart --all --initlabel".to_owned()),
    }
    lines.push("autopart --type=plain".to_owned());
    Ok(())
}
