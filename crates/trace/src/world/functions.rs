//! The functions that can be traced, from the best source that there is.
//!
//! The kernel lists them itself, in a file of tracefs that a locked-down kernel does not let anybody read. Then its
//! symbols tell them nearly as well; and on a kernel without kprobes those that have types, as only fentry is left.

use std::path::Path;

use skep_btf::{Btf, Kind, Type};
use skep_kernel::{debugfs, kallsyms, tracefs::TraceFs};
use skep_lang::world::{Functions, KERNEL, WorldError};

/// Those of a file like the kernel's own list: a name in each line, with its module in brackets.
pub(super) fn of_file(path: &Path) -> Result<Functions, WorldError> {
    let text = std::fs::read(path).map_err(|error| {
        WorldError(format!("Could not read the functions in {}: {error}", path.display()))
    })?;
    Ok(of_list(&String::from_utf8_lossy(&text)))
}

/// Those that the kernel lists, without those that it keeps kprobes off.
pub(super) fn of_tracefs(tracefs: &TraceFs) -> skep_kernel::Result<Functions> {
    let all = of_list(&tracefs.read("available_filter_functions")?);
    Ok(all.without(blacklist().iter().map(String::as_str)))
}

/// Those that the kernel's symbols tell.
pub(super) fn of_symbols() -> skep_kernel::Result<Functions> {
    let all = of_kallsyms(&kallsyms::read()?);
    Ok(all.without(blacklist().iter().map(String::as_str)))
}

/// The functions that the kernel keeps kprobes off, as far as it tells.
fn blacklist() -> Vec<String> {
    debugfs::kprobe_blacklist()
        .inspect_err(|error| tracing::debug!("where kprobes are not allowed is not known: {error}"))
        .unwrap_or_default()
}

/// Those that have types.
pub(super) fn of_types<'a>(all: impl IntoIterator<Item = (&'a str, &'a Btf)>) -> Functions {
    let named = |(module, btf): (&'a str, &'a Btf)| {
        btf.own_ids().filter_map(move |id| match btf.get(id)? {
            Type::Func { name, .. } => Some((module, name)),
            _ => None,
        })
    };
    Functions::collect_typed(all.into_iter().flat_map(named))
}

/// Whether there is a function of this name among the types.
pub(super) fn has_types(btf: &Btf, name: &str) -> bool {
    btf.find_own(Kind::Func, name).is_some()
}

fn of_list(text: &str) -> Functions {
    Functions::collect(text.lines().filter_map(|line| {
        let mut words = line.split_ascii_whitespace();
        let name = words.next()?;
        let module =
            words.next().and_then(|word| word.strip_prefix('[')?.strip_suffix(']')).unwrap_or(KERNEL);
        let real = !name.starts_with("__ftrace_invalid_address__") && is_wanted(name);
        real.then_some((module, name))
    }))
}

/// Code that the kernel does not let anybody probe, between the symbols that mark its ends: what runs before the
/// kernel is ready for it, what probes themselves run, and what is gone after the start.
const OFF_LIMITS: [(&str, &str); 5] = [
    ("__kprobes_text_start", "__kprobes_text_end"),
    ("__noinstr_text_start", "__noinstr_text_end"),
    ("__entry_text_start", "__entry_text_end"),
    ("__cpuidle_text_start", "__cpuidle_text_end"),
    ("_sinittext", "_einittext"),
];

fn of_kallsyms(text: &str) -> Functions {
    let mut ranges = [(0u64, 0u64); OFF_LIMITS.len()];
    for symbol in kallsyms::symbols(text).filter(|symbol| symbol.module.is_none()) {
        for ((start, end), range) in OFF_LIMITS.iter().zip(&mut ranges) {
            if symbol.name == *start {
                range.0 = symbol.address;
            } else if symbol.name == *end {
                range.1 = symbol.address;
            }
        }
    }
    let allowed = |address: u64| !ranges.iter().any(|(start, end)| (*start..*end).contains(&address));
    Functions::collect(kallsyms::symbols(text).filter_map(|symbol| {
        let module = symbol.module.unwrap_or(KERNEL);
        let traceable = symbol.is_function()
            && allowed(symbol.address)
            && is_entry(symbol.name)
            && is_wanted(symbol.name)
            // Programs and trampolines that only look like modules.
            && module != "bpf"
            && !module.starts_with("__builtin_");
        traceable.then_some((module, symbol.name))
    }))
}

/// Whether a symbol is where a function begins, rather than a part that the compiler moved away, padding in front of
/// one, or a place that calls are patched into. Copies made for some callers (`.isra`, `.constprop`) are
/// functions like others.
fn is_entry(name: &str) -> bool {
    const NO_ENTRIES: [&str; 6] =
        ["__pfx_", "__cfi_", "__SCT__", "__SCK__", "__ftrace_invalid_address__", "__probestub_"];
    !NO_ENTRIES.iter().any(|prefix| name.starts_with(prefix))
        && !name.contains(".cold")
        && !name.starts_with('.')
}

/// Whether a wildcard should find a function. Those of RCU are left out as in the original, since what probes do leans on
/// them, and so are parts of functions that the compiler made functions of their own (`.part`).
fn is_wanted(name: &str) -> bool {
    !name.starts_with("rcu_") && !name.contains(".part.")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_kernels_list() {
        let functions = of_list("vfs_read\next4_init [ext4]\n__ftrace_invalid_address___16\n\n");
        assert_eq!(functions.iter().collect::<Vec<_>>(), [("ext4", "ext4_init"), (KERNEL, "vfs_read")]);
    }

    #[test]
    fn symbols_that_are_no_entries_are_left_out() {
        let functions = of_kallsyms(
            "0000000000000100 T vfs_read\n0000000000000110 t vfs_read.cold\n0000000000000120 t walk.isra.0\n\
             0000000000000130 T __pfx_vfs_read\n0000000000000140 D jiffies\n0000000000000200 T _sinittext\n\
             0000000000000210 t early\n0000000000000300 T _einittext\n0000000000000400 t bpf_prog_1\t[bpf]\n\
             0000000000000500 t ext4_init\t[ext4]\n",
        );
        let all: Vec<_> = functions.iter().collect();
        assert_eq!(
            all,
            [("ext4", "ext4_init"), (KERNEL, "_einittext"), (KERNEL, "vfs_read"), (KERNEL, "walk.isra.0")]
        );
    }
}
