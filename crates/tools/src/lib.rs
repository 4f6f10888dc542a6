//! The ready-made tools: a script, its flags, its view.
