//! The objects as they are shown: one structure per kind, whose fields stand in the order of the JSON output.

use std::fmt;
use std::path::PathBuf;

use serde::{Serialize, Serializer};
use serde_json::{Map as JsonMap, Value};
use skep_kernel::bpf::{MapInfo, ProgInfo};
use skep_kernel::netdev;

use crate::collect;

/// What identifies a program.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub(crate) struct ProgHead {
    pub(crate) id: u32,
    #[serde(rename = "type")]
    pub(crate) kind: TypeName,
    #[serde(skip_serializing_if = "String::is_empty")]
    pub(crate) name: String,
    /// 16 hexadecimal digits.
    pub(crate) tag: String,
    pub(crate) gpl_compatible: bool,
    /// Present while statistics have counted something.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) run_time_ns: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) run_cnt: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) recursion_misses: Option<u64>,
}

impl ProgHead {
    pub(crate) fn of(info: &ProgInfo) -> Self {
        let counted = info.run_time_ns != 0;
        Self {
            id: info.id,
            kind: TypeName::new(info.kind.name(), info.kind.0),
            name: collect::full_name(info),
            tag: info.tag.iter().map(|byte| format!("{byte:02x}")).collect(),
            gpl_compatible: info.gpl_compatible,
            run_time_ns: counted.then_some(info.run_time_ns),
            run_cnt: counted.then_some(info.run_count),
            recursion_misses: (info.recursion_misses != 0).then_some(info.recursion_misses),
        }
    }
}

/// A program.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub(crate) struct Prog {
    #[serde(flatten)]
    pub(crate) head: ProgHead,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) dev: Option<Device>,
    /// Seconds since 1970.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) loaded_at: Option<i64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) uid: Option<u32>,
    pub(crate) orphaned: bool,
    pub(crate) bytes_xlated: u32,
    pub(crate) jited: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) bytes_jited: Option<u32>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) bytes_memlock: Option<u64>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub(crate) map_ids: Vec<u32>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) btf_id: Option<u32>,
    /// Absent unless pins were asked for and some program has one.
    #[serde(skip_serializing_if = "Option::is_none", serialize_with = "paths")]
    pub(crate) pinned: Option<Vec<PathBuf>>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub(crate) pids: Vec<Holder>,
    /// The variables of the program that describe it.
    #[serde(skip_serializing_if = "JsonMap::is_empty")]
    pub(crate) metadata: JsonMap<String, Value>,
}

/// What identifies a map.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub(crate) struct MapHead {
    pub(crate) id: u32,
    #[serde(rename = "type")]
    pub(crate) kind: TypeName,
    #[serde(skip_serializing_if = "String::is_empty")]
    pub(crate) name: String,
    pub(crate) flags: u32,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) dev: Option<Device>,
}

impl MapHead {
    pub(crate) fn of(info: &MapInfo) -> Self {
        Self {
            id: info.id,
            kind: TypeName::new(info.kind.name(), info.kind.0),
            name: info.name.clone(),
            flags: info.flags,
            dev: Device::of(info.ifindex, info.netns_dev, info.netns_ino),
        }
    }
}

/// A map.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub(crate) struct Map {
    #[serde(flatten)]
    pub(crate) head: MapHead,
    pub(crate) bytes_key: u32,
    pub(crate) bytes_value: u32,
    pub(crate) max_entries: u32,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) bytes_memlock: Option<u64>,
    /// For arrays of programs that hold one: what may be put in beside it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) owner_prog_type: Option<TypeName>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) owner_jited: Option<bool>,
    /// 0 or 1.
    pub(crate) frozen: u8,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) btf_id: Option<u32>,
    #[serde(skip_serializing_if = "Option::is_none", serialize_with = "paths")]
    pub(crate) pinned: Option<Vec<PathBuf>>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub(crate) pids: Vec<Holder>,
}

/// A type by its name, or by its number if it is newer than the tables here.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(untagged)]
pub(crate) enum TypeName {
    Name(&'static str),
    Number(u32),
}

impl TypeName {
    pub(crate) fn new(name: Option<&'static str>, number: u32) -> Self {
        name.map_or(Self::Number(number), Self::Name)
    }
}

impl fmt::Display for TypeName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Name(name) => f.write_str(name),
            Self::Number(number) => write!(f, "type {number}"),
        }
    }
}

/// A network device that an object is offloaded or bound to.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub(crate) struct Device {
    pub(crate) ifindex: u32,
    pub(crate) ns_dev: u64,
    pub(crate) ns_inode: u64,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) ifname: Option<String>,
}

impl Device {
    /// `None` for device 0, which is none.
    pub(crate) fn of(ifindex: u32, ns_dev: u64, ns_inode: u64) -> Option<Self> {
        let ifname = || netdev::name(ifindex, ns_dev, ns_inode);
        (ifindex != 0).then(|| Self { ifindex, ns_dev, ns_inode, ifname: ifname() })
    }
}

/// A process that has an object open.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub(crate) struct Holder {
    pub(crate) pid: i32,
    pub(crate) comm: String,
}

/// A link: what all have, and what depends on the type.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub(crate) struct Link {
    pub(crate) id: u32,
    #[serde(rename = "type")]
    pub(crate) kind: TypeName,
    /// Absent for links of maps of functions, which name the map.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) prog_id: Option<u32>,
    /// In the order of the JSON output.
    #[serde(flatten)]
    pub(crate) details: JsonMap<String, Value>,
    #[serde(skip_serializing_if = "Option::is_none", serialize_with = "paths")]
    pub(crate) pinned: Option<Vec<PathBuf>>,
    /// For links to perf events that somebody holds.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) bpf_cookie: Option<u64>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub(crate) pids: Vec<Holder>,
    /// The lines that people see behind the first.
    #[serde(skip)]
    pub(crate) text: LinkText,
}

/// What people see of a link.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct LinkText {
    /// Behind the link's type.
    pub(crate) head: String,
    /// Below it, with a newline before each line.
    pub(crate) body: String,
}

/// Paths need not be text; what is not is shown with a replacement character.
fn paths<S: Serializer>(paths: &Option<Vec<PathBuf>>, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.collect_seq(paths.iter().flatten().map(|path| path.to_string_lossy()))
}
