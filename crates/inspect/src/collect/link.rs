//! One link, asked and put into its model.

use std::fmt::Write as _;
use std::os::fd::{AsFd, BorrowedFd};

use serde_json::{Value, json};
use skep_kernel::bpf::{
    self, AttachType, KprobePlace, LinkDetails, LinkInfo, Netfilter, ObjectKind, PerfEventLink, ProgInfo,
};
use skep_kernel::{kallsyms, netdev};

use super::Surroundings;
use crate::error::{Error, Result};
use crate::model::{Link, LinkText, TypeName};
use crate::netfilter;
use crate::plain::safe;

/// Asks the kernel about a link.
pub(crate) fn collect(fd: BorrowedFd<'_>, around: &Surroundings) -> Result<Link> {
    let info = bpf::link_info(fd).map_err(|error| Error::kernel("can't get link info", &error))?;
    let parts = parts(&info);
    let of_map = matches!(info.details, LinkDetails::StructOps { .. });
    let head = match info.details {
        LinkDetails::StructOps { map_id } => format!("map {map_id}  "),
        _ => format!("prog {}  ", info.prog_id),
    };
    Ok(Link {
        id: info.id,
        kind: TypeName::new(info.kind.name(), info.kind.0),
        prog_id: Some(if of_map { 0 } else { info.prog_id }),
        details: parts.fields.into_iter().map(|(name, value)| (name.to_owned(), value)).collect(),
        pinned: around.pins_of(info.id),
        bpf_cookie: around.cookie_of(info.id),
        pids: around.holders_of(info.id),
        text: LinkText { head: head + &parts.head, body: parts.body },
    })
}

/// What depends on the type: fields for programs, text for people.
#[derive(Default)]
struct Parts {
    fields: Vec<(&'static str, Value)>,
    head: String,
    body: String,
}

impl Parts {
    fn field(&mut self, name: &'static str, value: impl Into<Value>) -> &mut Self {
        self.fields.push((name, value.into()));
        self
    }

    /// Text below the first line, with the blanks that the original leaves at its end.
    fn line(&mut self, text: &str) -> &mut Self {
        self.body.push_str("\n\t");
        self.body.push_str(text);
        self
    }

    /// Text at the end of the last line.
    fn more(&mut self, text: &str) -> &mut Self {
        self.body.push_str(text);
        self
    }

    fn cookie(&mut self, cookie: u64) -> &mut Self {
        self.field("cookie", cookie);
        if cookie != 0 {
            self.more(&format!("cookie {cookie}  "));
        }
        self
    }

    fn attach_type(&mut self, of: AttachType) -> &mut Self {
        let name = of.name();
        self.field("attach_type", name.map_or_else(|| Value::from(of.0), Value::from));
        let shown = name.map_or_else(|| of.0.to_string(), str::to_owned);
        self.more(&format!("attach_type {shown}  "))
    }

