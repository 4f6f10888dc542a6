//! Settings: one table of keys, filled from the defaults, the script's `config` block and the
//! environment, in this order of growing strength.

use skep_ui::{Diagnostic, Diagnostics, Span, suggest};

use crate::hir::{Config, MissingProbes, Unstable};
use crate::syntax::ast::{ConfigBlock, ConfigValue};
use crate::ty::StackMode;

/// A key and what its value must look like.
struct Key {
    name: &'static str,
    value: Value,
}

/// What a value must look like, and where it goes.
enum Value {
    Number(fn(&mut Config, u64)),
    Bool(fn(&mut Config, bool)),
    Text(fn(&mut Config, String)),
    /// One of a few words, compared without case; where it goes and how the words are listed.
    Word {
        words: &'static [&'static str],
        listed: &'static str,
        set: fn(&mut Config, &str),
    },
    License,
    /// Still understood, without effect.
    Deprecated,
    Renamed(&'static str),
    EnvironmentOnly,
    EnvironmentText(fn(&mut Config, String)),
}

/// Settings that are checked, and mean nothing to this implementation so far.
fn ignored<T>(_: &mut Config, _: T) {}

const UNSTABLE: Value = Value::Word { words: UNSTABLE_WORDS, listed: "unstable config", set: |_, _| {} };

const UNSTABLE_WORDS: &[&str] = &["enable", "warn", "error"];

fn unstable(word: &str) -> Unstable {
    match word {
        "enable" => Unstable::Enable,
        "warn" => Unstable::Warn,
        _ => Unstable::Error,
    }
}

impl Key {
    /// The word that `true` or `false` stands for, where there is one.
    fn switched(&self, on: bool) -> Option<&'static str> {
        match &self.value {
            Value::Word { words, .. } if *words == UNSTABLE_WORDS => {
                Some(if on { "enable" } else { "error" })
            }
            Value::Word { words, .. } if words.contains(&"0") => Some(if on { "1" } else { "0" }),
            _ => None,
        }
    }
}

const KEYS: &[Key] = &[
    Key {
        name: "cache_user_symbols",
        value: Value::Word {
            words: &["PER_PID", "PER_PROGRAM", "NONE", "0", "1"],
            listed: "cache_user_symbols",
            set: |_, _| {},
        },
    },
    Key { name: "cpp_demangle", value: Value::Bool(|c, b| c.demangle = b) },
    Key { name: "lazy_symbolication", value: Value::Bool(ignored) },
    Key { name: "license", value: Value::License },
    Key { name: "log_size", value: Value::Number(ignored) },
    Key { name: "max_bpf_progs", value: Value::Number(|c, n| c.max_bpf_progs = small(n)) },
    Key { name: "max_cat_bytes", value: Value::Number(|c, n| c.max_cat_bytes = small(n)) },
    Key { name: "max_map_keys", value: Value::Number(|c, n| c.max_map_keys = small(n)) },
    Key { name: "max_probes", value: Value::Number(|c, n| c.max_probes = small(n)) },
    // Room for the closing NUL at least, and no more than an event can carry.
    Key { name: "max_strlen", value: Value::Number(|c, n| c.max_strlen = small(n).clamp(1, MAX_STRLEN)) },
    Key {
        name: "missing_probes",
        value: Value::Word {
            words: &["ignore", "warn", "error"],
            listed: "missing_probes",
            set: |config, word| {
                config.missing_probes = match word {
                    "ignore" => MissingProbes::Ignore,
                    "warn" => MissingProbes::Warn,
                    _ => MissingProbes::Error,
                };
            },
        },
    },
    Key { name: "on_stack_limit", value: Value::Number(ignored) },
    Key { name: "perf_rb_pages", value: Value::Number(|c, n| c.perf_rb_pages = small(n)) },
    Key { name: "print_maps_on_exit", value: Value::Bool(|c, b| c.print_maps_on_exit = b) },
    Key { name: "show_debug_info", value: Value::Bool(|c, b| c.show_debug_info = b) },
    Key { name: "use_blazesym", value: Value::Bool(ignored) },
    Key {
        name: "stack_mode",
        value: Value::Word {
            words: &["bpftrace", "raw", "perf", "build_id"],
            listed: "stack_mode",
            set: |config, word| {
                let named = StackMode::ALL.into_iter().find(|mode| mode.name() == word);
                config.stack_mode = named.unwrap_or_default();
            },
        },
    },
    Key { name: "str_trunc_trailer", value: Value::Text(|c, text| c.str_trunc_trailer = text) },
    Key {
        name: "unstable_tseries",
        value: Value::Word {
            words: UNSTABLE_WORDS,
            listed: "unstable config",
            set: |config, word| config.tseries = unstable(word),
        },
    },
    Key {
        name: "unstable_dw_ustack",
        value: Value::Word {
            words: UNSTABLE_WORDS,
            listed: "unstable config",
            set: |config, word| config.dw_ustack = unstable(word),
        },
    },
    Key {
        name: "unstable_typeinfo",
        value: Value::Word {
            words: UNSTABLE_WORDS,
            listed: "unstable config",
            set: |config, word| config.typeinfo = unstable(word),
        },
    },
    Key { name: "unstable_import_statement", value: UNSTABLE },
    Key { name: "symbol_source", value: Value::Deprecated },
    Key { name: "max_type_res_iterations", value: Value::Deprecated },
    Key { name: "unstable_addr", value: Value::Deprecated },
    Key { name: "unstable_import", value: Value::Deprecated },
    Key { name: "unstable_macro", value: Value::Deprecated },
    Key { name: "unstable_map_decl", value: Value::Deprecated },
    Key { name: "strlen", value: Value::Renamed("max_strlen") },
    Key { name: "no_cpp_demangle", value: Value::Renamed("cpp_demangle") },
    Key { name: "cat_bytes_max", value: Value::Renamed("max_cat_bytes") },
    Key { name: "map_keys_max", value: Value::Renamed("max_map_keys") },
    Key { name: "btf", value: Value::EnvironmentOnly },
    Key { name: "color", value: Value::EnvironmentOnly },
    Key { name: "dummy_ts_map", value: Value::EnvironmentText(|c, text| c.dummy_ts_map = Some(text)) },
    Key { name: "kernel_source", value: Value::EnvironmentOnly },
    Key { name: "kernel_build", value: Value::EnvironmentOnly },
    Key { name: "vmlinux", value: Value::EnvironmentOnly },
];

