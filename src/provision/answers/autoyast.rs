//! SUSE's installer: XML. Nothing here was ever read by `YaST`.

use super::words::{self, xml};
use super::{AnswersError, Questions, disk, has_own_network};
use crate::provision::first_boot::OwnName;

/// A piece of the profile.
enum Node {
    Text(&'static str, String),
    Flag(&'static str, bool),
    Group(&'static str, Vec<Node>),
    List(&'static str, Vec<Node>),
}

use Node::{Flag, Group, List, Text};

pub(super) fn autoyast(questions: &Questions<'_>) -> Result<String, AnswersError> {
    if has_own_network(questions.machine) {
        return Err(AnswersError::Unable {
            kind: "autoyast",
            what: "address, VLAN or bond of the machine's own",
        });
    }
    let profile = vec![
        Group("general", vec![Group("mode", vec![Flag("confirm", false)])]),
        language(questions),
        network(questions),
        List("partitioning", vec![drive(questions)?]),
        software(questions)?,
        List("users", vec![user(questions)]),
        Group(
            "services-manager",
            vec![Group(
                "services",
                vec![List("enable", vec![Text("service", "sshd".into())])],
            )],
        ),
        Group(
            "scripts",
            vec![List("chroot-scripts", vec![script(questions)])],
        ),
    ];
    let mut out = String::from("<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<!DOCTYPE profile>\n");
    out.push_str("<profile xmlns=\"http://www.suse.com/1.0/yast2ns\" xmlns:config=\"http://www.suse.com/1.0/configns\">\n");
    for node in &profile {
        write(&mut out, node, 1);
    }
    out.push_str("</profile>\n");
    Ok(out)
}

fn language(questions: &Questions<'_>) -> Node {
    let defaults = questions.defaults;
    let locale = defaults
        .locale
        .as_ref()
        .map_or("en_US.UTF-8", |own| own.as_str());
    let zone = defaults.timezone.as_ref().map_or("UTC", |own| own.as_str());
    Group(
        "timezone",
        vec![Text("hwclock", "UTC".into()), Text("timezone", zone.into())],
    )
    .beside(Group(
        "language",
        vec![Text(
            "language",
            locale.split('.').next().unwrap_or(locale).into(),
        )],
    ))
}

fn network(questions: &Questions<'_>) -> Node {
    let own = OwnName::of(questions.machine);
    let mut dns = vec![Text("hostname", own.host)];
    dns.extend(own.domain.map(|domain| Text("domain", domain)));
    Group(
        "networking",
        vec![Flag("keep_install_network", true), Group("dns", dns)],
    )
}

fn drive(questions: &Questions<'_>) -> Result<Node, AnswersError> {
    let mut drive = vec![Text("use", "all".into()), Text("disklabel", "gpt".into())];
    drive.extend(disk(questions)?.map(|disk| Text("device", disk)));
    Ok(Group("drive", drive))
}

fn software(questions: &Questions<'_>) -> Result<Node, AnswersError> {
    let packages = words::packages(questions, &["openssh", "sudo", "curl"])?;
    let packages = packages.into_iter().map(|name| Text("package", name));
    Ok(Group(
        "software",
        vec![List("packages", packages.collect())],
    ))
}

fn user(questions: &Questions<'_>) -> Node {
    let defaults = questions.defaults;
    let hash = defaults
        .password_hash
        .as_ref()
        .map_or("!", |hash| hash.as_str());
    let keys = defaults
        .ssh_keys
        .iter()
        .map(|key| Text("authorized_key", key.as_str().into()));
    Group(
        "user",
        vec![
            Text("username", defaults.user().into()),
            Flag("encrypted", true),
            Text("user_password", hash.into()),
            List("authorized_keys", keys.collect()),
        ],
    )
}

fn script(questions: &Questions<'_>) -> Node {
    let links = questions.links;
    let source = format!(
        "#!/bin/sh\nset -eu\ncurl --fail --silent --output /root/dragonfly-finish {}\nsh /root/dragonfly-finish\nrm /root/dragonfly-finish\ncurl --fail --silent --output /dev/null {}\n",
        words::shell(&links.finish),
        words::shell(&links.installed)
    );
    Group(
        "script",
        vec![
            Text("filename", "dragonfly.sh".into()),
            Flag("chrooted", true),
            Text("interpreter", "shell".into()),
            Text("source", source),
        ],
    )
}

impl Node {
    /// Two groups that stand side by side in the profile.
    fn beside(self, other: Self) -> Self {
        Group("", vec![self, other])
    }
}

fn write(out: &mut String, node: &Node, depth: usize) {
    let pad = "  ".repeat(depth);
    match node {
        Text(name, text) => line(out, format_args!("{pad}<{name}>{}</{name}>", xml(text))),
        Flag(name, yes) => {
            line(
                out,
                format_args!("{pad}<{name} config:type=\"boolean\">{yes}</{name}>"),
            );
        }
        Group("", nodes) => inside(out, nodes, depth),
        Group(name, nodes) => {
            line(out, format_args!("{pad}<{name}>"));
            inside(out, nodes, depth + 1);
            line(out, format_args!("{pad}</{name}>"));
        }
        List(name, nodes) => {
            line(out, format_args!("{pad}<{name} config:type=\"list\">"));
            inside(out, nodes, depth + 1);
            line(out, format_args!("{pad}</{name}>"));
        }
    }
}

fn inside(out: &mut String, nodes: &[Node], depth: usize) {
    for node in nodes {
        write(out, node, depth);
    }
}

fn line(out: &mut String, text: std::fmt::Arguments<'_>) {
    use std::fmt::Write as _;
    // Writing to a string does not fail.
    let _ = writeln!(out, "{text}");
}
