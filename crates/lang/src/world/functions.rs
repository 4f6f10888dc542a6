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
        all.sort();
        all
    }

    /// Puts them in order. Most names differ in their first bytes, so those are compared as one number.
    fn sort(&mut self) {
        let Functions { text, modules, entries, .. } = self;
        let mut order: Vec<usize> = (0..modules.len()).collect();
        order.sort_unstable_by_key(|&index| modules.get(index));
        let mut ranks = vec![0; modules.len()];
        for (rank, index) in order.into_iter().enumerate() {
            if let Some(known) = ranks.get_mut(index) {
                *known = rank;
            }
        }
        let keyed = entries.drain(..).map(|entry| {
            let name = name(text, &entry);
            (ranks.get(entry.module as usize).copied().unwrap_or(0), beginning(name), name, entry)
        });
        let mut keyed: Vec<_> = keyed.collect();
        keyed.sort_unstable_by_key(|&(rank, beginning, name, _)| (rank, beginning, name));
        keyed.dedup_by_key(|&mut (rank, beginning, name, _)| (rank, beginning, name));
        entries.extend(keyed.into_iter().map(|(.., entry)| entry));
    }

    /// The same without functions of these names, whatever their module.
    #[must_use]
    pub fn without<'a>(mut self, names: impl IntoIterator<Item = &'a str>) -> Functions {
        let mut gone: Vec<usize> = Vec::new();
        for name in names {
            gone.extend(self.modules.iter().filter_map(|module| self.find(module, name)));
        }
        gone.sort_unstable();
        let mut index = 0;
        self.entries.retain(|_| {
            index += 1;
            gone.binary_search(&(index - 1)).is_err()
        });
        self
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
        match module {
            Some(module) => self.find(module, function).is_some(),
            None => self.modules.iter().any(|module| self.find(module, function).is_some()),
        }
    }

    fn find(&self, module: &str, function: &str) -> Option<usize> {
        let key = |entry: &Entry| (of(&self.modules, entry), name(&self.text, entry));
        self.entries.binary_search_by(|entry| key(entry).cmp(&(module, function))).ok()
    }
}

fn of<'a>(modules: &'a [String], entry: &Entry) -> &'a str {
    modules.get(entry.module as usize).map_or("", String::as_str)
}

fn name<'a>(text: &'a str, entry: &Entry) -> &'a str {
    let start = entry.start as usize;
    text.get(start..start + entry.len as usize).unwrap_or("")
}

/// The first eight bytes of a name as a number that orders names as their texts do, as far as it goes.
fn beginning(name: &str) -> u64 {
    let mut bytes = [0; 8];
    for (to, from) in bytes.iter_mut().zip(name.bytes()) {
        *to = from;
    }
    u64::from_be_bytes(bytes)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

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

    #[test]
    fn some_are_left_out_whatever_their_module() {
        let functions = Functions::collect([(KERNEL, "a"), ("ext4", "a"), (KERNEL, "b"), ("ext4", "c")]);
        let left = functions.without(["a", "c", "d"]);
        assert_eq!(left.iter().collect::<Vec<_>>(), [(KERNEL, "b")]);
    }

    proptest! {
        #[test]
        fn their_order_is_that_of_the_texts(all in prop::collection::vec(("[a-c]{1,2}", "[a-c_\0]{0,10}"), 0..30)) {
            let functions = Functions::collect(all.iter().map(|(module, name)| (module.as_str(), name.as_str())));
            let mut expected: Vec<_> = all.iter().map(|(m, n)| (m.as_str(), n.as_str())).collect();
            expected.sort_unstable();
            expected.dedup();
            prop_assert_eq!(functions.iter().collect::<Vec<_>>(), expected);
        }
    }
}
