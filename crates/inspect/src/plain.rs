//! The plain text forms.

use std::io::{self, Write};
use std::path::PathBuf;

use crate::json;
use crate::model::{Device, Holder, Link, Map, MapHead, Prog, ProgHead};

/// Something that can be shown as text.
pub(crate) trait Plain {
    /// Writes the object's lines.
    fn write(&self, out: &mut dyn Write) -> io::Result<()>;
}

impl ProgHead {
    /// Writes what identifies a program, without the end of the line.
    fn begin(&self, out: &mut dyn Write) -> io::Result<()> {
        write!(out, "{}: {}  ", self.id, self.kind)?;
        if !self.name.is_empty() {
            write!(out, "name {}  ", safe(&self.name))?;
        }
        write!(out, "tag {}", self.tag)
    }

    fn end(&self, out: &mut dyn Write) -> io::Result<()> {
        if self.gpl_compatible {
            write!(out, "  gpl")?;
        }
        if let (Some(time), Some(count)) = (self.run_time_ns, self.run_cnt) {
            write!(out, " run_time_ns {time} run_cnt {count}")?;
        }
        if let Some(misses) = self.recursion_misses {
            write!(out, " recursion_misses {misses}")?;
        }
        writeln!(out)
    }
}

impl Plain for ProgHead {
    fn write(&self, out: &mut dyn Write) -> io::Result<()> {
        self.begin(out)?;
        self.end(out)
    }
}

impl Plain for MapHead {
    fn write(&self, out: &mut dyn Write) -> io::Result<()> {
        write!(out, "{}: {}  ", self.id, self.kind)?;
        if !self.name.is_empty() {
            write!(out, "name {}  ", safe(&self.name))?;
        }
        write!(out, "flags {:#x}", self.flags)?;
        device(out, &self.dev)?;
        writeln!(out)
    }
}

impl Plain for Link {
    fn write(&self, out: &mut dyn Write) -> io::Result<()> {
        write!(out, "{}: {}  ", self.id, self.kind)?;
        write!(out, "{}{}", self.text.head, self.text.body)?;
        pins(out, &self.pinned)?;
        if let Some(cookie) = self.bpf_cookie {
            write!(out, "\n\tbpf_cookie {cookie}")?;
        }
        holders(out, &self.pids)?;
        writeln!(out)
    }
}

impl Plain for Prog {
    fn write(&self, out: &mut dyn Write) -> io::Result<()> {
        self.head.begin(out)?;
        device(out, &self.dev)?;
        self.head.end(out)?;
        if let (Some(loaded_at), Some(uid)) = (self.loaded_at, self.uid) {
            writeln!(out, "\tloaded_at {}  uid {uid}", local_time(loaded_at))?;
        }
        write!(out, "\txlated {}B", self.bytes_xlated)?;
        match self.bytes_jited {
            Some(bytes) => write!(out, "  jited {bytes}B")?,
            None => write!(out, "  not jited")?,
        }
        memlock(out, self.bytes_memlock)?;
        if self.orphaned {
            write!(out, "  orphaned")?;
        }
        for (index, id) in self.map_ids.iter().enumerate() {
            write!(out, "{}{id}", if index == 0 { "  map_ids " } else { "," })?;
        }
        pins(out, &self.pinned)?;
        if let Some(btf_id) = self.btf_id {
            write!(out, "\n\tbtf_id {btf_id}")?;
        }
        holders(out, &self.pids)?;
        writeln!(out)?;
        if !self.metadata.is_empty() {
            writeln!(out, "\tmetadata:")?;
        }
        for (name, value) in &self.metadata {
            write!(out, "\t\t{name} = ")?;
            json::write(out, value, true)?;
            writeln!(out)?;
        }
        Ok(())
    }
}

impl Plain for Map {
    fn write(&self, out: &mut dyn Write) -> io::Result<()> {
        self.head.write(out)?;
        write!(
            out,
            "\tkey {}B  value {}B  max_entries {}",
            self.bytes_key, self.bytes_value, self.max_entries
        )?;
        memlock(out, self.bytes_memlock)?;
        if self.owner_prog_type.is_some() || self.owner_jited.is_some() {
            write!(out, "\n\t")?;
        }
        if let Some(kind) = &self.owner_prog_type {
            write!(out, "owner_prog_type {kind}  ")?;
        }
        if let Some(jited) = self.owner_jited {
            write!(out, "owner{} jited", if jited { "" } else { " not" })?;
        }
        pins(out, &self.pinned)?;
        if let Some(btf_id) = self.btf_id {
            write!(out, "\n\tbtf_id {btf_id}")?;
        }
        if self.frozen != 0 {
            write!(out, "{}frozen", if self.btf_id.is_some() { "  " } else { "\n\t" })?;
        }
        holders(out, &self.pids)?;
        writeln!(out)
    }
}

/// A name that other processes chose: what could steer a terminal is shown as an escape.
pub(crate) fn safe(name: &str) -> std::borrow::Cow<'_, str> {
    skep_ui::text::escape(name)
}

fn device(out: &mut dyn Write, device: &Option<Device>) -> io::Result<()> {
    let Some(Device { ifindex, ns_dev, ns_inode, ifname }) = device else { return Ok(()) };
    match ifname {
        Some(name) => write!(out, "  offloaded_to {}", safe(name)),
        None => write!(out, "  offloaded_to ifindex {ifindex} ns_dev {ns_dev} ns_ino {ns_inode}"),
    }
}

