//! The address that is held beside the host's own (RFC 5227).
