//! Links of every type that this kernel can make, and programs that are attached without one.

use std::os::fd::{AsFd, OwnedFd};
use std::path::Path;

use skep_isa::{Insn, Reg};
use skep_kernel::bpf::{
    self, AttachType, LinkTarget, Map, MapSpec, MapType, Netfilter, ProgSpec, ProgType, QueryTarget,
    UpdateFlag, UprobeMulti, attach_flags, map_flags,
};
use skep_kernel::perf::{self, Event, Sampling, Scope, Software};
use skep_kernel::tracefs::TraceFs;

use super::{World, maps, progs};

/// The loopback device, the only one of this test's namespace.
const LOOPBACK: u32 = 1;

pub fn make(world: &mut World) {
    tracing(world);
    network(world);
    cgroups(world);
    struct_ops(world);
}

fn prog(world: &World, name: &str) -> Option<OwnedFd> {
    bpf::obj_get(&world.path(name)).ok()
}

fn tracing(world: &mut World) {
    // A tracepoint that never fires here, and one event of this process only.
    if let Some(prog) = prog(world, "p_raw_tracepoint") {
        let made = bpf::raw_tracepoint_open(Some("xdp_exception"), prog.as_fd(), 99)
            .or_else(|_| bpf::raw_tracepoint_open(Some("xdp_exception"), prog.as_fd(), 0));
        world.keep("l_raw_tracepoint", made);
    }
    if let Some(prog) = prog(world, "p_tracepoint")
        && let Ok(id) = TraceFs::open().and_then(|tracefs| tracefs.id("xdp", "xdp_exception"))
    {
        let scope = Scope::cpu(0);
        if let Ok(event) = perf::open(Event::Tracepoint(id), scope) {
            let made = bpf::link_create_perf_event(prog.as_fd(), event.as_fd(), 4660);
            world.keep("l_tracepoint", made);
        }
        if let Ok(event) = perf::open(Event::Tracepoint(id), scope)
            && perf::set_bpf(event.as_fd(), prog.as_fd()).is_ok()
        {
            world.events.push(event);
        }
    }
    if let Some(prog) = prog(world, "p_perf_event") {
        let own = Scope::pid(std::process::id() as i32);
        // Once in an hour of this process.
        let event = Event::Software(Software::CpuClock, Sampling::Period(3_600_000_000_000));
        if let Ok(event) = perf::open(event, own) {
            world.keep("l_event", bpf::link_create_perf_event(prog.as_fd(), event.as_fd(), 31));
        }
    }
    let bytes = skep_kernel::btf_file::vmlinux().map(|bytes| bytes.to_vec());
    if let Ok(btf) =
        bytes.map_err(|e| e.to_string()).and_then(|b| skep_btf::Btf::parse(b).map_err(|e| e.to_string()))
        && let Some(id) = btf.find(skep_btf::Kind::Typedef, "btf_trace_xdp_exception")
    {
        let insns = [Insn::mov64_imm(Reg::R0, 0), Insn::exit()];
        let spec = ProgSpec {
            expected_attach_type: AttachType::TRACE_RAW_TP,
            attach_btf_id: id.0,
            ..ProgSpec::new(ProgType::TRACING, "p_tp_btf", &insns)
        };
        if let Some(prog) = world.keep("p_tp_btf", bpf::prog_load(&spec)) {
            let made = bpf::link_create_tracing(prog.as_fd(), AttachType::TRACE_RAW_TP, 5);
            world.keep("l_tp_btf", made);
        }
    }
    let uprobe = progs::described(world, ProgType::KPROBE, "uprobe_program", |spec| {
        spec.expected_attach_type = AttachType::TRACE_UPROBE_MULTI;
    });
    if let Some(prog) = world.keep("p_uprobe", uprobe) {
        let (path, place) = place_of_a_function();
        for (name, on_return, cookies, pid) in [
            ("l_uprobe_multi", false, &[5u64][..], 0),
            ("l_uretprobe_multi", true, &[][..], std::process::id()),
        ] {
            let places = UprobeMulti {
                path: &path,
                offsets: &[place],
                ref_ctr_offsets: &[],
                cookies,
                pid,
                on_return,
                session: false,
            };
            world.keep(name, bpf::link_create_uprobe_multi(prog.as_fd(), &places));
        }
    }
}

