//! Who may do what: one table, from permission to the roles that hold it.

use crate::model::{Actor, ActorKind};

/// Something that can be allowed or not.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Permission {
    /// See machines, tags, settings, conflicts and the status of the appliance.
    Read,
    /// See who changed what.
    ReadAudit,
    /// Register machines.
    AdoptMachines,
    /// Edit, tag and lock machines.
    EditMachines,
    /// Delete, merge and split machines.
    RemoveMachines,
    /// Install machines, end that and try it again.
    InstallMachines,
    /// Say what is given out on a network.
    ChangeNetworks,
    /// Add, pin and remove images, and bring their bytes.
    ChangeImages,
    ChangeSettings,
    /// Write templates: what is run on machines.
    ChangeTemplates,
    /// What only Dragonfly itself does: retention, recognition of machines on the wire.
    Operate,
}

/// What an actor is allowed by.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Role {
    Admin,
    User,
    System,
}

/// Every permission, with the words a refusal uses and the roles that hold it.
pub const TABLE: &[(Permission, &str, &[Role])] = &[
    (
        Permission::Read,
        "see machines and settings",
        &[Role::Admin, Role::User, Role::System],
    ),
    (Permission::ReadAudit, "see the audit log", &[Role::Admin]),
    (
        Permission::AdoptMachines,
        "add machines",
        &[Role::Admin, Role::User, Role::System],
    ),
    (Permission::EditMachines, "edit machines", &[Role::Admin]),
    (
        Permission::RemoveMachines,
        "delete, merge or split machines",
        &[Role::Admin],
    ),
    (
        Permission::InstallMachines,
        "install machines",
        &[Role::Admin, Role::System],
    ),
    (
        Permission::ChangeNetworks,
        "change networks",
        &[Role::Admin],
    ),
    (Permission::ChangeImages, "change images", &[Role::Admin]),
    (
        Permission::ChangeSettings,
        "change settings",
        &[Role::Admin],
    ),
    (
        Permission::ChangeTemplates,
        "change templates",
        &[Role::Admin],
    ),
    (
        Permission::Operate,
        "operate the appliance",
        &[Role::System],
    ),
];

/// The role of an actor. Until there are users, whoever reaches the socket or loopback is the admin.
pub const fn role(actor: &Actor) -> Role {
    match actor.kind {
        ActorKind::Person => Role::Admin,
        ActorKind::System | ActorKind::Machine => Role::System,
    }
}

/// Whether `role` holds `permission`.
pub fn allows(role: Role, permission: Permission) -> bool {
    TABLE
        .iter()
        .any(|(row, _, roles)| *row == permission && roles.contains(&role))
}

/// What the permission lets one do, for a refusal.
pub fn action(permission: Permission) -> &'static str {
    TABLE
        .iter()
        .find(|(row, ..)| *row == permission)
        .map_or("do this", |(_, words, _)| words)
}
