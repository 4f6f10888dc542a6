//! `map dump`, `map lookup` and `map getnext`: what maps hold.

use std::os::fd::{AsFd, OwnedFd};
use std::sync::Arc;

use skep_btf::{Btf, TypeId};
use skep_kernel::bpf::{self, BatchPage, Map, MapInfo, MapType, ObjectKind};
use skep_kernel::{Errno, perf};

use super::data;
use super::element::{Elements, Types, bytes};
use crate::cli::{Session, Words};
use crate::collect::{self, Selector};
use crate::error::{Error, FAILED, Result, reason, status_of};
use crate::json::Writer;
use crate::model::MapHead;
use crate::plain::Plain;
use crate::value::Look;

/// `map dump MAP`: all elements of one map, or of all maps of a name.
pub(super) fn dump(session: &mut Session<'_>, words: &mut Words<'_>) -> Result<u8> {
    if words.len() != 2 {
        return Err(Error::Usage);
    }
    let fds = Selector::take(ObjectKind::Map, words)?.open(ObjectKind::Map)?;
    let mut maps = fds.into_iter().map(Opened::new).collect::<Result<Vec<_>>>()?;
    // Either all are shown with types or none is, so that the forms are not mixed.
    if !session.is_json() && maps.iter().any(|map| map.elements.types.is_none()) {
        maps.iter_mut().for_each(|map| map.elements.types = None);
    }
    let several = maps.len() > 1;
    let typed = maps.iter().all(|map| map.elements.types.is_some());
    if !session.is_json() && !typed {
        let mut status = 0;
        for (index, map) in maps.iter().enumerate() {
            if several {
                MapHead::of(&map.elements.info).write(session.out)?;
            }
            status = map.plain(session)?;
            if index + 1 < maps.len() {
                writeln!(session.out)?;
            }
        }
        return Ok(status);
    }
    let plain = !session.is_json();
    if plain {
        for map in &maps {
            map.warn(session)?;
        }
    }
    let mut pretend;
    let mut own;
    let json = if plain {
        pretend = Writer::new(session.out, true, 0);
        &mut pretend
    } else {
        own = session.writer();
        &mut own
    };
    let mut status = 0;
    if several {
        json.begin_array()?;
    }
    for map in &maps {
        if several {
            json.begin_object()?;
            json.fields(&MapHead::of(&map.elements.info))?;
            json.name("elements")?;
        }
        status = map.json(json, if plain { Look::Plain } else { Look::Json })?;
        if several {
            json.end_object()?;
        }
    }
    if several {
        json.end_array()?;
    }
    if plain {
        writeln!(session.out)?;
    }
    Ok(status)
}

/// `map lookup MAP [key DATA]`: one element.
pub(super) fn lookup(session: &mut Session<'_>, words: &mut Words<'_>) -> Result<u8> {
    if words.len() < 2 {
        return Err(Error::Usage);
    }
    let map = one_map(words)?;
    let key = data::key(words, map.map.key_size(), true)?.unwrap_or_default();
    let mut value = vec![0; map.map.value_len()];
    // Reuseport arrays, bloom filters and others want room of their own size.
    match map.map.lookup_into(&key, &mut value) {
        Ok(true) => {}
        Ok(false) => return not_found(session, &key),
        Err(error) => return Err(Error::kernel_status("lookup failed", &error)),
    }
    if session.is_json() {
        map.elements.json(&mut session.writer(), &key, &value)?;
    } else if let Some(types) = &map.elements.types {
        let mut json = Writer::new(session.out, true, 0);
        map.elements.typed(&mut json, types, &key, &value, Look::Plain)?;
        writeln!(session.out)?;
    } else {
        map.elements.plain(session.out, &key, &value)?;
    }
    Ok(0)
}

fn not_found(session: &mut Session<'_>, key: &[u8]) -> Result<u8> {
    const STATUS: u8 = 254;
    if session.is_json() {
        session.json(&())?;
    } else {
        writeln!(session.out, "key:")?;
        bytes(session.out, key)?;
        writeln!(session.out, "\n")?;
        writeln!(session.out, "Not found")?;
    }
    Ok(STATUS)
}

