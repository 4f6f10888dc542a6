//! The arguments of bpf(2) as the kernel reads them: one structure per command, and the info structures it
//! fills.
//!
//! Written from `include/uapi/linux/bpf.h` of Linux 6.18. The kernel accepts a structure longer than the one it
//! knows if the surplus is zero, so fields that are newer than the running kernel cost nothing while unused.
//! No structure has padding that the compiler chose: each gap is a named field, so every byte is initialised.

/// A structure that may be handed to bpf(2) as bytes.
///
/// # Safety
///
/// The type is `repr(C)`, has no padding bytes, and is valid for every bit pattern.
pub unsafe trait Plain: Copy {
    /// The value of all zero bytes.
    fn zeroed() -> Self {
        // SAFETY: the trait promises that every bit pattern is a value.
        unsafe { std::mem::zeroed() }
    }
}

/// Declares plain structures and checks their size, so that a gap or a wrong field width does not compile.
macro_rules! plain {
    ($($(#[$doc:meta])* $name:ident = $size:literal { $($field:ident: $ty:ty,)* })*) => {$(
        $(#[$doc])*
        #[repr(C)]
        #[derive(Clone, Copy, Debug)]
        #[allow(missing_docs, reason = "the fields are named and described in the kernel's uapi header")]
        pub struct $name { $(pub $field: $ty,)* }

        const _: () = {
            assert!(size_of::<$name>() == $size, "wrong size");
            assert!(size_of::<$name>() == 0 $(+ size_of::<$ty>())*, "hidden padding");
        };

        // SAFETY: repr(C), integers and byte arrays only, and the sum of the sizes above excludes padding.
        unsafe impl Plain for $name {}
    )*};
}

/// The length of an object name, with its closing zero.
pub const NAME_LEN: usize = 16;

plain! {
    /// `BPF_MAP_CREATE`.
    MapCreate = 96 {
        map_type: u32, key_size: u32, value_size: u32, max_entries: u32,
        map_flags: u32, inner_map_fd: u32, numa_node: u32, map_name: [u8; NAME_LEN],
        map_ifindex: u32, btf_fd: u32, btf_key_type_id: u32, btf_value_type_id: u32,
        btf_vmlinux_value_type_id: u32, map_extra: u64,
        value_type_btf_obj_fd: u32, map_token_fd: u32, excl_prog_hash: u64, excl_prog_hash_size: u32, pad: u32,
    }
    /// `BPF_MAP_{LOOKUP,UPDATE,DELETE,LOOKUP_AND_DELETE}_ELEM`, `BPF_MAP_GET_NEXT_KEY`, `BPF_MAP_FREEZE`.
    MapElem = 32 { map_fd: u32, pad: u32, key: u64, value: u64, flags: u64, }
    /// `BPF_MAP_{LOOKUP,LOOKUP_AND_DELETE,UPDATE,DELETE}_BATCH`.
    MapBatch = 56 {
        in_batch: u64, out_batch: u64, keys: u64, values: u64, count: u32, map_fd: u32, elem_flags: u64, flags: u64,
    }
    /// `BPF_PROG_LOAD`.
    ProgLoad = 168 {
        prog_type: u32, insn_cnt: u32, insns: u64, license: u64, log_level: u32, log_size: u32, log_buf: u64,
        kern_version: u32, prog_flags: u32, prog_name: [u8; NAME_LEN], prog_ifindex: u32,
        expected_attach_type: u32, prog_btf_fd: u32, func_info_rec_size: u32, func_info: u64,
        func_info_cnt: u32, line_info_rec_size: u32, line_info: u64, line_info_cnt: u32, attach_btf_id: u32,
        attach_prog_or_btf_fd: u32, core_relo_cnt: u32, fd_array: u64, core_relos: u64,
        core_relo_rec_size: u32, log_true_size: u32, prog_token_fd: u32, fd_array_cnt: u32,
        signature: u64, signature_size: u32, keyring_id: u32,
    }
    /// `BPF_OBJ_PIN`, `BPF_OBJ_GET`.
    Obj = 24 { pathname: u64, bpf_fd: u32, file_flags: u32, path_fd: u32, pad: u32, }
    /// `BPF_PROG_TEST_RUN`.
    TestRun = 80 {
        prog_fd: u32, retval: u32, data_size_in: u32, data_size_out: u32, data_in: u64, data_out: u64,
        repeat: u32, duration: u32, ctx_size_in: u32, ctx_size_out: u32, ctx_in: u64, ctx_out: u64,
        flags: u32, cpu: u32, batch_size: u32, pad: u32,
    }
    /// `BPF_{PROG,MAP,LINK,BTF}_GET_NEXT_ID` and `..._GET_FD_BY_ID`.
    GetId = 16 { id: u32, next_id: u32, open_flags: u32, token_fd: u32, }
    /// `BPF_OBJ_GET_INFO_BY_FD`.
    Info = 16 { bpf_fd: u32, info_len: u32, info: u64, }
    /// `BPF_RAW_TRACEPOINT_OPEN`.
    RawTracepointOpen = 24 { name: u64, prog_fd: u32, pad: u32, cookie: u64, }
    /// `BPF_BTF_LOAD`.
    BtfLoad = 40 {
        btf: u64, btf_log_buf: u64, btf_size: u32, btf_log_size: u32, btf_log_level: u32, btf_log_true_size: u32,
        btf_flags: u32, btf_token_fd: u32,
    }
    /// `BPF_LINK_CREATE` of a perf event: the program sees `bpf_cookie`.
    LinkCreatePerf = 24 { prog_fd: u32, target_fd: u32, attach_type: u32, flags: u32, bpf_cookie: u64, }
    /// `BPF_LINK_CREATE` of a tracing program (fentry, fexit, tp_btf, LSM).
    LinkCreateTracing = 32 {
        prog_fd: u32, target_fd: u32, attach_type: u32, flags: u32, target_btf_id: u32, pad: u32, cookie: u64,
    }
    /// `BPF_LINK_CREATE` of kprobe.multi.
    LinkCreateKprobeMulti = 48 {
        prog_fd: u32, target_fd: u32, attach_type: u32, flags: u32,
        multi_flags: u32, cnt: u32, syms: u64, addrs: u64, cookies: u64,
    }
    /// `BPF_LINK_CREATE` of uprobe.multi.
    LinkCreateUprobeMulti = 64 {
        prog_fd: u32, target_fd: u32, attach_type: u32, flags: u32,
        path: u64, offsets: u64, ref_ctr_offsets: u64, cookies: u64, cnt: u32, multi_flags: u32,
        pid: u32, pad: u32,
    }
    /// `BPF_LINK_CREATE` of every other kind; `rest` is the part that depends on it, from byte 16 on.
    LinkCreate = 64 { prog_fd: u32, target_fd: u32, attach_type: u32, flags: u32, rest: [u64; 6], }
    /// `BPF_PROG_ATTACH` and `BPF_PROG_DETACH`.
    ProgAttach = 32 {
        target_fd: u32, attach_bpf_fd: u32, attach_type: u32, attach_flags: u32, replace_bpf_fd: u32,
        relative_fd: u32, expected_revision: u64,
    }
    /// `BPF_PROG_QUERY`.
    ProgQuery = 64 {
        target_fd: u32, attach_type: u32, query_flags: u32, attach_flags: u32, prog_ids: u64, count: u32,
        pad: u32, prog_attach_flags: u64, link_ids: u64, link_attach_flags: u64, revision: u64,
    }
    /// `BPF_TASK_FD_QUERY`.
    TaskFdQuery = 48 {
        pid: u32, fd: u32, flags: u32, buf_len: u32, buf: u64, prog_id: u32, fd_type: u32, probe_offset: u64,
        probe_addr: u64,
    }
    /// `BPF_PROG_STREAM_READ_BY_FD`.
    StreamRead = 24 { buf: u64, len: u32, stream_id: u32, prog_fd: u32, pad: u32, }
    /// `BPF_ITER_CREATE`.
    IterCreate = 8 { link_fd: u32, flags: u32, }
    /// `BPF_LINK_DETACH` and `BPF_ENABLE_STATS`, which take one number.
    One = 4 { value: u32, }
}

plain! {
    /// What the kernel says about a program (`struct bpf_prog_info`).
    RawProgInfo = 232 {
        kind: u32, id: u32, tag: [u8; 8], jited_prog_len: u32, xlated_prog_len: u32, jited_prog_insns: u64,
        xlated_prog_insns: u64, load_time: u64, created_by_uid: u32, nr_map_ids: u32, map_ids: u64,
        name: [u8; NAME_LEN], ifindex: u32, gpl_compatible: u32, netns_dev: u64, netns_ino: u64,
        nr_jited_ksyms: u32, nr_jited_func_lens: u32, jited_ksyms: u64, jited_func_lens: u64, btf_id: u32,
        func_info_rec_size: u32, func_info: u64, nr_func_info: u32, nr_line_info: u32, line_info: u64,
        jited_line_info: u64, nr_jited_line_info: u32, line_info_rec_size: u32, jited_line_info_rec_size: u32,
        nr_prog_tags: u32, prog_tags: u64, run_time_ns: u64, run_cnt: u64, recursion_misses: u64,
        verified_insns: u32, attach_btf_obj_id: u32, attach_btf_id: u32, pad: u32,
    }
    /// What the kernel says about a map (`struct bpf_map_info`).
    RawMapInfo = 104 {
        kind: u32, id: u32, key_size: u32, value_size: u32, max_entries: u32, map_flags: u32,
        name: [u8; NAME_LEN], ifindex: u32, btf_vmlinux_value_type_id: u32, netns_dev: u64, netns_ino: u64,
        btf_id: u32, btf_key_type_id: u32, btf_value_type_id: u32, btf_vmlinux_id: u32, map_extra: u64,
        hash: u64, hash_size: u32, pad: u32,
    }
    /// What the kernel says about a BTF object (`struct bpf_btf_info`).
    RawBtfInfo = 32 { btf: u64, btf_size: u32, id: u32, name: u64, name_len: u32, kernel_btf: u32, }
    /// The same before Linux 5.11, which knew neither names nor modules.
    RawBtfInfoNameless = 16 { btf: u64, btf_size: u32, id: u32, }
    /// What the kernel says about a link (`struct bpf_link_info`); `rest` is its union, from byte 16 on.
    RawLinkInfo = 80 { kind: u32, id: u32, prog_id: u32, head: u32, rest: [u64; 8], }
}
