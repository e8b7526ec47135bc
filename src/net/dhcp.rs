//! What a machine is told when it asks for an address or for boot instructions.
