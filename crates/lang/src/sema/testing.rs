//! A small kernel for tests: a handful of tracepoints with the records they have on x86-64, and a
//! handful of types.
//!
//! Public because the tests of the compiler and of the runtime build on the same scripts.

mod types;

use std::sync::Arc;

use skep_btf::Btf;

use crate::world::{Field, FieldKind, Functions, KERNEL, TracepointFormat, World, WorldError};

/// The fixture.
#[derive(Clone, Debug)]
pub struct Fixture {
    names: Arc<[(String, String)]>,
    formats: Vec<Arc<TracepointFormat>>,
    types: Arc<Btf>,
}

impl Default for Fixture {
    fn default() -> Self {
        let mut all: Vec<(String, String, TracepointFormat)> = tracepoints()
            .into_iter()
            .map(|(category, event, fields)| (category.into(), event.into(), TracepointFormat { fields }))
            .collect();
        all.sort_by(|a, b| (&a.0, &a.1).cmp(&(&b.0, &b.1)));
        Fixture {
            names: all.iter().map(|(category, event, _)| (category.clone(), event.clone())).collect(),
            formats: all.into_iter().map(|(_, _, format)| Arc::new(format)).collect(),
            types: Arc::new(types::kernel()),
        }
    }
}

impl Fixture {
    fn position(&self, category: &str, event: &str) -> Option<usize> {
        self.names.iter().position(|(c, e)| c == category && e == event)
    }
}

impl World for Fixture {
    fn tracepoints(&self) -> Result<Arc<[(String, String)]>, WorldError> {
        Ok(self.names.clone())
    }

    fn has_tracepoint(&self, category: &str, event: &str) -> Result<bool, WorldError> {
        Ok(self.position(category, event).is_some())
    }

    fn tracepoint_format(&self, category: &str, event: &str) -> Result<Arc<TracepointFormat>, WorldError> {
        self.position(category, event)
            .and_then(|index| self.formats.get(index).cloned())
            .ok_or_else(|| WorldError(format!("There is no tracepoint {category}:{event}.")))
    }

    fn functions(&self) -> Result<Arc<Functions>, WorldError> {
        Ok(Arc::new(Functions::collect(FUNCTIONS)))
    }

    fn raw_tracepoints(&self) -> Result<Arc<[(String, String)]>, WorldError> {
        Ok(RAW_TRACEPOINTS
            .iter()
            .map(|(module, event)| ((*module).to_owned(), (*event).to_owned()))
            .collect())
    }

    fn kernel_btf(&self) -> Result<Arc<Btf>, WorldError> {
        Ok(Arc::clone(&self.types))
    }
}

/// Functions of the kernel and of a module.
const FUNCTIONS: [(&str, &str); 6] = [
    (KERNEL, "vfs_read"),
    (KERNEL, "vfs_readv"),
    (KERNEL, "vfs_write"),
    (KERNEL, "do_nanosleep"),
    ("ext4", "ext4_file_read_iter"),
    ("ext4", "ext4_release"),
];

const RAW_TRACEPOINTS: [(&str, &str); 4] =
    [("ext4", "ext4_free_inode"), (KERNEL, "sched_switch"), (KERNEL, "sys_enter"), (KERNEL, "sys_exit")];

/// A kernel before 5.19, with the tracepoints of another.
#[derive(Clone, Debug, Default)]
pub struct Old(pub Fixture);

impl World for Old {
    fn tracepoints(&self) -> Result<Arc<[(String, String)]>, WorldError> {
        self.0.tracepoints()
    }

    fn has_tracepoint(&self, category: &str, event: &str) -> Result<bool, WorldError> {
        self.0.has_tracepoint(category, event)
    }

    fn tracepoint_format(&self, category: &str, event: &str) -> Result<Arc<TracepointFormat>, WorldError> {
        self.0.tracepoint_format(category, event)
    }

    fn functions(&self) -> Result<Arc<Functions>, WorldError> {
        self.0.functions()
    }

    fn raw_tracepoints(&self) -> Result<Arc<[(String, String)]>, WorldError> {
        self.0.raw_tracepoints()
    }

    fn kernel_btf(&self) -> Result<Arc<Btf>, WorldError> {
        self.0.kernel_btf()
    }

    fn reads_other_cpus(&self) -> bool {
        false
    }

    fn has_bpf_loop(&self) -> bool {
        false
    }

    fn has_task_pt_regs(&self) -> bool {
        false
    }

    fn has_for_each(&self) -> bool {
        false
    }

    fn max_key_size(&self) -> Option<u32> {
        Some(512)
    }
}

/// A kernel that cannot be asked.
#[derive(Clone, Copy, Debug, Default)]
pub struct Unreadable;

impl World for Unreadable {
    fn tracepoints(&self) -> Result<Arc<[(String, String)]>, WorldError> {
        Err(WorldError("The tracepoints cannot be listed: tracefs is not mounted.".into()))
    }

    fn has_tracepoint(&self, _: &str, _: &str) -> Result<bool, WorldError> {
        Err(WorldError("The tracepoint cannot be looked up: tracefs is not mounted.".into()))
    }

    fn tracepoint_format(&self, _: &str, _: &str) -> Result<Arc<TracepointFormat>, WorldError> {
        Err(WorldError("The tracepoint's format cannot be read: tracefs is not mounted.".into()))
    }
}

const SIGNED: FieldKind = FieldKind::Int { signed: true };
const UNSIGNED: FieldKind = FieldKind::Int { signed: false };
const TEXT: FieldKind = FieldKind::Ptr { text: true };
const POINTER: FieldKind = FieldKind::Ptr { text: false };
const DATA_LOC_TEXT: FieldKind =
    FieldKind::DataLoc { relative: false, text: true, elem_size: 1, signed: false };

