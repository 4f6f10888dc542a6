//! A compiled script made live: expand, load, attach, read, decode, hand to a sink.
