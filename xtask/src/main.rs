//! The project's chores: test, vm, bench.

fn main() {}