    fn device(&mut self, ifindex: u32) -> &mut Self {
        let name = (ifindex != 0).then(|| netdev::name_here(ifindex)).flatten();
        let shown = match &name {
            _ if ifindex == 0 => "(detached)".to_owned(),
            None => "(unknown)".to_owned(),
            Some(name) => name.clone(),
        };
        self.field("devname", shown.as_str()).field("ifindex", ifindex);
        let number = if ifindex == 0 { String::new() } else { format!("({ifindex})") };
        self.line(&format!("ifindex {}{number}  ", safe(&shown)))
    }
}

fn parts(info: &LinkInfo) -> Parts {
    let mut parts = Parts::default();
    match &info.details {
        LinkDetails::RawTracepoint { name, cookie } => {
            parts.field("tp_name", name.as_str()).line(&format!("tp '{}'  ", safe(name))).cookie(*cookie);
        }
        LinkDetails::Tracing { attach_type, target_obj_id, target_btf_id, cookie } => {
            parts.line("");
            if let Some(prog) = program(info.prog_id) {
                let kind = TypeName::new(prog.kind.name(), prog.kind.0);
                let shown = prog.kind.name().map_or_else(|| prog.kind.0.to_string(), str::to_owned);
                parts.field("prog_type", serde_json::to_value(kind).unwrap_or_default());
                parts.more(&format!("prog_type {shown}  "));
            }
            parts.attach_type(*attach_type);
            parts.field("target_obj_id", *target_obj_id).field("target_btf_id", *target_btf_id);
            if *target_obj_id != 0 || *target_btf_id != 0 {
                parts.line(&format!("target_obj_id {target_obj_id}  target_btf_id {target_btf_id}  "));
            }
            // Here it has a line of its own.
            if *cookie != 0 {
                parts.line("");
            }
            parts.cookie(*cookie);
        }
        LinkDetails::Cgroup { cgroup_id, attach_type } => {
            parts.field("cgroup_id", *cgroup_id).line(&format!("cgroup_id {cgroup_id}  "));
            parts.attach_type(*attach_type);
        }
        LinkDetails::Iter { target, map_id, cgroup_id, order } => {
            iterator(&mut parts, target, *map_id, *cgroup_id, *order);
        }
        LinkDetails::Netns { ino, attach_type } => {
            parts.field("netns_ino", *ino).line(&format!("netns_ino {ino}  ")).attach_type(*attach_type);
        }
        LinkDetails::Xdp { ifindex } => {
            parts.device(*ifindex);
        }
        LinkDetails::Device { ifindex, attach_type } => {
            parts.device(*ifindex).attach_type(*attach_type);
        }
        LinkDetails::StructOps { map_id } => {
            parts.field("map_id", *map_id);
        }
        LinkDetails::Netfilter(place) => {
            let Netfilter { family, hook, priority, flags } = *place;
            parts.field("pf", family).field("hook", hook).field("prio", priority).field("flags", flags);
            parts.line(&netfilter::text(place));
        }
        LinkDetails::Sockmap { map_id, attach_type } => {
            parts.field("map_id", *map_id).line(&format!("map_id {map_id}  ")).attach_type(*attach_type);
        }
        LinkDetails::KprobeMulti { flags, missed, places } => {
            kprobe_multi(&mut parts, flags & ON_RETURN != 0, *missed, places);
        }
        LinkDetails::UprobeMulti { path, flags, pid, places } => {
            let on_return = flags & ON_RETURN != 0;
            parts
                .field("retprobe", on_return)
                .field("path", path.as_str())
                .field("func_cnt", places.len())
                .field("pid", *pid);
            let functions = places.iter().map(|place| {
                json!({
                    "offset": place.offset, "ref_ctr_offset": place.ref_ctr_offset, "cookie": place.cookie,
                })
            });
            parts.field("funcs", functions.collect::<Vec<_>>());
            let kind = if on_return { "uretprobe.multi  " } else { "uprobe.multi  " };
            parts.line(kind).more(&format!("path {}  func_cnt {}  ", safe(path), places.len()));
            if *pid != 0 {
                parts.more(&format!("pid {pid}  "));
            }
            parts.line(&format!("{:<16}   {:<16}   {:<16}", "offset", "ref_ctr_offset", "cookies"));
            for place in places {
                let [offset, counter, cookie] = [place.offset, place.ref_ctr_offset, place.cookie];
                parts.line(&format!("0x{offset:<16x} 0x{counter:<16x} 0x{cookie:<16x}"));
            }
        }
        LinkDetails::PerfEvent(event) => perf_event(&mut parts, event),
        // A type newer than this: what all links have is shown.
        _ => {}
    }
    parts
}

/// `BPF_F_KPROBE_MULTI_RETURN` and `BPF_F_UPROBE_MULTI_RETURN`.
const ON_RETURN: u32 = 1;

fn program(id: u32) -> Option<ProgInfo> {
    let fd = bpf::get_fd_by_id(ObjectKind::Prog, id, 0).ok()?;
    bpf::prog_info(fd.as_fd()).ok()
}

fn iterator(parts: &mut Parts, target: &str, map_id: u32, cgroup_id: u64, order: u32) {
    parts.field("target_name", target);
    let mut head = format!("target_name {}  ", safe(target));
    match target {
        "bpf_map_elem" | "bpf_sk_storage_map" => {
            parts.field("map_id", map_id);
            let _ = write!(head, "map_id {map_id}  ");
        }
        "task" | "task_file" | "task_vma" => {
            let (tid, pid) = (cgroup_id as u32, (cgroup_id >> 32) as u32);
            if tid != 0 {
                parts.field("tid", tid);
                let _ = write!(head, "tid {tid} ");
            } else if pid != 0 {
                parts.field("pid", pid);
                let _ = write!(head, "pid {pid} ");
            }
        }
        "cgroup" => {
            const ORDERS: [&str; 5] =
                ["order_unspec", "self_only", "descendants_pre", "descendants_post", "ancestors_up"];
            let name = ORDERS.get(order as usize).copied().unwrap_or("unknown");
            parts.field("cgroup_id", cgroup_id).field("order", name);
            let _ = write!(head, "cgroup_id {cgroup_id}  order {name}  ");
        }
        _ => {}
    }
    parts.head = head;
}

fn kprobe_multi(parts: &mut Parts, on_return: bool, missed: u64, places: &[KprobePlace]) {
    let mut places = places.to_vec();
    places.sort_by_key(|place| place.address);
    let wanted = kallsyms::Wanted {
        addresses: places.iter().map(|place| place.address).filter(|&address| address != 0).collect(),
        ..kallsyms::Wanted::default()
    };
    let found = kallsyms::find(&wanted).unwrap_or_default();
    parts.field("retprobe", on_return).field("func_cnt", places.len()).field("missed", missed);
    let functions: Vec<Value> = places
        .iter()
        .filter_map(|place| {
            let name = found.names.get(&place.address)?;
            let module = found.modules.get(&place.address);
            Some(json!({
                "addr": place.address, "func": name, "module": module, "cookie": place.cookie,
            }))
        })
        .collect();
    parts.field("funcs", functions);
    parts.line(if on_return { "kretprobe.multi  " } else { "kprobe.multi  " });
    parts.more(&format!("func_cnt {}  ", places.len()));
    if missed != 0 {
        parts.more(&format!("missed {missed}  "));
    }
    let named = places.iter().filter_map(|place| Some((place, found.names.get(&place.address)?)));
    for (index, (place, name)) in named.enumerate() {
        if index == 0 {
            parts.line(&format!("{:<16} {:<16} {}", "addr", "cookie", "func [module]"));
        }
        parts.line(&format!("{:016x} {:<16x} {}", place.address, place.cookie, safe(name)));
        match found.modules.get(&place.address) {
            Some(module) => parts.more(&format!(" [{}]  ", safe(module))),
            None => parts.more("  "),
        };
    }
}

fn perf_event(parts: &mut Parts, event: &PerfEventLink) {
    match event {
        PerfEventLink::Uprobe { on_return, file, offset, cookie, ref_ctr_offset } => {
            parts
                .field("retprobe", *on_return)
                .field("file", file.as_str())
                .field("offset", *offset)
                .field("cookie", *cookie)
                .field("ref_ctr_offset", *ref_ctr_offset);
            parts.line(if *on_return { "uretprobe " } else { "uprobe " });
            parts.more(&format!("{}+{offset:#x}  ", safe(file)));
            if *cookie != 0 {
                parts.more(&format!("cookie {cookie}  "));
            }
            if *ref_ctr_offset != 0 {
                parts.more(&format!("ref_ctr_offset {ref_ctr_offset:#x}  "));
            }
        }
        PerfEventLink::Kprobe { on_return, name, offset, address, missed, cookie } => {
            parts
                .field("retprobe", *on_return)
                .field("addr", *address)
                .field("func", name.as_str())
                .field("offset", *offset)
                .field("missed", *missed)
                .field("cookie", *cookie);
            parts.line(if *on_return { "kretprobe " } else { "kprobe " });
            if *address != 0 {
                parts.more(&format!("{address:x} "));
            }
            parts.more(&safe(name));
            if *offset != 0 {
                parts.more(&format!("+{offset:#x}"));
            }
            if *missed != 0 {
                parts.more(&format!("  missed {missed}"));
            }
            if *cookie != 0 {
                parts.more(&format!("  cookie {cookie}"));
            }
            parts.more("  ");
        }
        PerfEventLink::Tracepoint { name, cookie } => {
            parts.field("tracepoint", name.as_str());
            parts.line(&format!("tracepoint {}  ", safe(name))).cookie(*cookie);
        }
        PerfEventLink::Event { kind, config, cookie } => {
            let (kind_name, config_name) = event_names(*kind, *config);
            parts.field("event_type", kind_name.map_or_else(|| Value::from(*kind), Value::from));
            let shown = config_name.clone().map_or_else(|| Value::from(*config), Value::from);
            parts.field("event_config", shown);
            match kind_name {
                Some(name) => parts.line(&format!("event {name}:")),
                None => parts.line(&format!("event {kind} :")),
            };
            parts.more(&config_name.unwrap_or_else(|| config.to_string())).more("  ").cookie(*cookie);
        }
        PerfEventLink::Unknown(_) => {}
    }
}

/// The names of a counter's type and of which it is, as perf(1) has them.
fn event_names(kind: u32, config: u64) -> (Option<&'static str>, Option<String>) {
    const KINDS: [&str; 6] = ["hardware", "software", "tracepoint", "hw-cache", "raw", "breakpoint"];
    const HARDWARE: [&str; 10] = [
        "cpu-cycles",
        "instructions",
        "cache-references",
        "cache-misses",
        "branch-instructions",
        "branch-misses",
        "bus-cycles",
        "stalled-cycles-frontend",
        "stalled-cycles-backend",
        "ref-cycles",
    ];
    const SOFTWARE: [&str; 11] = [
        "cpu-clock",
        "task-clock",
        "page-faults",
        "context-switches",
        "cpu-migrations",
        "minor-faults",
        "major-faults",
        "alignment-faults",
        "emulation-faults",
        "dummy",
        "bpf-output",
    ];
    const CACHES: [&str; 7] = ["L1-dcache", "L1-icache", "LLC", "dTLB", "iTLB", "branch", "node"];
    const OPERATIONS: [&str; 3] = ["load", "store", "prefetch"];
    const RESULTS: [&str; 2] = ["refs", "misses"];
    let at = |names: &[&str]| {
        let index = usize::try_from(config).ok()?;
        names.get(index).map(|&name| name.to_owned())
    };
    let part =
        |names: &'static [&'static str], shift: u32| names.get((config >> shift & 0xff) as usize).copied();
    let config_name = match kind {
        0 => at(&HARDWARE),
        1 => at(&SOFTWARE),
        3 => {
            let (cache, operation, result) = (part(&CACHES, 0), part(&OPERATIONS, 8), part(&RESULTS, 16));
            match (cache, operation, result) {
                (Some(cache), Some(operation), Some(result)) => Some(format!("{cache}-{operation}-{result}")),
                _ => None,
            }
        }
        _ => None,
    };
    (KINDS.get(kind as usize).copied(), config_name)
}