/// A function that nobody calls, so that the probe on it never fires.
#[inline(never)]
extern "C" fn never_called() -> i32 {
    std::hint::black_box(7)
}

/// The file of this program, and where in it that function is.
pub fn place_of_a_function() -> (std::path::PathBuf, u64) {
    let address = never_called as *const () as u64;
    let maps = std::fs::read_to_string("/proc/self/maps").unwrap();
    let number = |text: &str| u64::from_str_radix(text, 16).unwrap();
    let offset = maps.lines().find_map(|line| {
        let mut fields = line.split_whitespace();
        let (start, end) = fields.next()?.split_once('-')?;
        let offset = fields.nth(1)?;
        (number(start)..number(end)).contains(&address).then(|| address - number(start) + number(offset))
    });
    (std::env::current_exe().unwrap(), offset.unwrap())
}

fn network(world: &mut World) {
    let none = 0;
    if let Some(prog) = prog(world, "p_xdp") {
        const GENERIC: u32 = 1 << 1;
        let made = bpf::link_create(prog.as_fd(), LinkTarget::Ifindex(LOOPBACK), AttachType::XDP, GENERIC);
        world.keep("l_xdp", made);
    }
    let loopback = QueryTarget::Ifindex(LOOPBACK);
    if let Some(prog) = prog(world, "p_sched_cls") {
        for (name, place) in [("l_tcx_in", AttachType::TCX_INGRESS), ("l_tcx_out", AttachType::TCX_EGRESS)] {
            let made = bpf::link_create(prog.as_fd(), LinkTarget::Ifindex(LOOPBACK), place, none);
            world.keep(name, made);
        }
        let other = progs::described(world, ProgType::SCHED_CLS, "without_a_link_of_its_own", |_| {});
        if let Some(prog) = world.keep("p_tcx", other) {
            let _ = bpf::prog_attach(prog.as_fd(), loopback, AttachType::TCX_INGRESS, none);
        }
    }
    let namespace = skep_kernel::proc::network_namespace().unwrap();
    if let Some(prog) = prog(world, "p_sk_lookup") {
        let made =
            bpf::link_create(prog.as_fd(), LinkTarget::Fd(namespace.as_fd()), AttachType::SK_LOOKUP, none);
        world.keep("l_netns", made);
    }
    if let Some(prog) = prog(world, "p_flow_dissector") {
        let target = QueryTarget::Fd(namespace.as_fd());
        // This place takes its namespace from the caller, and no descriptor.
        let _ = bpf::prog_attach(prog.as_fd(), QueryTarget::Ifindex(0), AttachType::FLOW_DISSECTOR, none)
            .or_else(|_| bpf::prog_attach(prog.as_fd(), target, AttachType::FLOW_DISSECTOR, none));
    }
    if let Some(prog) = prog(world, "p_netfilter") {
        for (name, family, hook, priority) in [("l_nf4", 2, 1, -100), ("l_nf6", 10, 4, 10)] {
            let place = Netfilter { family, hook, priority, flags: 0 };
            world.keep(name, bpf::link_create_netfilter(prog.as_fd(), place));
        }
    }
    if let (Some(prog), Ok(map)) = (prog(world, "p_sk_msg"), bpf::obj_get(&world.path("m_sockmap"))) {
        let made =
            bpf::link_create(prog.as_fd(), LinkTarget::Fd(map.as_fd()), AttachType::SK_MSG_VERDICT, none);
        world.keep("l_sockmap", made);
    }
}

