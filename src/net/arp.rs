//! Address resolution (RFC 826), built and parsed.
