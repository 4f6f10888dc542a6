//! The functions of a kernel by name: tens of thousands, so they share one text.

/// Functions that probes can be put on, each with its module, sorted by module and name.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Functions {
    text: String,
    modules: Vec<String>,
    entries: Vec<Entry>,
    typed: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Entry {
    start: u32,
    len: u32,
    module: u32,
}

/// What the kernel itself is called where modules are named.
pub const KERNEL: &str = "vmlinux";

impl Functions {
    /// Collects pairs of module ([`KERNEL`] for the kernel itself) and function, in any order and with
    /// repetitions: static functions of several files may share a name.
    pub fn collect<'a>(functions: impl IntoIterator<Item = (&'a str, &'a str)>) -> Functions {
        let mut all = Functions::default();
        for (module, name) in functions {
            let module = match all.modules.iter().rposition(|known| known == module) {
                Some(index) => index,
                None => {
                    all.modules.push(module.to_owned());
                    all.modules.len() - 1
                }
            };
            // A kernel's symbols are far below 4 GiB.
            let (start, len, module) = (all.text.len() as u32, name.len() as u32, module as u32);
            all.text.push_str(name);
            all.entries.push(Entry { start, len, module });
        }
        let Functions { text, modules, entries, .. } = &mut all;
        let key = |entry: &Entry| (of(modules, entry), name(text, entry));
        entries.sort_unstable_by(|a, b| key(a).cmp(&key(b)));
        entries.dedup_by(|a, b| key(a) == key(b));
        all
    }

    /// The same, of which it is known that each has a type.
    pub fn collect_typed<'a>(functions: impl IntoIterator<Item = (&'a str, &'a str)>) -> Functions {
        Functions { typed: true, ..Functions::collect(functions) }
    }

    /// Whether each is known to have a type, so that nobody needs to look.
    pub fn are_typed(&self) -> bool {
        self.typed
    }

    /// Module and name of each.
    pub fn iter(&self) -> impl ExactSizeIterator<Item = (&str, &str)> {
        self.entries.iter().map(|entry| (of(&self.modules, entry), name(&self.text, entry)))
    }

    /// Whether there is such a function, in that module or in any.
    pub fn contains(&self, module: Option<&str>, function: &str) -> bool {
        let in_module = |module: &str| {
            let key = |entry: &Entry| (of(&self.modules, entry), name(&self.text, entry));
            self.entries.binary_search_by(|entry| key(entry).cmp(&(module, function))).is_ok()
        };
        match module {
            Some(module) => in_module(module),
            None => self.modules.iter().any(|module| in_module(module)),
        }
    }
}

fn of<'a>(modules: &'a [String], entry: &Entry) -> &'a str {
    modules.get(entry.module as usize).map_or("", String::as_str)
}

fn name<'a>(text: &'a str, entry: &Entry) -> &'a str {
    let start = entry.start as usize;
    text.get(start..start + entry.len as usize).unwrap_or("")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn they_are_sorted_and_there_once() {
        let functions =
            Functions::collect([(KERNEL, "vfs_read"), ("ext4", "init"), (KERNEL, "init"), (KERNEL, "init")]);
        let all: Vec<_> = functions.iter().collect();
        assert_eq!(all, [("ext4", "init"), (KERNEL, "init"), (KERNEL, "vfs_read")]);
        assert!(functions.contains(None, "vfs_read") && functions.contains(Some("ext4"), "init"));
        assert!(!functions.contains(Some("ext4"), "vfs_read") && !functions.contains(None, "vfs"));
    }
}
