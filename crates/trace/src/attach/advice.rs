//! What to probe where functions cannot be: the tracepoint that comes closest by its name.

use skep_kernel::tracefs::TraceFs;
use skep_lang::hir::{Attach, Target};
use skep_ui::suggest;

/// A sentence that names a tracepoint, for a target that is a function.
pub(super) fn instead_of(target: &Target, tracefs: &TraceFs) -> Option<String> {
    if !matches!(target.attach, Attach::Kprobe(_) | Attach::Fentry(_)) {
        return None;
    }
    let on_return = target.name.starts_with("kret") || target.name.starts_with("fexit");
    let events = tracefs.events().ok()?;
    let (category, event) = nearest(target.function()?, on_return, &events)?;
    Some(format!("The tracepoint nearest to it by name is tracepoint:{category}:{event}"))
}

fn nearest<'a>(
    function: &str,
    on_return: bool,
    events: &'a [(String, String)],
) -> Option<&'a (String, String)> {
    let named = |wanted: &str| events.iter().find(|(_, event)| event == wanted);
    if let Some(same) = named(function) {
        return Some(same);
    }
    let stem = stem(function);
    let moment = if on_return { "exit" } else { "enter" };
    let system_call = named(&format!("sys_{moment}_{stem}"));
    let containing = || events.iter().find(|(_, event)| stem.len() > 3 && event.contains(stem));
    let similar = || named(suggest(stem, events.iter().map(|(_, event)| event.as_str()))?);
    system_call.or_else(containing).or_else(similar)
}

/// The name without what says on which way into the kernel the function lies.
fn stem(function: &str) -> &str {
    const WAYS: [&str; 9] =
        ["__x64_sys_", "__ia32_sys_", "__do_sys_", "__se_sys_", "ksys_", "do_sys_", "vfs_", "do_", "__"];
    let bare = function.split('.').next().unwrap_or(function);
    WAYS.iter().find_map(|way| bare.strip_prefix(way)).unwrap_or(bare)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_nearest_tracepoint() {
        let events: Vec<(String, String)> = [
            ("sched", "sched_process_exec"),
            ("syscalls", "sys_enter_nanosleep"),
            ("syscalls", "sys_enter_read"),
            ("syscalls", "sys_exit_read"),
            ("tcp", "tcp_retransmit_skb"),
        ]
        .map(|(category, event)| (category.to_owned(), event.to_owned()))
        .into();
        let found =
            |function: &str, on_return| nearest(function, on_return, &events).map(|(_, e)| e.as_str());
        assert_eq!(found("vfs_read", false), Some("sys_enter_read"));
        assert_eq!(found("vfs_read", true), Some("sys_exit_read"));
        assert_eq!(found("do_nanosleep", false), Some("sys_enter_nanosleep"));
        assert_eq!(found("tcp_retransmit_skb", false), Some("tcp_retransmit_skb"));
        assert_eq!(found("frobnicate", false), None);
    }
}