const LICENSES: &[&str] =
    &["Dual MIT/GPL", "Dual BSD/GPL", "Dual MPL/GPL", "GPL and additional rights", "GPL v2", "GPL"];

/// What the kernel says about licences.
const LICENSING: &str =
    "https://docs.kernel.org/bpf/bpf_licensing.html#using-bpf-programs-in-the-linux-kernel";

/// Largest capacity of a string; its length travels in an event of bounded size.
const MAX_STRLEN: u32 = 1 << 20;

fn small(n: u64) -> u32 {
    u32::try_from(n).unwrap_or(u32::MAX)
}

/// A value before it is checked.
enum Given {
    Number(u64),
    Bool(bool),
    Text(String),
}

impl Given {
    fn shown(&self) -> String {
        match self {
            Given::Number(n) => n.to_string(),
            Given::Bool(b) => b.to_string(),
            Given::Text(text) => text.clone(),
        }
    }

    /// As a number; a text may spell one.
    fn number(&self) -> Option<u64> {
        match self {
            Given::Number(n) => Some(*n),
            Given::Bool(b) => Some(u64::from(*b)),
            Given::Text(text) if text.starts_with('+') => None,
            Given::Text(text) => text.parse().ok(),
        }
    }

    /// As a choice between two. Numbers of a script count as in C; of texts only those that spell one of the two.
    fn bool(&self) -> Option<bool> {
        match self {
            Given::Number(n) => Some(*n != 0),
            Given::Bool(b) => Some(*b),
            Given::Text(text) if text == "1" || text.eq_ignore_ascii_case("true") => Some(true),
            Given::Text(text) if text == "0" || text.eq_ignore_ascii_case("false") => Some(false),
            Given::Text(_) => None,
        }
    }
}

/// What is wrong with settings of the environment, and what there is to say about them.
pub fn check_settings(environment: &[(String, String)]) -> Diagnostics {
    let mut diagnostics = Diagnostics::new();
    settings(None, environment, &mut diagnostics);
    diagnostics
}

