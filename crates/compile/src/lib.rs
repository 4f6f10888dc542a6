//! Typed program to SSA to BPF bytecode: an Artifact.
