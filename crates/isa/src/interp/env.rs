//! What surrounds a program: its maps, the helpers it may call, and a ready-made simulation of both.

use super::probe::{self, Space, size_arg};
use super::{Fault, Map, MapDef, MapKind, Memory, RegionKind};
use crate::Imm64;
use crate::helpers::id;

/// The world as a program sees it.
pub trait Env {
    /// Calls a helper. Arguments the helper does not take are 0. The result goes to r0.
    ///
    /// # Errors
    /// A [`Fault`] ends the run. Errors the program can handle are results, as in the kernel.
    fn helper(&mut self, id: u32, args: [u64; 5], memory: &mut Memory) -> Result<u64, Fault>;

    /// The value of a 64-bit load that refers to a map or a kernel variable.
    ///
    /// # Errors
    /// A [`Fault`] for a reference to nothing.
    fn ld_imm64(&mut self, imm: Imm64, memory: &mut Memory) -> Result<u64, Fault>;

    /// Calls a kernel function by BTF id.
    ///
    /// # Errors
    /// [`Fault::UnknownKfunc`] unless the environment has it; by default it has none.
    fn kfunc(
        &mut self,
        btf_id: u32,
        _fd_idx: i16,
        _args: [u64; 5],
        _memory: &mut Memory,
    ) -> Result<u64, Fault> {
        Err(Fault::UnknownKfunc(btf_id))
    }

    /// The keys of a map and the addresses of their values, for `bpf_for_each_map_elem`.
    ///
    /// # Errors
    /// [`Fault::BadMap`], by default for every map.
    fn map_entries(&mut self, map: u64, _memory: &mut Memory) -> Result<Vec<(Vec<u8>, u64)>, Fault> {
        Err(Fault::BadMap(map))
    }

    /// The program has ended without a fault.
    ///
    /// # Errors
    /// A [`Fault`] if it left something behind that it must not.
    fn finish(&mut self) -> Result<(), Fault> {
        Ok(())
    }
}

/// The upper half of a map's address as programs hold it; the lower half is its file descriptor. No memory
/// object has this number.
const MAP: u64 = 0xffff_e000;

const EAGAIN: i64 = -11;
const EFAULT: i64 = -14;
const EINVAL: i64 = -22;
const EOPNOTSUPP: i64 = -95;

/// A small simulated kernel with one CPU and one current task. Everything in it is fixed by its fields, so
/// runs repeat exactly.
#[derive(Clone, Debug)]
pub struct TestEnv {
    /// The process id as users know it (the kernel's tgid).
    pub pid: u32,
    /// The thread id (the kernel's pid).
    pub tid: u32,
    /// User id.
    pub uid: u32,
    /// Group id.
    pub gid: u32,
    /// The task's name.
    pub comm: String,
    /// The cgroup's id.
    pub cgroup_id: u64,
    /// What every clock shows next, in nanoseconds.
    pub now: u64,
    /// How far a clock advances with each reading.
    pub tick: u64,
    /// The state of the random number generator.
    pub random: u64,
    /// The attach cookie.
    pub attach_cookie: u64,
    /// The address of the probed function.
    pub func_ip: u64,
    /// The address of the current `task_struct`, where the test has made one.
    pub task: u64,
    /// The arguments of the probed function, for `bpf_get_func_arg`.
    pub func_args: Vec<u64>,
    /// The return value of the probed function, for `bpf_get_func_ret`; `None` at its entry.
    pub func_ret: Option<u64>,
    /// The kernel stack, innermost address first.
    pub kernel_stack: Vec<u64>,
    /// The user stack, innermost address first.
    pub user_stack: Vec<u64>,
    /// Signals the program sent.
    pub signals: Vec<u32>,
    /// The maps, by file descriptor.
    pub maps: Vec<Map>,
}

impl Default for TestEnv {
    fn default() -> Self {
        Self {
            pid: 1234,
            tid: 1235,
            uid: 1000,
            gid: 1000,
            comm: "skep-test".to_owned(),
            cgroup_id: 77,
            now: 1_000_000_000,
            tick: 1_000,
            random: 0x9e37_79b9_7f4a_7c15,
            attach_cookie: 0,
            func_ip: 0xffff_ffff_8100_0000,
            task: 0,
            func_args: Vec::new(),
            func_ret: None,
            kernel_stack: Vec::new(),
            user_stack: Vec::new(),
            signals: Vec::new(),
            maps: Vec::new(),
        }
    }
}

