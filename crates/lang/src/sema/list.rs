//! `-l`: the probes there are.

use super::pattern;
use super::providers::{self, PROVIDERS};
use crate::world::{World, WorldError};

/// A probe of a listing.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Listed {
    /// As an attach point spells it: `tracepoint:sched:sched_switch`.
    pub name: String,
    /// The fields of its record, type and name, when details were asked for.
    pub fields: Vec<String>,
}

impl Listed {
    pub(crate) fn name(name: String) -> Listed {
        Listed { name, fields: Vec::new() }
    }

    /// Adds the lines that are printed.
    pub fn write(&self, out: &mut String) {
        out.push_str(&self.name);
        out.push('\n');
        for field in &self.fields {
            out.push_str("    ");
            out.push_str(field);
            out.push('\n');
        }
    }
}

/// All probes that `search` describes: attach points with wildcards, separated by commas. Without
/// a `:` it is a name of any kind of probe. `detailed` adds the fields.
///
/// Sorted per provider. Timers and returns of functions are only listed when they are asked for by name. A search that
/// matches nothing gives an empty list; the error is why the kernel could not be asked.
pub fn list(search: &str, world: &dyn World, detailed: bool) -> Result<Vec<Listed>, WorldError> {
    let mut all = Vec::new();
    for one in searches(search) {
        let widened = match one {
            "" | "*" => "*:*".to_owned(),
            _ if one.contains(':') => one.to_owned(),
            _ => format!("*:{one}"),
        };
        let mut parts = split(&widened, ':').into_iter().map(unquoted);
        let provider = parts.next().unwrap_or("");
        let parts: Vec<&str> = parts.collect();
        let chosen: Vec<_> = if pattern::has_wildcard(provider) {
            let lower = provider.to_ascii_lowercase();
            let mut chosen: Vec<_> = PROVIDERS
                .iter()
                .copied()
                .filter(|provider| provider.in_overviews && pattern::matches(&lower, provider.name))
                .collect();
            chosen.sort_unstable_by_key(|provider| provider.name);
            chosen
        } else {
            providers::by_name(provider).into_iter().collect()
        };
        let mut untold = None;
        let before = all.len();
        for provider in chosen {
            match (provider.list)(world, detailed, &parts) {
                Ok(mut found) => {
                    found.sort();
                    all.extend(found);
                }
                // What the kernel does not tell of one kind of probe, it may tell of another.
                Err(error) => untold = Some(error),
            }
        }
        if let Some(error) = untold.filter(|_| all.len() == before) {
            return Err(error);
        }
    }
    Ok(all)
}

/// The searches between commas; a comma within quotes separates nothing.
pub fn searches(search: &str) -> impl Iterator<Item = &str> {
    split(search, ',').into_iter().map(str::trim)
}

/// The parts between separators; those within quotes are none.
fn split(search: &str, separator: char) -> Vec<&str> {
    let mut quoted = false;
    let separates = |c: char| {
        quoted ^= c == '"';
        c == separator && !quoted
    };
    search.split(separates).collect()
}

fn unquoted(part: &str) -> &str {
    part.strip_prefix('"').and_then(|rest| rest.strip_suffix('"')).unwrap_or(part)
}

#[cfg(test)]
mod tests {
    use super::split;

    #[test]
    fn colons_in_quotes_separate_nothing() {
        assert_eq!(split("uprobe:./a:cpp:\"A::f(int)\"", ':'), ["uprobe", "./a", "cpp", "\"A::f(int)\""]);
        assert_eq!(split("t:a::", ':'), ["t", "a", "", ""]);
    }
}
