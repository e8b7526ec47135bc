//! Where the files of a boot come from.