const REL_LOC_TEXT: FieldKind =
    FieldKind::DataLoc { relative: true, text: true, elem_size: 1, signed: false };
const DATA_LOC_NUMBERS: FieldKind =
    FieldKind::DataLoc { relative: false, text: false, elem_size: 4, signed: false };

fn field(ctype: &str, name: &str, offset: u32, size: u32, kind: FieldKind) -> Field {
    Field { name: name.into(), ctype: ctype.into(), offset, size, kind }
}

/// A system call: its number, then each argument in 64 bits.
fn syscall(
    event: &'static str,
    args: &[(&str, &str, FieldKind)],
) -> (&'static str, &'static str, Vec<Field>) {
    let mut fields = vec![field("int", "__syscall_nr", 8, 4, SIGNED)];
    for (index, (ctype, name, kind)) in args.iter().enumerate() {
        fields.push(field(ctype, name, 16 + 8 * index as u32, 8, *kind));
    }
    ("syscalls", event, fields)
}

fn tracepoints() -> Vec<(&'static str, &'static str, Vec<Field>)> {
    let int = |name| ("int", name, UNSIGNED);
    let mode = ("umode_t", "mode", UNSIGNED);
    let filename = ("const char *", "filename", TEXT);
    vec![
        syscall("sys_enter_open", &[filename, int("flags"), mode]),
        syscall("sys_enter_openat", &[int("dfd"), filename, int("flags"), mode]),
        syscall(
            "sys_enter_openat2",
            &[int("dfd"), filename, ("struct open_how *", "how", POINTER), ("size_t", "usize", UNSIGNED)],
        ),
        syscall(
            "sys_enter_open_by_handle_at",
            &[int("mountdirfd"), ("struct file_handle *", "handle", POINTER), int("flags")],
        ),
        syscall("sys_enter_creat", &[("const char *", "pathname", TEXT), mode]),
        syscall("sys_enter_getppid", &[]),
        syscall("sys_enter_rename", &[("const char *", "oldname", TEXT), ("const char *", "newname", TEXT)]),
        syscall("sys_exit_open", &[("long", "ret", SIGNED)]),
        syscall("sys_exit_openat", &[("long", "ret", SIGNED)]),
        (
            "sched",
            "sched_switch",
            vec![
                field("char[16]", "prev_comm", 8, 16, FieldKind::Chars),
                field("pid_t", "prev_pid", 24, 4, SIGNED),
                field("int", "prev_prio", 28, 4, SIGNED),
                field("long", "prev_state", 32, 8, SIGNED),
                field("char[16]", "next_comm", 40, 16, FieldKind::Chars),
                field("pid_t", "next_pid", 56, 4, SIGNED),
                field("int", "next_prio", 60, 4, SIGNED),
            ],
        ),
        (
            "sched",
            "sched_process_exec",
            vec![
                field("__data_loc char[]", "filename", 8, 4, DATA_LOC_TEXT),
                field("pid_t", "pid", 12, 4, SIGNED),
                field("pid_t", "old_pid", 16, 4, SIGNED),
            ],
        ),
        (
            "sched",
            "sched_process_exit",
            vec![
                field("char[16]", "comm", 8, 16, FieldKind::Chars),
                field("pid_t", "pid", 24, 4, SIGNED),
                field("int", "prio", 28, 4, SIGNED),
                field("bool", "group_dead", 32, 1, FieldKind::Bool),
            ],
        ),
        (
            "block",
            "block_rq_issue",
            vec![
                field("dev_t", "dev", 8, 4, UNSIGNED),
                field("sector_t", "sector", 16, 8, UNSIGNED),
                field("unsigned int", "nr_sector", 24, 4, UNSIGNED),
                field("unsigned int", "bytes", 28, 4, UNSIGNED),
                field("unsigned short", "ioprio", 32, 2, UNSIGNED),
                field("char[10]", "rwbs", 34, 10, FieldKind::Chars),
                field("char[16]", "comm", 44, 16, FieldKind::Chars),
                field("__data_loc char[]", "cmd", 60, 4, DATA_LOC_TEXT),
            ],
        ),
        (
            "block",
            "block_rq_complete",
            vec![
                field("dev_t", "dev", 8, 4, UNSIGNED),
                field("sector_t", "sector", 16, 8, UNSIGNED),
                field("unsigned int", "nr_sector", 24, 4, UNSIGNED),
                field("int", "error", 28, 4, SIGNED),
                field("unsigned short", "ioprio", 32, 2, UNSIGNED),
                field("char[10]", "rwbs", 34, 10, FieldKind::Chars),
                field("__data_loc char[]", "cmd", 44, 4, DATA_LOC_TEXT),
            ],
        ),
        (
            "net",
            "net_dev_queue",
            vec![
                field("void *", "skbaddr", 8, 8, POINTER),
                field("unsigned int", "len", 16, 4, UNSIGNED),
                field("__data_loc char[]", "name", 20, 4, DATA_LOC_TEXT),
            ],
        ),
        // No kernel has this one: it stands for the kinds of fields that few records have.
        (
            "fixture",
            "rare_fields",
            vec![
                field("__rel_loc char[]", "relative", 8, 4, REL_LOC_TEXT),
                field("__data_loc u32[]", "numbers", 12, 4, DATA_LOC_NUMBERS),
                field("u8[6]", "addr", 16, 6, FieldKind::Array { elem_size: 1, signed: false }),
                field("struct in6_addr", "saddr", 24, 16, FieldKind::Opaque),
            ],
        ),
    ]
}
