//! What BCC's general tools are pointed at: `vfs_read`, `c:malloc`, `r::do_sys_open`, `t:sched:sched_switch`,
//! `u:python3:gc__start`.

use regex::Regex;
use skep_trace::{KernelWorld, World};

/// A probe or a pattern of probes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Spec {
    /// A kernel function.
    Kernel {
        /// Its name or a pattern.
        function: String,
        /// When it returns.
        returns: bool,
    },
    /// A function of a program or library.
    User {
        /// A path, a name in $PATH, or a library's name without `lib` and what follows the dot.
        library: String,
        /// Its name or a pattern.
        function: String,
        /// When it returns.
        returns: bool,
    },
    /// A tracepoint.
    Tracepoint {
        /// `sched`
        category: String,
        /// `sched_switch`
        event: String,
    },
    /// A probe that a program defines.
    Usdt {
        /// As with [`Spec::User`].
        library: String,
        /// With its provider if that is told: `python:gc__start`.
        probe: String,
    },
}

impl Spec {
    /// Reads one. A path may hold colons itself: what stands between the first and the last part belongs to it.
    ///
    /// # Errors
    ///
    /// A sentence about what is wrong.
    pub fn parse(text: &str) -> Result<Spec, String> {
        let parts: Vec<&str> = text.split(':').collect();
        let named = |name: &str, what: &str| {
            if name.is_empty() { Err(format!("the {what} is missing")) } else { Ok(name.to_owned()) }
        };
        let (kind, library, last) = match parts.as_slice() {
            [function] => ("p", String::new(), *function),
            [library, function] => ("p", (*library).to_owned(), *function),
            [kind, library @ .., last] => (*kind, library.join(":"), *last),
            [] => return Err("nothing to trace".into()),
        };
        let returns = kind == "r";
        match kind {
            "p" | "r" | "" if library.is_empty() => {
                Ok(Spec::Kernel { function: named(last, "function")?, returns })
            }
            "p" | "r" | "" => Ok(Spec::User { library, function: named(last, "function")?, returns }),
            "t" => {
                Ok(Spec::Tracepoint { category: named(&library, "category")?, event: named(last, "event")? })
            }
            "u" => match library.split_once(':') {
                Some((library, provider)) => {
                    Ok(Spec::Usdt { library: library.to_owned(), probe: format!("{provider}:{last}") })
                }
                None => Ok(Spec::Usdt { library: named(&library, "library")?, probe: named(last, "probe")? }),
            },
            other => Err(format!("'{other}' is no kind of probe: p, r, t and u are")),
        }
    }

    /// Whether it is about returns.
    pub fn is_return(&self) -> bool {
        matches!(self, Spec::Kernel { returns: true, .. } | Spec::User { returns: true, .. })
    }

    /// As a script spells it.
    pub fn attach_point(&self) -> String {
        match self {
            Spec::Kernel { function, returns: false } => format!("kprobe:{function}"),
            Spec::Kernel { function, returns: true } => format!("kretprobe:{function}"),
            Spec::User { library, function, returns: false } => {
                format!("uprobe:{}:{function}", file(library))
            }
            Spec::User { library, function, returns: true } => {
                format!("uretprobe:{}:{function}", file(library))
            }
            Spec::Tracepoint { category, event } => format!("tracepoint:{category}:{event}"),
            Spec::Usdt { library, probe } => format!("usdt:{}:{probe}", file(library)),
        }
    }

