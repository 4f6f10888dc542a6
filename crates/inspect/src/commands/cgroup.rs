//! `cgroup`: programs attached to control groups.

use std::ffi::OsStr;
use std::io;
use std::os::fd::{AsFd, BorrowedFd};
use std::path::{Path, PathBuf};

use serde::{Serialize, Serializer};
use skep_kernel::bpf::{self, AttachType, ObjectKind, QueryTarget, attach_flags};
use skep_kernel::cgroup;

use super::{HELP, OPTIONS_BEGIN, Object, PROG, later, run};
use crate::cli::{Session, Words, is_prefix};
use crate::collect::{self, is};
use crate::error::{Error, Result, reason};
use crate::plain::safe;

pub(super) static OBJECT: Object = Object {
    name: "cgroup",
    commands: &[
        run("show", show),
        run("list", show),
        run("tree", tree),
        later("attach"),
        later("detach"),
        HELP,
    ],
    usage: &[
        "{ show | list } CGROUP [**effective**]",
        "tree [CGROUP_ROOT] [**effective**]",
        "attach CGROUP ATTACH_TYPE PROG [ATTACH_FLAGS]",
        "detach CGROUP ATTACH_TYPE PROG",
        "help",
    ],
    terms: &[
        "",
        "ATTACH_TYPE := { cgroup_inet_ingress | cgroup_inet_egress |",
        "                 cgroup_inet_sock_create | cgroup_sock_ops |",
        "                 cgroup_device | cgroup_inet4_bind |",
        "                 cgroup_inet6_bind | cgroup_inet4_post_bind |",
        "                 cgroup_inet6_post_bind | cgroup_inet4_connect |",
        "                 cgroup_inet6_connect | cgroup_unix_connect |",
        "                 cgroup_inet4_getpeername | cgroup_inet6_getpeername |",
        "                 cgroup_unix_getpeername | cgroup_inet4_getsockname |",
        "                 cgroup_inet6_getsockname | cgroup_unix_getsockname |",
        "                 cgroup_udp4_sendmsg | cgroup_udp6_sendmsg |",
        "                 cgroup_unix_sendmsg | cgroup_udp4_recvmsg |",
        "                 cgroup_udp6_recvmsg | cgroup_unix_recvmsg |",
        "                 cgroup_sysctl | cgroup_getsockopt |",
        "                 cgroup_setsockopt | cgroup_inet_sock_release }",
        "ATTACH_FLAGS := { multi | override }",
        PROG,
        OPTIONS_BEGIN,
        "             {-f|--bpffs} }",
    ],
};

/// The places in a control group, in the order in which they are listed.
const PLACES: &[AttachType] = &[
    AttachType::CGROUP_INET_INGRESS,
    AttachType::CGROUP_INET_EGRESS,
    AttachType::CGROUP_INET_SOCK_CREATE,
    AttachType::CGROUP_INET_SOCK_RELEASE,
    AttachType::CGROUP_INET4_BIND,
    AttachType::CGROUP_INET6_BIND,
    AttachType::CGROUP_INET4_POST_BIND,
    AttachType::CGROUP_INET6_POST_BIND,
    AttachType::CGROUP_INET4_CONNECT,
    AttachType::CGROUP_INET6_CONNECT,
    AttachType::CGROUP_UNIX_CONNECT,
    AttachType::CGROUP_INET4_GETPEERNAME,
    AttachType::CGROUP_INET6_GETPEERNAME,
    AttachType::CGROUP_UNIX_GETPEERNAME,
    AttachType::CGROUP_INET4_GETSOCKNAME,
    AttachType::CGROUP_INET6_GETSOCKNAME,
    AttachType::CGROUP_UNIX_GETSOCKNAME,
    AttachType::CGROUP_UDP4_SENDMSG,
    AttachType::CGROUP_UDP6_SENDMSG,
    AttachType::CGROUP_UNIX_SENDMSG,
    AttachType::CGROUP_UDP4_RECVMSG,
    AttachType::CGROUP_UDP6_RECVMSG,
    AttachType::CGROUP_UNIX_RECVMSG,
    AttachType::CGROUP_SOCK_OPS,
    AttachType::CGROUP_DEVICE,
    AttachType::CGROUP_SYSCTL,
    AttachType::CGROUP_GETSOCKOPT,
    AttachType::CGROUP_SETSOCKOPT,
    AttachType::LSM_CGROUP,
];