/// `map getnext MAP [key DATA]`: the key after another, or the first.
pub(super) fn next(session: &mut Session<'_>, words: &mut Words<'_>) -> Result<u8> {
    if words.len() < 2 {
        return Err(Error::Usage);
    }
    let map = one_map(words)?;
    let key = if words.is_empty() { None } else { data::key(words, map.map.key_size(), false)? };
    let mut next = vec![0; map.map.key_size()];
    let found = map
        .map
        .next_key_into(key.as_deref(), &mut next)
        .map_err(|error| Error::kernel_status("can't get next key", &error))?;
    if !found {
        let error = skep_kernel::Error::call("bpf(BPF_MAP_GET_NEXT_KEY)", Errno::ENOENT);
        let error = error.with_hint("this is the last key, or the map is empty");
        return Err(Error::kernel_status("can't get next key", &error));
    }
    if session.is_json() {
        let mut json = session.writer();
        json.begin_object()?;
        json.name("key")?;
        match &key {
            Some(key) => json.hex_bytes(key)?,
            None => json.value(&())?,
        }
        json.name("next_key")?;
        json.hex_bytes(&next)?;
        json.end_object()?;
        return Ok(0);
    }
    match &key {
        Some(key) => {
            writeln!(session.out, "key:")?;
            bytes(session.out, key)?;
            writeln!(session.out)?;
        }
        None => writeln!(session.out, "key: None")?,
    }
    writeln!(session.out, "next key:")?;
    bytes(session.out, &next)?;
    writeln!(session.out)?;
    Ok(0)
}

fn one_map(words: &mut Words<'_>) -> Result<Opened> {
    let mut fds = Selector::take(ObjectKind::Map, words)?.open(ObjectKind::Map)?;
    match (fds.pop(), fds.is_empty()) {
        (Some(fd), true) => Opened::new(fd),
        _ => Err(Error::Message("several maps match this handle".to_owned())),
    }
}

/// A map that is open, with what is known about its elements.
struct Opened {
    map: Map,
    elements: Elements,
}