    /// The attach points of all that its last part matches as a regular expression.
    ///
    /// # Errors
    ///
    /// A sentence about what is wrong: the expression, or that nothing matches.
    pub fn matching(&self, world: &KernelWorld) -> Result<Vec<String>, String> {
        let expression = |text: &str| Regex::new(text).map_err(|error| error.to_string());
        let told = |error: skep_trace::WorldError| error.to_string();
        let mut points: Vec<String> = match self {
            Spec::Kernel { function, .. } => {
                let wanted = expression(function)?;
                let all = world.functions().map_err(told)?;
                let names = all.iter().map(|(_, name)| name).filter(|name| wanted.is_match(name));
                names.map(|name| self.named(name).attach_point()).collect()
            }
            Spec::Tracepoint { category, event } => {
                let wanted = expression(event)?;
                let all = world.tracepoints().map_err(told)?;
                let names = all.iter().filter(|(known, name)| known == category && wanted.is_match(name));
                names.map(|(_, name)| self.named(name).attach_point()).collect()
            }
            Spec::User { library, function, .. } => {
                let wanted = expression(function)?;
                let files = world.user_space().files(&file(library)).map_err(told)?;
                let mut points = Vec::new();
                for path in files {
                    let all = world.user_space().functions(&path).map_err(told)?;
                    let names =
                        all.iter().map(|function| &function.name).filter(|name| wanted.is_match(name));
                    points.extend(names.map(|name| self.named(name).attach_point()));
                }
                points
            }
            Spec::Usdt { library, probe } => {
                let wanted = expression(probe)?;
                let files = world.user_space().files(&file(library)).map_err(told)?;
                let mut points = Vec::new();
                for path in files {
                    let all = world.user_space().static_probes(&path).map_err(told)?;
                    let names = all.iter().filter(|probe| wanted.is_match(&probe.name));
                    points.extend(names.map(|probe| self.named(&probe.name).attach_point()));
                }
                points
            }
        };
        points.sort_unstable();
        points.dedup();
        if points.is_empty() { Err("nothing matches".into()) } else { Ok(points) }
    }

    /// The same with another name as its last part.
    fn named(&self, name: &str) -> Spec {
        let mut spec = self.clone();
        match &mut spec {
            Spec::Kernel { function, .. } | Spec::User { function, .. } => function,
            Spec::Tracepoint { event, .. } => event,
            Spec::Usdt { probe, .. } => probe,
        }
        .replace_range(.., name);
        spec
    }

    /// What a probe that it matched is called in a table: without its kind, and a function without its file.
    pub fn short<'a>(&self, probe: &'a str) -> &'a str {
        match self {
            Spec::Tracepoint { .. } => probe.split_once(':').map_or(probe, |(_, rest)| rest),
            _ => probe.rsplit(':').next().unwrap_or(probe),
        }
    }
}

/// A library's name as scripts spell it: `c` is what a linker's `-lc` names.
fn file(library: &str) -> String {
    if library.contains('/') || library.starts_with("lib") {
        library.to_owned()
    } else {
        library_or_program(library)
    }
}

fn library_or_program(name: &str) -> String {
    // A program in $PATH is found by its name alone, a library by its name with `lib` in front.
    let in_path = std::env::var_os("PATH")
        .is_some_and(|path| std::env::split_paths(&path).any(|directory| directory.join(name).is_file()));
    if in_path { name.to_owned() } else { format!("lib{name}") }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_spelling_is_read() {
        let spelled = |text: &str| Spec::parse(text).map(|spec| spec.attach_point());
        assert_eq!(spelled("vfs_*").as_deref(), Ok("kprobe:vfs_*"));
        assert_eq!(spelled("p::vfs_read").as_deref(), Ok("kprobe:vfs_read"));
        assert_eq!(spelled("r::vfs_read").as_deref(), Ok("kretprobe:vfs_read"));
        assert_eq!(spelled("/bin/a:main").as_deref(), Ok("uprobe:/bin/a:main"));
        assert_eq!(spelled("p:/bin/a:b:main").as_deref(), Ok("uprobe:/bin/a:b:main"));
        assert_eq!(spelled("libc:malloc").as_deref(), Ok("uprobe:libc:malloc"));
        assert_eq!(spelled("t:sched:sched_*").as_deref(), Ok("tracepoint:sched:sched_*"));
        assert_eq!(spelled("u:/bin/a:gc").as_deref(), Ok("usdt:/bin/a:gc"));
        assert_eq!(spelled("u:/bin/a:python:gc").as_deref(), Ok("usdt:/bin/a:python:gc"));
        assert!(spelled("x:a:b").is_err());
        assert!(spelled("t::b").is_err());
        assert!(spelled("p:a:").is_err());
    }

    #[test]
    fn tables_show_names_without_their_kind() {
        let short = |spec: &str, probe: &str| Spec::parse(spec).unwrap().short(probe).to_owned();
        assert_eq!(short("vfs_*", "kprobe:vfs_read"), "vfs_read");
        assert_eq!(short("t:a:*", "tracepoint:a:b"), "a:b");
    }
}
