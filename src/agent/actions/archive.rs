//! An archive unpacked into a file system of the disk; the unpacking itself is `agent::image`'s.

use std::ops::ControlFlow;
use std::path::Path;

use super::target::Mounted;
use super::{ActionError, Context, Control, inside};
use crate::agent::image::{Options, Source, unpack};
use crate::model::action::Unpack;

pub(super) fn write(
    wanted: &Unpack,
    context: &Context,
    control: &Control,
) -> Result<String, ActionError> {
    let url = wanted
        .url
        .parse()
        .map_err(|error| ActionError::Other(format!("{error}")))?;
    let source = Source {
        checksum: wanted.checksum.clone(),
        compression: wanted.compression,
        ..Source::new(url)
    };
    let mounted = Mounted::open(context, control, &wanted.place)?;
    let folder = inside::make_folder(mounted.root(), Path::new(&wanted.path), 0o755)
        .map_err(ActionError::io(&wanted.path))?;
    let unpacked = unpack(&source, &folder, &Options::default(), &mut |progress| {
        control.set(progress);
        if control.is_stopped() {
            ControlFlow::Break(())
        } else {
            ControlFlow::Continue(())
        }
    });
    let unpacked = unpacked?;
    mounted.close()?;
    let checked = if unpacked.checked {
        ", its checksum right"
    } else {
        ""
    };
    Ok(format!("{} entries unpacked{checked}", unpacked.entries))
}
