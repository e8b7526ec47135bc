//! An image over a whole disk: the disk chosen and cleared here, the image written by `agent::image`.

use std::fs::File;
use std::ops::ControlFlow;

use super::{ActionError, Context, Control, target, wipe};
use crate::agent::image::{Options, Source, Target, write_image};
use crate::model::action::WriteImage;

pub(super) fn write(
    wanted: &WriteImage,
    context: &Context,
    control: &Control,
) -> Result<String, ActionError> {
    let source = Source {
        checksum: wanted.checksum.clone(),
        format: wanted.format,
        compression: wanted.compression,
        ..Source::new(
            wanted
                .url
                .parse()
                .map_err(|error| ActionError::Other(format!("{error}")))?,
        )
    };
    let disk = target::disk(context, &wanted.disk)?;
    // An old RAID or a table's second copy at the disk's end would come to life beside the new system.
    wipe::forget(context, control, &disk)?;
    let path = target::device(&context.places, &disk.device);
    let options = Options {
        verify: wanted.verify,
        ..Options::default()
    };
    let written = write_image(&source, &Target::new(&path), &options, &mut |progress| {
        control.set(progress);
        if control.is_stopped() {
            ControlFlow::Break(())
        } else {
            ControlFlow::Continue(())
        }
    });
    let written = written?;
    let file = File::open(&path).map_err(ActionError::at(&path))?;
    wipe::reread(context, &file);
    let checked = if written.checked {
        ", its checksum right"
    } else {
        ""
    };
    let verified = if written.verified {
        ", read back and the same"
    } else {
        ""
    };
    Ok(format!(
        "{} bytes on {disk}{checked}{verified}",
        written.length
    ))
}
