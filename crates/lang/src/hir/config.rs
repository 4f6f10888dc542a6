//! Settings: what a script, the environment and the command line decide.

use serde::{Deserialize, Serialize};

use crate::ty::StackMode;

/// Settings that shape the generated code and the output (reference 1.3).
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Config {
    /// How long a text read from memory can be; see [`Config::text_capacity`].
    pub max_strlen: u32,
    /// Number of keys a map without a declaration can hold.
    pub max_map_keys: u32,
    /// Whether maps are printed at the end.
    pub print_maps_on_exit: bool,
    /// The programs' licence, as told to the kernel.
    pub license: String,
    /// What is put after a text that did not fit.
    pub str_trunc_trailer: String,
    /// How many programs one script may load.
    pub max_bpf_progs: u32,
    /// How many places one script may attach to.
    pub max_probes: u32,
    /// Size of the ring of printed records in pages of 4 KiB; 0: the runtime decides.
    pub perf_rb_pages: u32,
    /// The map that `tseries` takes its time from instead of the clock, for tests.
    pub dummy_ts_map: Option<String>,
    /// Whether the script is told of keys that are not there and of memory that cannot be read (`-k`).
    pub runtime_warnings: bool,
    /// How many bytes of a file `cat` shows.
    pub max_cat_bytes: u32,
    /// What happens to a probe that cannot be attached.
    pub missing_probes: MissingProbes,
    /// Whether `tseries` may be used.
    pub tseries: Unstable,
    /// Whether `dw_ustack` may be used.
    pub dw_ustack: Unstable,
    /// Whether `typeinfo` may be used.
    pub typeinfo: Unstable,
    /// How stacks are shown that do not say it themselves.
    pub stack_mode: StackMode,
    /// Whether frames of programs come with file, line and inlined functions, where debug information has them.
    pub show_debug_info: bool,
    /// Whether names of C++ and Rust are shown as their sources spell them.
    pub demangle: bool,
}

/// What happens to a use of a feature that may still change.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Unstable {
    /// It is fine.
    Enable,
    /// A warning tells.
    Warn,
    /// It is refused.
    Error,
}

/// See [`Config::missing_probes`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum MissingProbes {
    /// The script fails.
    Error,
    /// A warning names it.
    Warn,
    /// Nothing is said.
    Ignore,
}

impl Config {
    /// Bytes that a text read from memory takes at most, NUL included. The setting counts characters
    /// only up to 1023: so it does in the original.
    pub fn text_capacity(&self) -> u32 {
        if self.max_strlen < 1024 { self.max_strlen + 1 } else { self.max_strlen }
    }
}

impl Default for Config {
    fn default() -> Self {
        Config {
            max_strlen: 1024,
            max_map_keys: 4096,
            print_maps_on_exit: true,
            license: "GPL".into(),
            str_trunc_trailer: "..".into(),
            max_bpf_progs: 1024,
            max_probes: 1024,
            perf_rb_pages: 0,
            dummy_ts_map: None,
            tseries: Unstable::Warn,
            dw_ustack: Unstable::Warn,
            runtime_warnings: false,
            max_cat_bytes: 10240,
            missing_probes: MissingProbes::Error,
            typeinfo: Unstable::Error,
            stack_mode: StackMode::default(),
            show_debug_info: true,
            demangle: true,
        }
    }
}
