//! What BPF_OBJ_GET_INFO_BY_FD is given and gives: `struct bpf_prog_info` and `struct bpf_map_info`.

use skep_kernel::clock::Clock;

use super::attr::{Fields, inline_name, map_type, prog_type, u32_at, u64_at};
use super::flags;
use super::node::Node;

/// The attributes, and with details the structure of a program or a map.
pub(super) fn object_info(f: &mut Fields<'_>) {
    f.fd("bpf_fd", 0);
    f.int_changed("info_len", 4);
    f.push("info", |f| {
        let address = f.u64(8);
        let len = f.after(4) as usize;
        let fd = f.u32(0) as i32;
        let kind = f.call.caller.fd_path(fd).unwrap_or_default();
        if !f.call.detail.verbose || !f.call.success || address == 0 || len == 0 {
            return Node::Address(address);
        }
        let after = f.call.caller.read(address, len.min(4096));
        let mut info = Info { before: f.call.info, after: &after, fields: Vec::new(), caller: f.call.caller };
        match kind.as_str() {
            "anon_inode:bpf-prog" => info.prog(),
            "anon_inode:bpf-map" => info.map(),
            _ => return Node::Address(address),
        }
        Node::Struct(info.fields)
    });
}

struct Info<'a> {
    before: &'a [u8],
    after: &'a [u8],
    fields: Vec<(&'static str, Node)>,
    caller: &'a dyn super::attr::Caller,
}

impl Info<'_> {
    fn push(&mut self, name: &'static str, at: usize, node: impl FnOnce(&Self) -> Node) {
        if at < self.after.len() {
            let node = node(self);
            self.fields.push((name, node));
        }
    }

    fn int(&mut self, name: &'static str, at: usize) {
        self.push(name, at, |i| Node::Int(i64::from(u32_at(i.after, at))));
    }

    fn int64(&mut self, name: &'static str, at: usize) {
        self.push(name, at, |i| Node::Int(u64_at(i.after, at) as i64));
    }

    /// What the caller has room for, and what there is.
    fn count(&mut self, name: &'static str, at: usize) {
        self.push(name, at, |i| {
            let node = |bytes| Node::Int(i64::from(u32_at(bytes, at)));
            let (before, after) = (node(i.before), node(i.after));
            if before == after { after } else { Node::Changed(Box::new(before), Box::new(after)) }
        });
    }

    fn address(&mut self, name: &'static str, at: usize) {
        self.push(name, at, |i| Node::Address(u64_at(i.after, at)));
    }

    fn inline_name(&mut self, name: &'static str, at: usize) {
        self.push(name, at, |i| inline_name(i.after, at));
    }

    fn device(&mut self, name: &'static str, at: usize) {
        self.push(name, at, |i| {
            let device = u64_at(i.after, at);
            Node::Device((device >> 8 & 0xfff) as u32, (device & 0xff | device >> 12 & 0xf_ff00) as u32)
        });
    }

    fn prog(&mut self) {
        self.push("type", 0, |i| {
            let value = u32_at(i.after, 0);
            Node::Name { value: value.into(), name: prog_type(value), set: "BPF_PROG_TYPE_" }
        });
        self.int("id", 4);
        self.push("tag", 8, |i| {
            let bytes = i.after.get(8..16).unwrap_or(&[]).to_vec();
            Node::Text { bytes, cut: false, hex: true }
        });
        self.count("jited_prog_len", 16);
        self.address("jited_prog_insns", 24);
        self.count("xlated_prog_len", 20);
        self.address("xlated_prog_insns", 32);
        self.push("load_time", 40, |i| {
            let time = u64_at(i.after, 40);
            let node = Node::Int(time as i64);
            match date(time) {
                Some(date) => Node::Remark(Box::new(node), date),
                None => node,
            }
        });
        self.int("created_by_uid", 48);
        self.count("nr_map_ids", 52);
        self.push("map_ids", 56, |i| {
            let address = u64_at(i.after, 56);
            let count = u32_at(i.before, 52).min(u32_at(i.after, 52)) as usize;
            if address == 0 || count == 0 {
                return Node::Address(address);
            }
            let bytes = i.caller.read(address, count.min(4096) * 4);
            Node::List(bytes.chunks_exact(4).map(|id| Node::Int(u32_at(id, 0).into())).collect(), false)
        });
        self.inline_name("name", 64);
        self.int("ifindex", 80);
        self.push("gpl_compatible", 84, |i| Node::Int(i64::from(u32_at(i.after, 84) & 1)));
        self.device("netns_dev", 88);
        self.int64("netns_ino", 96);
        self.count("nr_jited_ksyms", 104);
        self.count("nr_jited_func_lens", 108);
        self.address("jited_ksyms", 112);
        self.address("jited_func_lens", 120);
        self.int("btf_id", 128);
        self.count("func_info_rec_size", 132);
        self.address("func_info", 136);
        self.count("nr_func_info", 144);
        self.count("nr_line_info", 148);
        self.address("line_info", 152);
        self.address("jited_line_info", 160);
        self.count("nr_jited_line_info", 168);
        self.count("line_info_rec_size", 172);
        self.count("jited_line_info_rec_size", 176);
        self.count("nr_prog_tags", 180);
        self.address("prog_tags", 184);
        self.int64("run_time_ns", 192);
        self.int64("run_cnt", 200);
        self.int64("recursion_misses", 208);
        self.int("verified_insns", 216);
        self.int("attach_btf_obj_id", 220);
        self.int("attach_btf_id", 224);
    }

    fn map(&mut self) {
        self.push("type", 0, |i| {
            let value = u32_at(i.after, 0);
            Node::Name { value: value.into(), name: map_type(value), set: "BPF_MAP_TYPE_" }
        });
        self.int("id", 4);
        self.int("key_size", 8);
        self.int("value_size", 12);
        self.int("max_entries", 16);
        self.push("map_flags", 20, |i| flags::MAP.of(u32_at(i.after, 20).into()));
        self.inline_name("name", 24);
        self.int("ifindex", 40);
        self.int("btf_vmlinux_value_type_id", 44);
        self.device("netns_dev", 48);
        self.int64("netns_ino", 56);
        self.int("btf_id", 64);
        self.int("btf_key_type_id", 68);
        self.int("btf_value_type_id", 72);
        self.int("btf_vmlinux_id", 76);
        self.int64("map_extra", 80);
        self.int64("hash", 88);
        self.int("hash_size", 96);
    }
}

/// When that many nanoseconds after the kernel's start were.
fn date(since_boot: u64) -> Option<String> {
    let booted = Clock::Boot.offset_to(Clock::Real);
    let nanos = i128::from(booted) + i128::from(since_boot);
    let time = jiff::Timestamp::from_nanosecond(nanos).ok()?.to_zoned(jiff::tz::TimeZone::system());
    Some(time.strftime("%Y-%m-%dT%H:%M:%S%z").to_string())
}
