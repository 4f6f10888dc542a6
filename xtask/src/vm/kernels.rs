//! The kernels that guests boot, and where a fetched one lies.

use std::path::{Path, PathBuf};

use crate::error::{Context, Result, message};
use crate::project;

/// A kernel series as Debian packages it. The cloud flavour is a third of the generic one's size and has
/// what a virtual machine needs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Kernel {
    /// The series: the first two numbers of the version.
    pub series: &'static str,
    /// Debian's suites that carry it, the one with the newest first.
    pub suites: &'static [&'static str],
    /// How it is packaged.
    pub packaging: Packaging,
}

/// How a kernel is cut into packages.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Packaging {
    /// `linux-image-*` holds everything.
    Whole,
    /// `linux-binary-*`, `linux-modules-*` and `linux-base-*`, since 6.19.
    Split,
}

/// Every series we know: one row each.
pub const KERNELS: &[Kernel] = &[
    Kernel { series: "5.10", suites: &["bullseye-security", "bullseye"], packaging: Packaging::Whole },
    Kernel { series: "6.1", suites: &["bookworm-security", "bookworm"], packaging: Packaging::Whole },
    Kernel { series: "6.12", suites: &["trixie-security", "trixie"], packaging: Packaging::Whole },
    Kernel { series: "6.18", suites: &["trixie-backports"], packaging: Packaging::Whole },
    Kernel { series: "7.3", suites: &["trixie-backports"], packaging: Packaging::Split },
];

/// The series that tests run on unless told otherwise: an old one and a new one.
pub const USUAL: &[&str] = &["5.10", "6.12"];

impl Kernel {
    /// The kernel of a series.
    pub fn named(series: &str) -> Result<Kernel> {
        KERNELS.iter().find(|kernel| kernel.series == series).copied().ok_or_else(|| {
            let known: Vec<&str> = KERNELS.iter().map(|kernel| kernel.series).collect();
            message(format!("no kernel {series}; there are {}", known.join(", ")))
        })
    }

    /// Whether a package of this name holds the kernel itself.
    pub fn is_package(&self, name: &str) -> bool {
        let stem = match self.packaging {
            Packaging::Whole => "linux-image-",
            Packaging::Split => "linux-binary-",
        };
        name.strip_prefix(stem)
            .and_then(|rest| rest.strip_prefix(self.series))
            .is_some_and(|rest| rest.starts_with('.') && rest.ends_with("-cloud-amd64"))
    }

    /// The packages that belong to the one of this name.
    pub fn companions(&self, name: &str) -> Vec<String> {
        match self.packaging {
            Packaging::Whole => Vec::new(),
            Packaging::Split => ["-modules-", "-base-"].map(|part| name.replacen("-binary-", part, 1)).into(),
        }
    }

    /// The directory that holds it once fetched.
    pub fn directory(&self) -> PathBuf {
        cache().join(self.series)
    }

    /// The fetched kernel, if it is there.
    pub fn cached(&self) -> Option<Cached> {
        let directory = self.directory();
        let release = std::fs::read_to_string(directory.join("release")).ok()?.trim().to_owned();
        directory.join("ok").exists().then_some(Cached { series: self.series, directory, release })
    }
}

/// Where all fetched kernels lie.
pub fn cache() -> PathBuf {
    project::target().join("vm")
}

/// A fetched kernel. Its directory holds `vmlinux` (or `vmlinuz`), `config`, the module tree, and `ok`.
#[derive(Debug, Clone)]
pub struct Cached {
    /// The series.
    pub series: &'static str,
    /// The directory.
    pub directory: PathBuf,
    /// What `uname -r` says in it.
    pub release: String,
}

impl Cached {
    /// The file QEMU boots: the plain ELF image if it could be unpacked.
    pub fn image(&self) -> PathBuf {
        let plain = self.directory.join("vmlinux");
        if plain.exists() { plain } else { self.directory.join("vmlinuz") }
    }

    /// The root that `modprobe -d` takes.
    pub fn module_root(&self) -> PathBuf {
        self.directory.join("modules")
    }

    /// The modules themselves, to be mounted in the guest.
    pub fn modules(&self) -> Result<PathBuf> {
        let place = self.module_root().join("lib/modules").join(&self.release);
        Path::canonicalize(&place).context(|| format!("find {}", place.display()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn packages_are_told_by_name() {
        let old = Kernel::named("6.1").unwrap();
        assert!(old.is_package("linux-image-6.1.0-37-cloud-amd64"));
        assert!(!old.is_package("linux-image-6.12.0-1-cloud-amd64"));
        assert!(!old.is_package("linux-image-6.1.0-37-cloud-amd64-dbg"));
        let new = Kernel::named("7.3").unwrap();
        assert!(new.is_package("linux-binary-7.3.4+deb13-cloud-amd64"));
        assert_eq!(
            new.companions("linux-binary-7.3.4-cloud-amd64"),
            ["linux-modules-7.3.4-cloud-amd64", "linux-base-7.3.4-cloud-amd64"]
        );
    }

    #[test]
    fn the_usual_ones_are_known() {
        assert!(USUAL.iter().all(|series| Kernel::named(series).is_ok()));
    }
}
