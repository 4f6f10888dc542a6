//! Links of programs at functions, of walks over objects, and at netkit devices: what not every kernel can make.

use std::os::fd::{AsFd, AsRawFd, FromRawFd, OwnedFd};

use skep_btf::{Btf, Kind};
use skep_isa::{Insn, Reg};
use skep_kernel::bpf::{
    self, AttachType, IterTarget, KprobeMulti, LinkTarget, LoadError, ProgSpec, ProgType,
};
use skep_kernel::perf::{self, KprobeAt, UprobeAt};

use super::{World, links};

/// Functions that the kernel calls only when a test of BPF asks for it.
const FUNCTIONS: [&str; 2] = ["bpf_fentry_test1", "bpf_fentry_test2"];

pub fn make(world: &mut World) {
    let types = skep_kernel::btf_file::vmlinux().ok().and_then(|bytes| Btf::parse(bytes.to_vec()).ok());
    events(world);
    many_functions(world);
    if let Some(types) = &types {
        typed_functions(world, types);
        walks(world, types);
    }
    netkit(world);
}

fn load(kind: ProgType, name: &str, place: AttachType, attach_btf_id: u32) -> Result<OwnedFd, LoadError> {
    let insns = [Insn::mov64_imm(Reg::R0, 0), Insn::exit()];
    let kern_version = skep_kernel::limits::kernel_version_code();
    let spec = ProgSpec {
        expected_attach_type: place,
        attach_btf_id,
        kern_version,
        ..ProgSpec::new(kind, name, &insns)
    };
    bpf::prog_load(&spec)
}

fn events(world: &mut World) {
    let Some(prog) = world.keep("p_event", load(ProgType::KPROBE, "p_event", AttachType(0), 0)) else {
        return;
    };
    let at = KprobeAt::Function { name: FUNCTIONS[0], offset: 0 };
    for (name, on_return, cookie) in [("l_kprobe", false, 77), ("l_kretprobe", true, 0)] {
        let made = perf::open_kprobe(at, on_return)
            .and_then(|event| bpf::link_create_perf_event(prog.as_fd(), event.as_fd(), cookie));
        world.keep(name, made);
    }
    let (path, offset) = links::place_of_a_function();
    for (name, on_return, cookie) in [("l_uprobe", false, 78), ("l_uretprobe", true, 0)] {
        let at = UprobeAt { path: &path, offset, semaphore: 0, on_return };
        let made = perf::open_uprobe(&at, Some(std::process::id() as i32))
            .and_then(|event| bpf::link_create_perf_event(prog.as_fd(), event.as_fd(), cookie));
        world.keep(name, made);
    }
}

fn many_functions(world: &mut World) {
    let loaded = load(ProgType::KPROBE, "p_many", AttachType::TRACE_KPROBE_MULTI, 0);
    let Some(prog) = world.keep("p_many", loaded) else { return };
    for (name, on_return, cookies) in
        [("l_kprobe_multi", false, &[7u64, 9][..]), ("l_kretprobe_multi", true, &[][..])]
    {
        let places = KprobeMulti { symbols: &FUNCTIONS, cookies, on_return, ..KprobeMulti::default() };
        world.keep(name, bpf::link_create_kprobe_multi(prog.as_fd(), &places));
    }
}

fn typed_functions(world: &mut World, types: &Btf) {
    let Some(function) = types.find(Kind::Func, FUNCTIONS[0]) else { return };
    for (name, place, cookie) in
        [("fentry", AttachType::TRACE_FENTRY, 3), ("fexit", AttachType::TRACE_FEXIT, 0)]
    {
        let loaded = load(ProgType::TRACING, name, place, function.0);
        let Some(prog) = world.keep(&format!("p_{name}"), loaded) else { continue };
        let made = bpf::link_create_tracing(prog.as_fd(), place, cookie);
        world.keep(&format!("l_{name}"), made);
    }
}

