//! iPXE scripts, rendered per machine.
