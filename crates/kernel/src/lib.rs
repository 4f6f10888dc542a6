//! Every system call and kernel text interface, and nothing else.
