//! Script text to a typed, resolved program.
