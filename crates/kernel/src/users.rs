//! /etc/passwd: what users are called.

use std::path::Path;

use crate::{Error, Result};

/// Ids and names of the users that this machine knows, in the order of the file.
pub fn users() -> Result<Vec<(u32, String)>> {
    let path = Path::new("/etc/passwd");
    let text = std::fs::read(path).map_err(|error| Error::file(path, error))?;
    Ok(parse(&String::from_utf8_lossy(&text)))
}

/// Lines of `name:password:id:...`; others are passed over.
fn parse(text: &str) -> Vec<(u32, String)> {
    text.lines()
        .filter_map(|line| {
            let mut fields = line.split(':');
            let name = fields.next()?;
            let id = fields.nth(1)?.parse().ok()?;
            Some((id, name.to_owned()))
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::parse;

    #[test]
    fn lines_that_are_no_users_are_passed_over() {
        let text =
            "root:x:0:0:root:/root:/bin/sh\n# no user\nbad:x:y:0::\nme:x:1000:1000::/home/me:/bin/sh\n";
        assert_eq!(parse(text), [(0, "root".to_owned()), (1000, "me".to_owned())]);
    }
}
