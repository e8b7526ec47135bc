//! Which loader a machine gets.