/// A program in a control group.
#[derive(Debug, Serialize)]
struct Program {
    id: u32,
    #[serde(serialize_with = "attach_type")]
    attach_type: AttachType,
    /// Absent where programs are listed that take effect, wherever they are attached.
    #[serde(skip_serializing_if = "Option::is_none")]
    attach_flags: Option<String>,
    name: String,
    /// The security hook, for programs that have one.
    #[serde(skip_serializing_if = "Option::is_none")]
    attach_btf_name: Option<String>,
    attach_btf_obj_id: u32,
    attach_btf_id: u32,
}

/// A control group with programs.
#[derive(Debug, Serialize)]
struct Group {
    cgroup: String,
    programs: Vec<Program>,
}

fn attach_type<S: Serializer>(of: &AttachType, serializer: S) -> Result<S::Ok, S::Error> {
    match of.name() {
        Some(name) => serializer.serialize_str(name),
        None => serializer.serialize_u32(of.0),
    }
}

/// `cgroup show CGROUP [effective]`
fn show(session: &mut Session<'_>, words: &mut Words<'_>) -> Result<u8> {
    words.need(1)?;
    let path = PathBuf::from(words.next().ok_or(Error::Usage)?);
    let effective = effective(words)?;
    let shown = path.display();
    let refused = |error: skep_kernel::Error| {
        Error::refusal(format!("can't open cgroup {shown}"), &error, crate::error::FAILED)
    };
    let fd = cgroup::open(&path).map_err(refused)?;
    let programs = programs(fd.as_fd(), effective)
        .map_err(|e| Error::kernel(&format!("can't query bpf programs attached to {shown}"), &e))?;
    if session.is_json() {
        session.json(&programs)?;
        return Ok(0);
    }
    if programs.is_empty() {
        return Ok(0);
    }
    head(session.out, effective)?;
    for program in &programs {
        program.write(session.out, false)?;
    }
    Ok(0)
}

/// `cgroup tree [ROOT] [effective]`: a group that cannot be asked is named, and the others follow.
fn tree(session: &mut Session<'_>, words: &mut Words<'_>) -> Result<u8> {
    let root = match words.peek() {
        Some(word) if !is_effective(word) => {
            words.next();
            // Without a slash at its end, which the paths of those below it would have twice.
            Path::new(word).components().collect()
        }
        _ => cgroup::root()
            .ok()
            .flatten()
            .ok_or_else(|| Error::Message("cgroup v2 isn't mounted".to_owned()))?,
    };
    let effective = effective(words)?;
    if !session.is_json() {
        writeln!(session.out, "CgroupPath")?;
        head(session.out, effective)?;
    }
    let groups = cgroup::walk(&root)
        .map_err(|e| Error::kernel(&format!("can't iterate over {}", root.display()), &e))?;
    let mut status = 0;
    let mut shown = Vec::new();
    for group in groups {
        let asked = cgroup::open(&group.path).and_then(|fd| programs(fd.as_fd(), effective));
        let programs = match asked {
            Ok(programs) => programs,
            Err(error) if group.depth == 0 && is(&error, "EBADF") => {
                let what = format!("can't query bpf programs attached to {}", root.display());
                return Err(Error::kernel(&what, &error.with_hint("it is no control group of version 2")));
            }
            Err(error) => {
                status = crate::error::FAILED;
                refused(session, &group.path, &error, &mut shown)?;
                continue;
            }
        };
        if programs.is_empty() {
            continue;
        }
        let path = group.path.to_string_lossy().into_owned();
        if session.is_json() {
            shown.push(serde_json::to_value(Group { cgroup: path, programs }).map_err(io::Error::from)?);
            continue;
        }
        writeln!(session.out, "{}", safe(&path))?;
        for program in &programs {
            program.write(session.out, group.depth > 0)?;
        }
    }
    if session.is_json() {
        session.json(&shown)?;
    }
    Ok(status)
}

fn refused(
    session: &mut Session<'_>,
    path: &Path,
    error: &skep_kernel::Error,
    shown: &mut Vec<serde_json::Value>,
) -> Result<()> {
    let why = reason(error);
    if session.is_json() {
        shown.push(serde_json::json!({ "cgroup": path.to_string_lossy(), "error": why }));
        return Ok(());
    }
    let path = path.to_string_lossy();
    session.note(&format!("Error: can't query bpf programs attached to {}: {why}", safe(&path)))?;
    Ok(())
}