impl TestEnv {
    /// Makes a map. Returns the file descriptor that [`Imm64::MapFd`] refers to it by: 0, 1, 2, ...
    pub fn add_map(&mut self, def: MapDef) -> i32 {
        self.maps.push(Map::new(def));
        i32::try_from(self.maps.len() - 1).unwrap_or(i32::MAX)
    }

    /// The map of this file descriptor.
    pub fn map(&mut self, fd: i32) -> Option<&mut Map> {
        self.maps.get_mut(usize::try_from(fd).ok()?)
    }

    fn map_arg(&mut self, map: u64) -> Result<&mut Map, Fault> {
        let fd = i32::try_from(map & 0xffff_ffff).ok().filter(|_| map >> 32 == MAP);
        fd.and_then(|fd| self.map(fd)).ok_or(Fault::BadMap(map))
    }

    fn ring_arg(&mut self, map: u64) -> Result<&mut Map, Fault> {
        let ring = self.map_arg(map)?;
        if ring.def().kind == MapKind::RingBuf { Ok(ring) } else { Err(Fault::BadMap(map)) }
    }

    fn clock(&mut self) -> u64 {
        let now = self.now;
        self.now = now.wrapping_add(self.tick);
        now
    }

    /// `bpf_get_ns_current_pid_tgid(dev, inode, to, size)`: there is one namespace, whatever is asked for.
    fn ns_pid_tgid(&self, to: u64, size: u64, memory: &mut Memory) -> Result<u64, Fault> {
        if size != 8 {
            return Ok(EINVAL as u64);
        }
        let value = u64::from(self.pid) << 32 | u64::from(self.tid);
        memory.write_arg(to, &value.to_le_bytes()).map(|()| 0)
    }

    /// `bpf_get_stack(ctx, to, size, flags)`: copies as many addresses as there are and as fit. Returns the
    /// bytes copied; the rest of the buffer keeps what it held.
    fn stack(&self, to: u64, size: u64, flags: u64, memory: &mut Memory) -> Result<u64, Fault> {
        const SKIP_MASK: u64 = 0xff;
        const USER_STACK: u64 = 1 << 8;

        let size = size_arg(size)?;
        memory.check_write(to, size)?;
        let frames = if flags & USER_STACK == 0 { &self.kernel_stack } else { &self.user_stack };
        // The mask leaves eight bits.
        let skip = (flags & SKIP_MASK) as usize;
        let errno = if flags & !(SKIP_MASK | USER_STACK) != 0 || !size.is_multiple_of(8) {
            EINVAL
        } else if frames.len() <= skip {
            EFAULT
        } else {
            let taken = frames.iter().skip(skip).take(size / 8);
            let bytes: Vec<u8> = taken.flat_map(|frame| frame.to_le_bytes()).collect();
            memory.write_arg(to, &bytes)?;
            return Ok(bytes.len() as u64);
        };
        memory.write_arg(to, &vec![0; size])?;
        Ok(errno as u64)
    }

    fn prandom(&mut self) -> u64 {
        // Xorshift: repeatable, and good enough to look random.
        self.random ^= self.random << 13;
        self.random ^= self.random >> 7;
        self.random ^= self.random << 17;
        self.random & 0xffff_ffff
    }
}

