//! `btf dump`: types as they are, or as a C header.

use skep_btf::{Btf, Type, TypeId};

use super::raw;
use super::source::{EINVAL, Named, Source};
use crate::cli::{Session, Words};
use crate::collect;
use crate::error::{Error, Result};

/// The most types that can be asked for.
const MOST_ROOTS: usize = 16;

pub(super) fn run(session: &mut Session<'_>, words: &mut Words<'_>) -> Result<u8> {
    let (named, mut roots) = Named::take(words)?;
    let has_chosen = !roots.is_empty();
    let mut c = false;
    let mut sorted = true;
    while let Some(word) = words.peek() {
        if words.take("format") {
            let format = words.next().ok_or_else(|| wrong("expecting value for 'format' option\n"))?;
            c = match &*format.to_string_lossy() {
                "c" => true,
                "raw" => false,
                other => {
                    return Err(wrong(&format!(
                        "unrecognized format specifier: '{other}', possible values: raw, c"
                    )));
                }
            };
        } else if words.take("root_id") {
            const E2BIG: u8 = 249;
            if has_chosen {
                return Err(wrong("cannot use root_id with other type filtering"));
            }
            if roots.len() == MOST_ROOTS {
                return Err(Error::Status(format!("only {MOST_ROOTS} root_id are supported"), E2BIG));
            }
            words.need(1)?;
            let text = words.next().ok_or(Error::Usage)?.to_string_lossy();
            let id = collect::parse_id(&text)
                .ok_or_else(|| Error::Message(format!("can't parse {text} as root ID")))?;
            if roots.contains(&TypeId(id)) {
                return Err(wrong(&format!("duplicate root_id {id} supplied")));
            }
            roots.push(TypeId(id));
        } else if words.take("unsorted") {
            sorted = false;
        } else {
            return Err(wrong(&format!("unrecognized option: '{}'", word.to_string_lossy())));
        }
    }
    let source = Source { btf: named.read(session)?, roots };
    if let Some(root) = source.roots.iter().find(|root| source.btf.get(**root).is_none()) {
        return Err(wrong(&format!("invalid root ID: {root}")));
    }
    if c {
        const ENOTSUP: u8 = 161;
        if session.is_json() {
            let text = "JSON output for C-syntax dump is not supported";
            return Err(Error::Status(text.to_owned(), ENOTSUP));
        }
        let text = header(&source, sorted)
            .map_err(|error| Error::Message(format!("cannot write these types in C: {error}")))?;
        session.out.write_all(text.as_bytes())?;
    } else if session.is_json() {
        raw::json(&mut session.writer(), &source.btf, &source.roots)?;
    } else {
        raw::plain(session.out, &source.btf, &source.roots)?;
    }
    Ok(0)
}

fn wrong(text: &str) -> Error {
    Error::Status(text.to_owned(), EINVAL)
}

/// What stands before the types: a guard, and the attributes that CO-RE programs rely on.
const BEGIN: &str = r##"#ifndef __VMLINUX_H__
#define __VMLINUX_H__

#ifndef BPF_NO_PRESERVE_ACCESS_INDEX
#pragma clang attribute push (__attribute__((preserve_access_index)), apply_to = record)
#endif

#ifndef __ksym
#define __ksym __attribute__((section(".ksyms")))
#endif

#ifndef __weak
#define __weak __attribute__((weak))
#endif

#ifndef __bpf_fastcall
#if __has_attribute(bpf_fastcall)
#define __bpf_fastcall __attribute__((bpf_fastcall))
#else
#define __bpf_fastcall
#endif
#endif

"##;

/// What stands behind them.
const END: &str = "#ifndef BPF_NO_PRESERVE_ACCESS_INDEX
#pragma clang attribute pop
#endif

#endif /* __VMLINUX_H__ */
";

fn header(source: &Source, sorted: bool) -> Result<String, skep_btf::Error> {
    let mut dump = source.btf.c_dump();
    dump.text(BEGIN);
    if !source.roots.is_empty() {
        source.roots.iter().try_for_each(|&root| dump.define(root))?;
    } else if sorted {
        dump.define_sorted()?;
    } else {
        dump.define_all()?;
    }
    if source.roots.is_empty() {
        dump.text("\n/* BPF kfuncs */\n#ifndef BPF_NO_KFUNC_PROTOTYPES\n");
        for kfunc in Kfunc::all(&source.btf) {
            dump.text("extern ");
            if kfunc.fastcall {
                dump.text("__bpf_fastcall ");
            }
            dump.declare(kfunc.proto, kfunc.name)?;
            dump.text(" __weak __ksym;\n");
        }
        dump.text("#endif\n\n");
    }
    dump.text(END);
    Ok(dump.take())
}

/// A function of the kernel that programs may call.
struct Kfunc<'a> {
    name: &'a str,
    proto: TypeId,
    fastcall: bool,
}

impl<'a> Kfunc<'a> {
    /// Those that are marked as such, by name.
    fn all(btf: &'a Btf) -> Vec<Self> {
        let tags: Vec<(&str, TypeId)> = btf
            .types()
            .filter_map(|(_, ty)| match ty {
                Type::DeclTag { name, target, component: None, .. } => Some((name, target)),
                _ => None,
            })
            .collect();
        let tagged = |wanted| tags.iter().filter(move |(name, _)| *name == wanted).map(|(_, target)| *target);
        let fast: Vec<TypeId> = tagged("bpf_fastcall").collect();
        let mut all: Vec<Self> = tagged("bpf_kfunc")
            .filter_map(|target| match btf.get(target)? {
                Type::Func { name, proto, .. } => {
                    Some(Self { name, proto, fastcall: fast.contains(&target) })
                }
                _ => None,
            })
            .collect();
        all.sort_by_key(|kfunc| kfunc.name);
        all.dedup_by_key(|kfunc| kfunc.name);
        all
    }
}
