//! Names of the kernel's numbers: errors, signals, system calls.
//!
//! A number that is known when a script is compiled gets its name there; for others the compiler puts the whole
//! table among the script's constants, one row of equal size for each number.

mod errors;
mod signals;
mod syscalls;

/// A table of names.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Table {
    /// `strerror()`; negative numbers count as positive ones.
    Errors,
    /// `signal_name()`
    Signals,
    /// `syscall_name()`
    Syscalls,
}

impl Table {
    /// Capacity of the text type that names have in a script.
    pub const CAPACITY: u32 = 64;

    /// The name of a number.
    pub fn name(self, number: i64) -> &'static str {
        let number = match self {
            Table::Errors => number.checked_neg().filter(|positive| *positive > 0).unwrap_or(number),
            _ => number,
        };
        let known = u32::try_from(number).ok().and_then(|number| self.known(number));
        known.unwrap_or(self.unknown())
    }

    /// What a number without a name is called.
    pub fn unknown(self) -> &'static str {
        match self {
            Table::Errors => "Unknown error",
            Table::Signals => "N/A",
            Table::Syscalls => "Unknown syscall",
        }
    }

    /// One more than the largest number that has a name.
    pub fn rows(self) -> u32 {
        let len = match self {
            Table::Errors => errors::MEANINGS.len(),
            Table::Signals => signals::MEANINGS.len(),
            Table::Syscalls => {
                syscalls::RUNS.last().map_or(0, |(first, names)| *first as usize + names.len())
            }
        };
        u32::try_from(len).unwrap_or(u32::MAX)
    }

    /// Bytes of a row that holds any name of the table with its NUL, a multiple of 8.
    pub fn stride(self) -> u32 {
        let longest =
            (0..self.rows()).filter_map(|number| self.known(number)).map(str::len).max().unwrap_or(0);
        (longest.max(self.unknown().len()) as u32 + 1).next_multiple_of(8)
    }

    fn known(self, number: u32) -> Option<&'static str> {
        let index = number as usize;
        let name = match self {
            Table::Errors => errors::MEANINGS.get(index),
            Table::Signals => signals::MEANINGS.get(index),
            Table::Syscalls => syscalls::RUNS
                .iter()
                .find_map(|(first, names)| names.get(index.checked_sub(*first as usize)?)),
        };
        name.copied().filter(|name| !name.is_empty())
    }
}

#[cfg(test)]
mod tests {
    use super::Table;

    #[test]
    fn numbers_have_their_names() {
        assert_eq!(Table::Errors.name(2), "No such file or directory");
        assert_eq!(Table::Errors.name(-2), "No such file or directory");
        assert_eq!(Table::Errors.name(41), "Unknown error");
        assert_eq!(Table::Errors.name(i64::MIN), "Unknown error");
        assert_eq!(Table::Signals.name(9), "Killed");
        assert_eq!(Table::Signals.name(65), "N/A");
        assert_eq!(Table::Syscalls.name(0), "read");
        assert_eq!(Table::Syscalls.name(335), "uretprobe");
        assert_eq!(Table::Syscalls.name(400), "Unknown syscall");
        assert_eq!(Table::Syscalls.name(512), "rt_sigaction");
    }

    #[test]
    fn rows_hold_every_name() {
        for table in [Table::Errors, Table::Signals, Table::Syscalls] {
            assert!(table.rows() > 60 && table.stride() <= Table::CAPACITY, "{table:?}");
            for number in 0..table.rows() {
                assert!(table.name(number.into()).len() < table.stride() as usize);
            }
        }
    }
}