fn walks(world: &mut World, types: &Btf) {
    let own = std::process::id();
    let map = bpf::obj_get(&world.path("m_short")).unwrap();
    let path = world.cgroup("");
    let group = skep_kernel::cgroup::open(&path);
    let mut targets = vec![
        ("task", "l_iter_task", IterTarget::All),
        ("task", "l_iter_process", IterTarget::Process(own)),
        ("task", "l_iter_thread", IterTarget::Thread(own)),
        ("bpf_map_elem", "l_iter_map", IterTarget::Map(map.as_fd())),
    ];
    if let Ok(group) = &group {
        const DESCENDANTS_FIRST: u32 = 3;
        let target = IterTarget::Cgroup { group: group.as_fd(), order: DESCENDANTS_FIRST };
        targets.push(("cgroup", "l_iter_cgroup", target));
    }
    for (over, name, target) in targets {
        let Some(function) = types.find(Kind::Func, &format!("bpf_iter_{over}")) else { continue };
        let loaded = load(ProgType::TRACING, over, AttachType::TRACE_ITER, function.0);
        let made = loaded.map_err(|error| error.to_string()).and_then(|prog| {
            bpf::link_create_iter_over(prog.as_fd(), target).map_err(|error| error.to_string())
        });
        world.keep(name, made);
    }
}

fn netkit(world: &mut World) {
    const NAME: &str = "netkit0";
    if let Err(error) = create_device(NAME, "netkit") {
        world.missing.push(format!("netkit: {error}"));
        return;
    }
    let index = skep_kernel::netdev::index(NAME).unwrap();
    let prog = bpf::obj_get(&world.path("p_sched_cls")).unwrap();
    for (name, place) in
        [("l_netkit", AttachType::NETKIT_PRIMARY), ("l_netkit_peer", AttachType::NETKIT_PEER)]
    {
        world.keep(name, bpf::link_create(prog.as_fd(), LinkTarget::Ifindex(index), place, 0));
    }
}

/// Asks rtnetlink for a device of a kind, in this thread's network namespace.
fn create_device(name: &str, kind: &str) -> std::io::Result<()> {
    let attribute = |number: u16, value: &[u8]| {
        let mut bytes = ((4 + value.len()) as u16).to_ne_bytes().to_vec();
        bytes.extend(number.to_ne_bytes());
        bytes.extend(value);
        bytes.resize(bytes.len().next_multiple_of(4), 0);
        bytes
    };
    let text = |text: &str| [text.as_bytes(), b"\0"].concat();
    let what = attribute(libc::IFLA_INFO_KIND, &text(kind));
    let mut body = vec![0; 16];
    body.extend(attribute(libc::IFLA_IFNAME, &text(name)));
    body.extend(attribute(libc::IFLA_LINKINFO, &what));
    let flags = libc::NLM_F_REQUEST | libc::NLM_F_CREATE | libc::NLM_F_EXCL | libc::NLM_F_ACK;
    let mut message = ((16 + body.len()) as u32).to_ne_bytes().to_vec();
    message.extend(libc::RTM_NEWLINK.to_ne_bytes());
    message.extend((flags as u16).to_ne_bytes());
    message.extend([0; 8]);
    message.extend(body);
    // SAFETY: socket takes numbers only.
    let socket =
        unsafe { libc::socket(libc::AF_NETLINK, libc::SOCK_RAW | libc::SOCK_CLOEXEC, libc::NETLINK_ROUTE) };
    if socket < 0 {
        return Err(std::io::Error::last_os_error());
    }
    // SAFETY: the descriptor has just been made and nobody else knows it.
    let socket = unsafe { OwnedFd::from_raw_fd(socket) };
    let mut answer = [0u8; 4096];
    // SAFETY: the buffers are as long as the lengths beside them.
    let got = unsafe {
        libc::send(socket.as_raw_fd(), message.as_ptr().cast(), message.len(), 0);
        libc::recv(socket.as_raw_fd(), answer.as_mut_ptr().cast(), answer.len(), 0)
    };
    // Behind the header stands the errno, negative.
    match answer.get(16..20).filter(|_| got >= 20) {
        Some(&[a, b, c, d]) if i32::from_ne_bytes([a, b, c, d]) == 0 => Ok(()),
        Some(&[a, b, c, d]) => Err(std::io::Error::from_raw_os_error(-i32::from_ne_bytes([a, b, c, d]))),
        _ => Err(std::io::Error::last_os_error()),
    }
}
