//! Listings.

use skep_lang::list;
use skep_lang::sema::testing::{Fixture, Unreadable};

fn listed(search: &str, detailed: bool) -> String {
    let Ok(found) = list(search, &Fixture::default(), detailed) else { panic!("the fixture answers") };
    let mut text = String::new();
    found.iter().for_each(|entry| entry.write(&mut text));
    text
}

#[test]
fn searches() {
    let mut shown = String::new();
    for search in [
        "tracepoint:syscalls:sys_enter_open*",
        "t:*:block_*",
        "t:*exec",
        "*sys_exit_openat",
        "sched_switch",
        "*:sched:*",
        "T:sched:sched_switch, tracepoint:net:*",
        "interval:*",
        "p:",
        "interval:s:1",
        "interval:hz",
        "begin",
        "software:c*",
        "h:*cycles:",
        "s:cpu:1000",
        "k:vfs_*",
        "kprobe:vmlinux:vfs_read*",
        "k:ext4:*",
        "kr:*nanosleep",
        "kprobe",
        "rt:*",
        "rawtracepoint:vml*:sys_*",
        "f:vfs_*",
        "fexit:vmlinux:do_*",
        "f:ext4:*",
        "it:*",
        "self:*",
        "watchpoint:*",
        "foo:x",
        "tracepoint:sched",
        "tracepoint:a:b:c",
        "\"t\":\"sched\":sched_s*",
    ] {
        shown.push_str(&format!("# {search}\n{}", listed(search, false)));
    }
    insta::assert_snapshot!(shown);
}

#[test]
fn details() {
    insta::assert_snapshot!(listed("t:sched:*,t:net:*,t:fixture:*,t:*creat", true));
    insta::assert_snapshot!(
        "details_of_functions",
        listed("k:vfs_*,kr:vfs_r*,f:vfs_*,fr:*,rt:s*,it:*", true)
    );
}

#[test]
fn everything_is_what_an_empty_search_finds() {
    assert_eq!(listed("", false), listed("*:*", false));
    let all = listed("*", false);
    for kind in ["hardware:*", "kprobe:*", "rawtracepoint:*:*", "software:*", "tracepoint:*:*"] {
        assert!(all.contains(&listed(kind, false)), "{kind}");
    }
    assert!(!all.contains("kretprobe") && !all.contains("interval"), "only where they are asked for");
}

#[test]
fn a_kernel_that_does_not_answer_is_an_error() {
    assert!(list("t:*:*", &Unreadable, false).is_err());
    assert!(list("interval:*", &Unreadable, false).is_ok());
}