impl Env for TestEnv {
    fn helper(&mut self, helper: u32, args: [u64; 5], memory: &mut Memory) -> Result<u64, Fault> {
        let [a1, a2, a3, a4, _] = args;
        match helper {
            id::KTIME_GET_NS | id::KTIME_GET_BOOT_NS | id::KTIME_GET_COARSE_NS | id::KTIME_GET_TAI_NS => {
                Ok(self.clock())
            }
            // One jiffy is four milliseconds.
            id::JIFFIES64 => Ok(self.clock() / 4_000_000),
            id::GET_PRANDOM_U32 => Ok(self.prandom()),
            id::GET_SMP_PROCESSOR_ID | id::GET_NUMA_NODE_ID => Ok(0),

            id::GET_CURRENT_PID_TGID => Ok(u64::from(self.pid) << 32 | u64::from(self.tid)),
            id::GET_CURRENT_UID_GID => Ok(u64::from(self.gid) << 32 | u64::from(self.uid)),
            id::GET_CURRENT_CGROUP_ID => Ok(self.cgroup_id),
            id::GET_CURRENT_TASK | id::GET_CURRENT_TASK_BTF => Ok(self.task),
            id::GET_CURRENT_COMM => current_comm(&self.comm, a1, a2, memory),
            id::GET_ATTACH_COOKIE => Ok(self.attach_cookie),
            id::GET_FUNC_IP => Ok(self.func_ip),
            id::GET_FUNC_ARG_CNT => Ok(self.func_args.len() as u64),
            id::GET_FUNC_ARG => {
                let arg = usize::try_from(a2).ok().and_then(|n| self.func_args.get(n));
                give_u64(arg.copied(), EINVAL, a3, memory)
            }
            id::GET_FUNC_RET => give_u64(self.func_ret, EOPNOTSUPP, a2, memory),
            id::GET_NS_CURRENT_PID_TGID => self.ns_pid_tgid(a3, a4, memory),
            id::GET_STACK => self.stack(a2, a3, a4, memory),
            id::SEND_SIGNAL | id::SEND_SIGNAL_THREAD => {
                self.signals.push(a1 as u32);
                Ok(0)
            }

            id::MAP_LOOKUP_ELEM => {
                let map = self.map_arg(a1)?;
                let key = memory.read_arg(a2, map.def().key_size)?.to_vec();
                Ok(map.lookup(&key, memory))
            }
            id::MAP_LOOKUP_PERCPU_ELEM => {
                let map = self.map_arg(a1)?;
                let key = memory.read_arg(a2, map.def().key_size)?.to_vec();
                Ok(if a3 as u32 == 0 { map.lookup(&key, memory) } else { 0 })
            }
            id::MAP_UPDATE_ELEM => {
                let map = self.map_arg(a1)?;
                let key = memory.read_arg(a2, map.def().key_size)?.to_vec();
                let value = memory.read_arg(a3, map.def().value_size)?.to_vec();
                if map.def().read_only {
                    return Err(Fault::Forbidden { access: "write", kind: RegionKind::ReadOnly });
                }
                Ok(map.update(&key, &value, a4, memory)? as u64)
            }
            id::MAP_DELETE_ELEM => {
                let map = self.map_arg(a1)?;
                let key = memory.read_arg(a2, map.def().key_size)?.to_vec();
                Ok(map.delete(&key) as u64)
            }

            id::RINGBUF_RESERVE => {
                let ring = self.ring_arg(a1)?;
                Ok(if a3 == 0 { ring.reserve(a2, memory) } else { 0 })
            }
            id::RINGBUF_SUBMIT | id::RINGBUF_DISCARD => {
                let submit = helper == id::RINGBUF_SUBMIT;
                let released = self.maps.iter_mut().find_map(|map| map.release(a1, submit, memory));
                released.ok_or(Fault::BadArgument("not a reserved ring buffer record"))?;
                Ok(0)
            }
            id::RINGBUF_OUTPUT => {
                let bytes = memory.read_arg(a2, size_arg(a3)?)?.to_vec();
                let taken = self.ring_arg(a1)?.output(&bytes);
                Ok(if taken { 0 } else { EAGAIN as u64 })
            }
            id::RINGBUF_QUERY => {
                const AVAIL_DATA: u64 = 0;
                const RING_SIZE: u64 = 1;
                const CONSUMER_POSITION: u64 = 2;
                const PRODUCER_POSITION: u64 = 3;
                let ring = self.ring_arg(a1)?;
                match a2 {
                    AVAIL_DATA => Ok(ring.used()),
                    RING_SIZE => Ok(ring.def().max_entries.into()),
                    CONSUMER_POSITION => Ok(ring.consumer_position()),
                    PRODUCER_POSITION => Ok(ring.consumer_position().wrapping_add(ring.used())),
                    // So does the kernel.
                    _ => Ok(0),
                }
            }
            id::PERF_EVENT_OUTPUT => {
                let bytes = memory.read_arg(a4, size_arg(args[4])?)?.to_vec();
                let map = self.map_arg(a2)?;
                if map.def().kind != MapKind::PerfEventArray {
                    return Err(Fault::BadMap(a2));
                }
                map.output(&bytes);
                Ok(0)
            }

            id::PROBE_READ => probe::read(Space::Any, a1, a2, a3, memory),
            id::PROBE_READ_KERNEL => probe::read(Space::Kernel, a1, a2, a3, memory),
            id::PROBE_READ_USER | id::COPY_FROM_USER => probe::read(Space::User, a1, a2, a3, memory),
            id::PROBE_READ_STR => probe::read_str(Space::Any, a1, a2, a3, memory),
            id::PROBE_READ_KERNEL_STR => probe::read_str(Space::Kernel, a1, a2, a3, memory),
            id::PROBE_READ_USER_STR => probe::read_str(Space::User, a1, a2, a3, memory),
            id::PROBE_WRITE_USER => probe::write_user(a1, a2, a3, memory),
            id::STRNCMP => strncmp(a1, a2, a3, memory),

            _ => Err(Fault::UnknownHelper(helper)),
        }
    }

