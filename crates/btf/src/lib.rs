//! BTF bytes to types and back.
