//! `%gr`: the flags of a memory allocation by name, as the kernel's tracepoints show them.

/// Combinations before what they are made of; the values are those of Linux 6.18 (`gfp_types.h`).
const NAMES: &[(u64, &str)] = &[
    (0x21c_24ca, "GFP_TRANSHUGE"),
    (0x21c_20ca, "GFP_TRANSHUGE_LIGHT"),
    (0x210_0cca, "GFP_HIGHUSER_MOVABLE"),
    (0x10_0cc2, "GFP_HIGHUSER"),
    (0x10_0cc0, "GFP_USER"),
    (0x40_0cc0, "GFP_KERNEL_ACCOUNT"),
    (0xcc0, "GFP_KERNEL"),
    (0xc40, "GFP_NOFS"),
    (0x820, "GFP_ATOMIC"),
    (0xc00, "GFP_NOIO"),
    (0x2800, "GFP_NOWAIT"),
    (1 << 0, "GFP_DMA"),
    (1 << 1, "__GFP_HIGHMEM"),
    (1 << 2, "GFP_DMA32"),
    (1 << 5, "__GFP_HIGH"),
    (1 << 6, "__GFP_IO"),
    (1 << 7, "__GFP_FS"),
    (1 << 13, "__GFP_NOWARN"),
    (1 << 14, "__GFP_RETRY_MAYFAIL"),
    (1 << 15, "__GFP_NOFAIL"),
    (1 << 16, "__GFP_NORETRY"),
    (1 << 18, "__GFP_COMP"),
    (1 << 8, "__GFP_ZERO"),
    (1 << 19, "__GFP_NOMEMALLOC"),
    (1 << 17, "__GFP_MEMALLOC"),
    (1 << 20, "__GFP_HARDWALL"),
    (1 << 21, "__GFP_THISNODE"),
    (1 << 12, "__GFP_WRITE"),
    (1 << 10, "__GFP_DIRECT_RECLAIM"),
    (1 << 11, "__GFP_KSWAPD_RECLAIM"),
    (1 << 22, "__GFP_ACCOUNT"),
    (1 << 23, "__GFP_ZEROTAGS"),
    (1 << 24, "__GFP_SKIP_ZERO"),
    (1 << 25, "__GFP_SKIP_KASAN"),
    (1 << 26, "__GFP_NO_OBJ_EXT"),
];

/// The names of flags, and in hexadecimal what has none.
pub(super) fn names(flags: u64) -> String {
    let mut rest = flags;
    let mut names: Vec<String> = Vec::new();
    for (mask, name) in NAMES {
        if rest & mask == *mask {
            names.push((*name).to_owned());
            rest &= !mask;
        }
    }
    if rest != 0 {
        names.push(format!("{rest:#x}"));
    }
    if names.is_empty() { "0".to_owned() } else { names.join("|") }
}

#[cfg(test)]
mod tests {
    use super::names;

    #[test]
    fn flags_are_named_as_the_kernel_names_them() {
        for (flags, expected) in [
            (0, "0"),
            (0xcc0, "GFP_KERNEL"),
            (0x40_0cc0, "GFP_KERNEL_ACCOUNT"),
            (3, "GFP_DMA|__GFP_HIGHMEM"),
            (0x10_0cca, "GFP_HIGHUSER|0x8"),
            (
                0x214_20ca,
                "__GFP_HIGHMEM|__GFP_IO|__GFP_FS|__GFP_NOWARN|__GFP_COMP|__GFP_HARDWALL|__GFP_SKIP_KASAN|0x8",
            ),
            (0x82_0cc0, "GFP_KERNEL|__GFP_MEMALLOC|__GFP_ZEROTAGS"),
            (0x800_0cc0, "GFP_KERNEL|0x8000000"),
        ] {
            assert_eq!(names(flags), expected, "{flags:#x}");
        }
    }
}