    fn ld_imm64(&mut self, imm: Imm64, memory: &mut Memory) -> Result<u64, Fault> {
        match imm {
            Imm64::Value(value) => Ok(value),
            Imm64::MapFd(fd) | Imm64::MapIdx(fd) => {
                let handle = MAP << 32 | u64::from(fd as u32);
                self.map_arg(handle).map(|_| handle)
            }
            Imm64::MapValue { fd, off } | Imm64::MapIdxValue { idx: fd, off } => {
                let handle = MAP << 32 | u64::from(fd as u32);
                let map = self.map_arg(handle)?;
                // The kernel allows direct addresses for arrays of one element only.
                if map.def().kind != MapKind::Array || map.def().max_entries != 1 {
                    return Err(Fault::BadMap(handle));
                }
                let value = map.lookup(&[0; 4], memory);
                Ok(value.wrapping_add(off.into()))
            }
            Imm64::BtfId { .. } => Err(Fault::Unsupported("the address of a kernel variable")),
            Imm64::Func(_) => Err(Fault::Unsupported("a function address outside a program")),
        }
    }

    fn map_entries(&mut self, map: u64, memory: &mut Memory) -> Result<Vec<(Vec<u8>, u64)>, Fault> {
        Ok(self.map_arg(map)?.addresses(memory))
    }

    fn finish(&mut self) -> Result<(), Fault> {
        match self.maps.iter().map(Map::reserved).sum() {
            0 => Ok(()),
            leaked => Err(Fault::LeakedRecords(leaked)),
        }
    }
}

/// `bpf_get_current_comm(to, size)`: the name, the rest of the buffer zeroed.
fn current_comm(comm: &str, to: u64, size: u64, memory: &mut Memory) -> Result<u64, Fault> {
    let size = size_arg(size)?;
    memory.check_write(to, size)?;
    // A task's name has at most 15 bytes in the kernel; shorter buffers get less of it, and always a NUL.
    let room = size.min(16).checked_sub(1).ok_or(Fault::BadArgument("a buffer of no bytes"))?;
    let mut bytes: Vec<u8> = comm.bytes().take(room).collect();
    bytes.resize(size, 0);
    memory.write_arg(to, &bytes)?;
    Ok(0)
}

/// Writes a value of eight bytes to the program's memory, or returns the errno that stands for its absence.
fn give_u64(value: Option<u64>, errno: i64, to: u64, memory: &mut Memory) -> Result<u64, Fault> {
    match value {
        Some(value) => memory.write_arg(to, &value.to_le_bytes()).map(|()| 0),
        None => Ok(errno as u64),
    }
}

/// `bpf_strncmp(s1, size, s2)`: `s2` is constant and ends with a NUL.
fn strncmp(s1: u64, size: u64, s2: u64, memory: &Memory) -> Result<u64, Fault> {
    let size = size_arg(size)?;
    let left = memory.read_arg(s1, size)?;
    if !memory.object(s2).is_some_and(|(kind, ..)| kind == RegionKind::ReadOnly) {
        return Err(Fault::BadArgument("the second string is not in a read-only map"));
    }
    for (at, &a) in left.iter().enumerate() {
        let b = memory.read(s2.wrapping_add(at as u64), 1)?.first().copied().unwrap_or_default();
        match a.cmp(&b) {
            std::cmp::Ordering::Less => return Ok(-1_i64 as u64),
            std::cmp::Ordering::Greater => return Ok(1),
            std::cmp::Ordering::Equal if a == 0 => return Ok(0),
            std::cmp::Ordering::Equal => {}
        }
    }
    Ok(0)
}
