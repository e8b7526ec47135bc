//! Facts about identity, and properties of any sequence of its changes.