fn memlock(out: &mut dyn Write, bytes: Option<u64>) -> io::Result<()> {
    bytes.map_or(Ok(()), |bytes| write!(out, "  memlock {bytes}B"))
}

fn pins(out: &mut dyn Write, pins: &Option<Vec<PathBuf>>) -> io::Result<()> {
    pins.iter().flatten().try_for_each(|path| write!(out, "\n\tpinned {}", safe(&path.to_string_lossy())))
}

pub(crate) fn holders(out: &mut dyn Write, holders: &[Holder]) -> io::Result<()> {
    for (index, Holder { pid, comm }) in holders.iter().enumerate() {
        write!(out, "{}{}({pid})", if index == 0 { "\n\tpids " } else { ", " }, safe(comm))?;
    }
    Ok(())
}

/// Seconds since 1970 as local time with its offset; a time beyond the calendar as the number.
fn local_time(seconds: i64) -> String {
    match jiff::Timestamp::from_second(seconds) {
        Ok(time) => time.to_zoned(jiff::tz::TimeZone::system()).strftime("%Y-%m-%dT%H:%M:%S%z").to_string(),
        Err(_) => seconds.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::model::TypeName;

    fn text(object: &dyn Plain) -> String {
        let mut out = Vec::new();
        object.write(&mut out).unwrap();
        String::from_utf8(out).unwrap()
    }

    fn prog() -> Prog {
        Prog {
            head: ProgHead {
                id: 7,
                kind: TypeName::Name("xdp"),
                name: "pass\u{1b}".to_owned(),
                tag: "5ccda9d6859fce5b".to_owned(),
                gpl_compatible: true,
                run_time_ns: Some(100),
                run_cnt: Some(3),
                recursion_misses: Some(1),
            },
            dev: Some(Device { ifindex: 2, ns_dev: 4, ns_inode: 5, ifname: None }),
            loaded_at: None,
            uid: None,
            orphaned: true,
            bytes_xlated: 88,
            jited: true,
            bytes_jited: Some(60),
            bytes_memlock: Some(4096),
            map_ids: vec![1, 2],
            btf_id: Some(9),
            pinned: Some(vec!["/pins/a".into(), "/pins/b".into()]),
            pids: vec![
                Holder { pid: 1, comm: "init".to_owned() },
                Holder { pid: 20, comm: "a b".to_owned() },
            ],
            metadata: json!({"author": "lab", "list": [1, 2]}).as_object().cloned().unwrap_or_default(),
        }
    }

    #[test]
    fn a_program_with_everything() {
        insta::assert_snapshot!(text(&prog()), @r#"
        7: xdp  name pass\x1b  tag 5ccda9d6859fce5b  offloaded_to ifindex 2 ns_dev 4 ns_ino 5  gpl run_time_ns 100 run_cnt 3 recursion_misses 1
        	xlated 88B  jited 60B  memlock 4096B  orphaned  map_ids 1,2
        	pinned /pins/a
        	pinned /pins/b
        	btf_id 9
        	pids init(1), a b(20)
        	metadata:
        		author = "lab"
        		list = [1,2
        ]
        "#);
    }

    #[test]
    fn a_program_with_next_to_nothing() {
        let bare = Prog {
            head: ProgHead {
                kind: TypeName::Number(99),
                name: String::new(),
                gpl_compatible: false,
                run_time_ns: None,
                run_cnt: None,
                recursion_misses: None,
                ..prog().head
            },
            dev: None,
            orphaned: false,
            jited: false,
            bytes_jited: None,
            bytes_memlock: None,
            map_ids: Vec::new(),
            btf_id: None,
            pinned: None,
            pids: Vec::new(),
            metadata: serde_json::Map::new(),
            ..prog()
        };
        assert_eq!(text(&bare), "7: type 99  tag 5ccda9d6859fce5b\n\txlated 88B  not jited\n");
    }

    #[test]
    fn a_map_with_everything() {
        let map = Map {
            head: MapHead {
                id: 1326,
                kind: TypeName::Name("prog_array"),
                name: "m_progs".to_owned(),
                flags: 0x80,
                dev: Some(Device { ifindex: 2, ns_dev: 4, ns_inode: 5, ifname: Some("eth0".to_owned()) }),
            },
            bytes_key: 4,
            bytes_value: 4,
            max_entries: 4,
            bytes_memlock: Some(344),
            owner_prog_type: Some(TypeName::Name("socket_filter")),
            owner_jited: Some(true),
            frozen: 1,
            btf_id: Some(3),
            pinned: Some(vec!["/pins/m".into()]),
            pids: vec![Holder { pid: 1, comm: "init".to_owned() }],
        };
        insta::assert_snapshot!(text(&map), @r"
        1326: prog_array  name m_progs  flags 0x80  offloaded_to eth0
        	key 4B  value 4B  max_entries 4  memlock 344B
        	owner_prog_type socket_filter  owner jited
        	pinned /pins/m
        	btf_id 3  frozen
        	pids init(1)
        ");
    }

    #[test]
    fn times_beyond_the_calendar_are_numbers() {
        assert_eq!(local_time(i64::MAX), i64::MAX.to_string());
    }
}
