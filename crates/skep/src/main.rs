//! The skep executable: argv to a face.

fn main() {}