fn effective(words: &mut Words<'_>) -> Result<bool> {
    match words.next() {
        None => Ok(false),
        Some(word) if is_effective(word) => words.peek().map_or(Ok(true), |word| Err(surplus(word))),
        Some(word) => Err(surplus(word)),
    }
}

fn surplus(word: &OsStr) -> Error {
    let word = word.to_string_lossy();
    Error::Message(format!("expected no more arguments, 'effective', got: '{word}'?"))
}

fn is_effective(word: &OsStr) -> bool {
    is_prefix(word, "effective")
}

fn head(out: &mut dyn io::Write, effective: bool) -> io::Result<()> {
    if effective {
        writeln!(out, "{:<8} {:<15} {:<15}", "ID", "AttachType", "Name")
    } else {
        writeln!(out, "{:<8} {:<15} {:<15} {:<15}", "ID", "AttachType", "AttachFlags", "Name")
    }
}

/// The programs in a group. A place that this kernel does not have has none; if no place can be asked, the first
/// error is the answer.
fn programs(group: BorrowedFd<'_>, effective: bool) -> Result<Vec<Program>, skep_kernel::Error> {
    let mut all = Vec::new();
    let mut first_error = None;
    let mut any = false;
    for &place in PLACES {
        let attached = match bpf::prog_query(QueryTarget::Fd(group), place, effective) {
            Ok(attached) => attached,
            Err(error) => {
                first_error.get_or_insert(error);
                continue;
            }
        };
        any = true;
        for found in attached {
            let flags = if found.prog_flags != 0 { found.prog_flags } else { found.attach_flags };
            all.extend(Program::of(found.prog_id, place, (!effective).then_some(flags)));
        }
    }
    match first_error {
        Some(error) if !any => Err(error),
        _ => Ok(all),
    }
}

impl Program {
    /// `None` if the program has vanished.
    fn of(id: u32, place: AttachType, flags: Option<u32>) -> Option<Self> {
        let fd = bpf::get_fd_by_id(ObjectKind::Prog, id, 0).ok()?;
        let info = bpf::prog_info(fd.as_fd()).ok()?;
        Some(Self {
            id,
            attach_type: place,
            attach_flags: flags.map(flag_name),
            name: collect::full_name(&info),
            attach_btf_name: hook_name(info.attach_btf_obj_id, info.attach_btf_id),
            attach_btf_obj_id: info.attach_btf_obj_id,
            attach_btf_id: info.attach_btf_id,
        })
    }

    fn write(&self, out: &mut dyn io::Write, indented: bool) -> io::Result<()> {
        write!(out, "{}{:<8} ", if indented { "    " } else { "" }, self.id)?;
        match self.attach_type.name() {
            Some(name) => write!(out, "{name:<15}")?,
            None => write!(out, "type {:<10}", self.attach_type.0)?,
        }
        match &self.attach_flags {
            Some(flags) => write!(out, " {flags:<15} {:<15}", safe(&self.name))?,
            None => write!(out, " {:<15}", safe(&self.name))?,
        }
        match &self.attach_btf_name {
            Some(name) => write!(out, " {:<15}", safe(name))?,
            None if self.attach_btf_id != 0 => {
                write!(
                    out,
                    " attach_btf_obj_id={} attach_btf_id={}",
                    self.attach_btf_obj_id, self.attach_btf_id
                )?;
            }
            None => {}
        }
        writeln!(out)
    }
}

fn flag_name(flags: u32) -> String {
    match flags {
        0 => String::new(),
        attach_flags::ALLOW_MULTI => "multi".to_owned(),
        attach_flags::ALLOW_OVERRIDE => "override".to_owned(),
        other => format!("unknown({other:x})"),
    }
}

/// The name of the function that a program was loaded for. One that was loaded for none has the name of type 0 of
/// the kernel's types, which is empty: so the original shows it.
fn hook_name(object: u32, id: u32) -> Option<String> {
    if id == 0 {
        return collect::has_kernel_btf().then(String::new);
    }
    let vmlinux = collect::kernel_btf();
    let btf = if object == 0 || object == VMLINUX { vmlinux } else { collect::btf(object).map(Into::into) }?;
    let name = btf.get(skep_btf::TypeId(id))?.name().to_owned();
    Some(name)
}

/// The id of the kernel's own types, which are loaded first.
const VMLINUX: u32 = 1;