fn cgroups(world: &mut World) {
    let (own, child) = (world.cgroup(""), world.cgroup("child"));
    if let Err(error) = std::fs::create_dir_all(&child) {
        world.missing.push(format!("control groups: {error}"));
        return;
    }
    let open = |path: &Path| skep_kernel::cgroup::open(path).unwrap();
    let (own, child) = (open(&own), open(&child));
    for (name, place, flags) in [
        ("p_cgroup_skb", AttachType::CGROUP_INET_INGRESS, attach_flags::ALLOW_MULTI),
        ("p_cgroup_sock", AttachType::CGROUP_INET_SOCK_CREATE, attach_flags::ALLOW_OVERRIDE),
        ("p_cgroup_sock_addr", AttachType::CGROUP_INET4_CONNECT, 0),
    ] {
        if let Some(prog) = prog(world, name) {
            let _ = bpf::prog_attach(prog.as_fd(), QueryTarget::Fd(own.as_fd()), place, flags);
        }
    }
    if let Some(prog) = prog(world, "p_cgroup_device") {
        let made = bpf::link_create(prog.as_fd(), LinkTarget::Fd(own.as_fd()), AttachType::CGROUP_DEVICE, 0);
        world.keep("l_cgroup", made);
    }
    if let Some(prog) = prog(world, "p_cgroup_skb") {
        let target = LinkTarget::Fd(child.as_fd());
        world.keep(
            "l_cgroup_child",
            bpf::link_create(prog.as_fd(), target, AttachType::CGROUP_INET_EGRESS, 0),
        );
    }
}

/// A congestion control of our own that nobody uses.
fn struct_ops(world: &mut World) {
    let (Some(value_type), Some(ops_type)) =
        (maps::kernel_type("bpf_struct_ops_tcp_congestion_ops"), maps::kernel_type("tcp_congestion_ops"))
    else {
        world.missing.push("struct_ops: the kernel has no such table".to_owned());
        return;
    };
    let bytes = skep_kernel::btf_file::vmlinux().unwrap().to_vec();
    let btf = skep_btf::Btf::parse(bytes).unwrap();
    let skep_btf::Type::Struct(ops) = btf.get(ops_type).unwrap() else { return };
    let offset = |name: &str| {
        let field = btf.find_member(value_type, "data").unwrap().unwrap();
        let data = field.byte_offset().unwrap();
        data as usize + btf.find_member(ops_type, name).unwrap().unwrap().byte_offset().unwrap() as usize
    };
    let size = btf.size_of(value_type).unwrap() as u32;
    let mut value = vec![0u8; size as usize];
    let insns = [Insn::mov64_imm(Reg::R0, 2), Insn::exit()];
    for name in ["ssthresh", "cong_avoid", "undo_cwnd"] {
        let index = ops.members().position(|member| member.name == name).unwrap() as u32;
        let spec = ProgSpec {
            expected_attach_type: AttachType(index),
            attach_btf_id: ops_type.0,
            ..ProgSpec::new(ProgType::STRUCT_OPS, name, &insns)
        };
        let pin = format!("p_{name}");
        let Some(prog) = world.keep(&pin, bpf::prog_load(&spec)) else { return };
        let at = offset(name);
        value[at..at + 4].copy_from_slice(&maps::descriptor(prog.as_fd()));
        world.events.push(prog);
    }
    // No other test's, so that both can be there at once.
    let own = world.path("").file_name().unwrap_or_default().to_string_lossy().into_owned();
    let own = format!("skep_{}", own.get(own.len().saturating_sub(6)..).unwrap_or_default());
    let at = offset("name");
    value[at..at + own.len()].copy_from_slice(own.as_bytes());
    let spec = MapSpec {
        kernel_value_type_id: value_type.0,
        flags: map_flags::LINK,
        ..MapSpec::new(MapType::STRUCT_OPS, "m_struct_ops", 4, size, 1)
    };
    // The kernel wants types of the program beside its own.
    let mut types = skep_btf::BtfBuilder::new();
    types.int("int", 4, skep_btf::IntEncoding::SIGNED);
    let own = bpf::btf_load(&types.finish()).unwrap();
    let spec =
        MapSpec { btf: Some(bpf::MapBtf { fd: own.as_fd(), key_type_id: 0, value_type_id: 0 }), ..spec };
    let Some(map) = world.keep("m_struct_ops", bpf::map_create(&spec)) else { return };
    let filled = fill(&map, &value);
    if let Err(error) = filled {
        world.missing.push(format!("struct_ops: {error}"));
        return;
    }
    let made = bpf::link_create(map.as_fd(), LinkTarget::None, AttachType::STRUCT_OPS, 0);
    world.keep("l_struct_ops", made);
    // The programs are the map's now.
    world.events.retain(|fd| bpf::prog_info(fd.as_fd()).is_err());
}

fn fill(map: &Map, value: &[u8]) -> skep_kernel::Result<()> {
    map.update(&[0; 4], value, UpdateFlag::Any)
}