/// What a walk over a map came to.
enum Element<'a> {
    Value(&'a [u8]),
    /// The value could not be read.
    Unreadable(&'a skep_kernel::Error),
}

impl Opened {
    fn new(fd: OwnedFd) -> Result<Self> {
        let info = bpf::map_info(fd.as_fd()).map_err(|e| Error::kernel("can't get map info", &e))?;
        let map = Map::from_fd(fd).map_err(|e| Error::kernel("can't get map info", &e))?;
        let cpus = perf::possible_cpu_count().unwrap_or(1);
        let types = types(&info)?;
        Ok(Self { map, elements: Elements { info, types, cpus } })
    }

    /// Shows each element. Returns how many had values, and the error that ended the walk before its end.
    fn walk(
        &self,
        show: &mut dyn FnMut(&[u8], Element<'_>) -> std::io::Result<()>,
    ) -> Result<(usize, Option<skep_kernel::Error>)> {
        if self.can_batch()
            && let Some(count) = self.walk_in_batches(show)?
        {
            return Ok((count, None));
        }
        let mut count = 0;
        let mut key: Option<Vec<u8>> = None;
        let mut next = vec![0; self.map.key_size()];
        let mut value = vec![0; self.map.value_len()];
        // A key that vanishes makes the kernel begin anew; a map that changes all the time must have an end, too.
        let most = (self.map.max_entries() as usize).saturating_mul(2).max(1 << 16);
        for _ in 0..most {
            match self.map.next_key_into(key.as_deref(), &mut next) {
                Ok(true) => {}
                Ok(false) => return Ok((count, None)),
                Err(error) => return Ok((count, Some(error))),
            }
            match self.map.lookup_into(&next, &mut value) {
                Ok(true) => {
                    show(&next, Element::Value(&value))?;
                    count += 1;
                }
                Ok(false) => {
                    let gone = skep_kernel::Error::call("bpf(BPF_MAP_LOOKUP_ELEM)", Errno::ENOENT);
                    show(&next, Element::Unreadable(&gone))?;
                }
                Err(error) => show(&next, Element::Unreadable(&error))?,
            }
            match &mut key {
                Some(key) => key.copy_from_slice(&next),
                None => key = Some(next.clone()),
            }
        }
        Ok((count, None))
    }

    /// Whether the kernel can read many elements of the type at once, in the order in which it lists keys.
    fn can_batch(&self) -> bool {
        const ARRAYS: &[MapType] = &[MapType::ARRAY, MapType::PERCPU_ARRAY];
        const HASHES: &[MapType] =
            &[MapType::HASH, MapType::LRU_HASH, MapType::PERCPU_HASH, MapType::LRU_PERCPU_HASH];
        let kind = self.map.kind();
        // For a few elements, single calls are as fast.
        const WORTH_IT: u32 = 64;
        (ARRAYS.contains(&kind) || HASHES.contains(&kind)) && self.map.max_entries() >= WORTH_IT
    }

    /// `None` if the kernel does not do it after all, before anything has been shown.
    fn walk_in_batches(
        &self,
        show: &mut dyn FnMut(&[u8], Element<'_>) -> std::io::Result<()>,
    ) -> Result<Option<usize>> {
        /// Bytes of a page, unless one element needs more.
        const PAGE: usize = 1 << 20;
        let each = self.map.key_size() + self.map.value_len();
        let fitting = (PAGE / each.max(1)).clamp(16, 1 << 16) as u32;
        let capacity = fitting.min(self.map.max_entries());
        let Ok(mut page) = BatchPage::new(&self.map, capacity) else { return Ok(None) };
        let mut total = 0;
        loop {
            let (count, more) = match self.map.lookup_batch(&mut page) {
                Ok(read) => read,
                Err(_) if total == 0 => return Ok(None),
                Err(error) => return Err(Error::kernel_status("batched lookup failed", &error)),
            };
            for (key, value) in page.entries(count) {
                show(key, Element::Value(value))?;
            }
            total += count;
            if !more {
                return Ok(Some(total));
            }
        }
    }

    /// Says that the values of a map of sockets cannot be read.
    fn warn(&self, session: &mut Session<'_>) -> Result<()> {
        if self.map.kind() == MapType::REUSEPORT_SOCKARRAY && self.elements.info.value_size != 8 {
            let kind = self.map.kind();
            session.note(&format!("Warning: cannot read values from {kind} map with value_size != 8"))?;
        }
        Ok(())
    }

    fn plain(&self, session: &mut Session<'_>) -> Result<u8> {
        self.warn(session)?;
        let out = &mut *session.out;
        let (count, error) = self.walk(&mut |key, element| match element {
            Element::Value(value) => self.elements.plain(out, key, value),
            Element::Unreadable(error) => match self.why_unreadable(error) {
                Some(why) => self.elements.plain_unreadable(out, key, &why),
                None => Ok(()),
            },
        })?;
        writeln!(session.out, "Found {count} element{}", if count == 1 { "" } else { "s" })?;
        Ok(error.map_or(0, |error| status_of(&error)))
    }

    /// What stands in the place of a value; `None`: the key is left out.
    fn why_unreadable(&self, error: &skep_kernel::Error) -> Option<String> {
        match error.errno() {
            Some(Errno::ENOENT) if self.elements.is_map_or_prog_array() => None,
            Some(Errno::ENOENT) => Some("<no entry>".to_owned()),
            Some(Errno::ENOSPC) if self.map.kind() == MapType::REUSEPORT_SOCKARRAY => {
                Some("<cannot read>".to_owned())
            }
            _ => Some(reason(error)),
        }
    }

    fn json(&self, json: &mut Writer<'_>, look: Look) -> Result<u8> {
        json.begin_array()?;
        let (_, error) = self.walk(&mut |key, element| match (element, &self.elements.types) {
            (Element::Value(value), Some(types)) if look == Look::Plain => {
                self.elements.typed(json, types, key, value, look)
            }
            (Element::Value(value), _) => self.elements.json(json, key, value),
            (Element::Unreadable(error), _) => {
                if error.errno() == Some(Errno::ENOENT) && self.elements.is_map_or_prog_array() {
                    return Ok(());
                }
                json.begin_object()?;
                json.name("key")?;
                json.hex_bytes(key)?;
                json.name("value")?;
                json.value(&serde_json::json!({ "error": reason(error) }))?;
                json.end_object()
            }
        })?;
        json.end_array()?;
        Ok(error.map_or(0, |error| status_of(&error)))
    }
}

/// The types of a map's keys and values; `None` if it was made without.
fn types(info: &MapInfo) -> Result<Option<Types>> {
    let gone = || Error::Status("failed to get btf".to_owned(), FAILED);
    if info.btf_vmlinux_value_type_id != 0 {
        let btf = collect::kernel_btf().ok_or_else(gone)?;
        let value = TypeId(info.btf_vmlinux_value_type_id);
        return Ok(Some(Types { btf, key: None, value }));
    }
    if info.btf_value_type_id == 0 {
        return Ok(None);
    }
    let btf: Arc<Btf> = Arc::new(collect::btf(info.btf_id).ok_or_else(gone)?);
    let key = (info.btf_key_type_id != 0).then_some(TypeId(info.btf_key_type_id));
    Ok(Some(Types { btf, key, value: TypeId(info.btf_value_type_id) }))
}