/// The settings in force. `environment` holds pairs of a key, with or without `BPFTRACE_`, and
/// its value; it beats the script. Unknown keys of the environment are ignored.
pub fn settings(
    block: Option<&ConfigBlock>,
    environment: &[(String, String)],
    diagnostics: &mut Diagnostics,
) -> Config {
    let mut config = Config::default();
    for entry in block.iter().flat_map(|block| &block.entries) {
        let given = match &entry.value.node {
            ConfigValue::String(bytes) => Given::Text(String::from_utf8_lossy(bytes).into_owned()),
            ConfigValue::Word(word) => Given::Text(word.clone()),
            ConfigValue::Int(n) => Given::Number(*n),
            ConfigValue::Bool(b) => Given::Bool(*b),
            ConfigValue::Error => continue,
        };
        set(&mut config, &entry.key.name, given, Some(entry.span), diagnostics);
    }
    for (key, value) in environment {
        set(&mut config, key, Given::Text(value.clone()), None, diagnostics);
    }
    config
}

/// Sets one key; `place` is `None` for one of the environment.
fn set(config: &mut Config, key: &str, given: Given, place: Option<Span>, diagnostics: &mut Diagnostics) {
    let lower = key.to_ascii_lowercase();
    let name = lower.strip_prefix("bpftrace_").unwrap_or(&lower);
    let variable = key;
    // In the environment the names of variables are those of the settings, written large.
    let key = if place.is_some() { key } else { name };
    let error = |text: String| match place {
        Some(span) => Diagnostic::error(span, text),
        None => Diagnostic::error_without_place(text)
            .help(format!("It comes from {variable} in the environment.")),
    };
    let warning = |text: String| match place {
        Some(span) => Diagnostic::warning(span, text),
        None => Diagnostic::warning_without_place(text),
    };
    let Some(entry) = KEYS.iter().find(|entry| entry.name == name) else {
        // Other programs have variables that begin alike.
        if place.is_none() {
            return;
        }
        let mut unknown = error(format!("{key}: not a known configuration option"));
        if let Some(near) = suggest(name, settable()) {
            unknown = unknown.help(format!("Did you mean {near}?"));
        }
        diagnostics.push(unknown);
        return;
    };
    match &entry.value {
        Value::Number(store) => match given.number() {
            Some(n) => store(config, n),
            None => diagnostics.push(error(format!("{key}: expecting a number, got {}", given.shown()))),
        },
        Value::Bool(store) => match given.bool() {
            Some(b) => store(config, b),
            None => diagnostics
                .push(error(format!("{key}: Invalid bool value: valid values are true, false, 1 or 0."))),
        },
        Value::Text(store) => store(config, given.shown()),
        Value::Word { words, listed, set } => {
            let shown = match given.bool() {
                Some(yes) => entry.switched(yes).map_or_else(|| given.shown(), str::to_owned),
                None => given.shown(),
            };
            match words.iter().find(|word| word.eq_ignore_ascii_case(&shown)) {
                Some(word) => set(config, word),
                None => {
                    let words: Vec<&str> =
                        words.iter().copied().filter(|word| !matches!(*word, "0" | "1")).collect();
                    let (last, front) = words.split_last().unwrap_or((&"", &[]));
                    diagnostics.push(error(format!(
                        "{key}: Invalid value for {listed}: valid values are {}, and {last}.",
                        front.join(", ")
                    )));
                }
            }
        }
        Value::License => {
            let shown = given.shown();
            if LICENSES.contains(&shown.as_str()) {
                config.license = shown;
            } else {
                diagnostics.push(error(format!(
                    "Invalid value for license. Found: {shown}. Valid values: {}. Read more about BPF programs and \
                     licensing: {LICENSING}",
                    LICENSES.join(", ")
                )));
            }
        }
        Value::Deprecated => {
            diagnostics.push(warning(format!("{key} is deprecated and has no effect")));
        }
        Value::Renamed(new) => {
            diagnostics.push(warning(format!("{key} has been renamed, please use {new}")));
            set(config, new, given, place, diagnostics);
        }
        Value::EnvironmentText(store) if place.is_none() => store(config, given.shown()),
        Value::EnvironmentOnly | Value::EnvironmentText(_) if place.is_some() => {
            diagnostics.push(error(format!("{key}: can only be set as an environment variable")));
        }
        Value::EnvironmentOnly | Value::EnvironmentText(_) => {}
    }
}

fn settable() -> impl Iterator<Item = &'static str> {
    KEYS.iter()
        .filter(|key| {
            !matches!(
                key.value,
                Value::Deprecated | Value::Renamed(_) | Value::EnvironmentOnly | Value::EnvironmentText(_)
            )
        })
        .map(|key| key.name)
}
