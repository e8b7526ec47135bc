//! What the agent does to a machine, one file for each action of `model::action`.
//!
//! Each can be done twice: whatever an earlier try left is made as it should be. Programs of the boot environment are
//! called where they are the reference (mke2fs, mdadm, lvm); what is only bytes is written here.

mod archive;
mod bootloader;
mod call_home;
pub mod chroot;
mod command;
mod control;
pub mod efi;
mod efiboot;
mod error;
mod files;
mod gpt;
mod grow;
mod image;
mod inside;
mod kexec;
mod partition;
mod target;
mod wipe;

use std::net::SocketAddr;

use crate::agent::inventory::Places;
use crate::agent::log::Log;
use crate::model::Action;
pub use control::Control;
pub use error::ActionError;

/// What every action needs beside its own words.
#[derive(Clone, Debug)]
pub struct Context {
    pub places: Places,
    pub log: Log,
    /// Where the server has its files.
    pub files: SocketAddr,
}

/// Does an action; the answer is one line for the journal.
pub fn perform(
    action: &Action,
    context: &Context,
    control: &Control,
) -> Result<String, ActionError> {
    match action {
        Action::Partition(wanted) => partition::partition(wanted, context, control),
        Action::Image2disk(wanted) => image::write(wanted, context, control),
        Action::Archive2disk(wanted) => archive::write(wanted, context, control),
        Action::Writefile(wanted) => files::write(wanted, context, control),
        Action::Chroot(wanted) => chroot::chroot(wanted, context, control),
        Action::Growroot(wanted) => grow::grow(wanted, context, control),
        Action::Bootloader(wanted) => bootloader::install(wanted, context, control),
        Action::Efibootmgr(wanted) => efiboot::set(wanted, context, control),
        Action::CallHome(wanted) => call_home::install(wanted, context, control),
        Action::Kexec(wanted) => kexec::load(wanted, context, control),
        Action::Erase(wanted) => wipe::erase(wanted, context, control),
        Action::Wait(wait) => control.wait(wait.seconds),
        Action::Reboot(reboot) => control.wait(reboot.delay),
        Action::Poweroff(_) => Ok("switching off".into()),
        Action::Installer(_) => Err(ActionError::Other(
            "a distribution's installer is started by the boot script, not by the agent".into(),
        )),
    }
}
