//! Tools that show what they gathered again and again: `[interval [count]]`, and the end of their scripts.

use std::fmt::Write as _;

/// How often a tool shows what it gathered.
#[derive(clap::Args, Debug)]
pub struct Rounds {
    /// Seconds between outputs
    #[arg(value_name = "INTERVAL", value_parser = clap::value_parser!(u64).range(1..=FOREVER))]
    pub interval: Option<u64>,
    /// How many outputs
    #[arg(value_name = "COUNT", default_value_t = FOREVER, hide_default_value = true,
          value_parser = clap::value_parser!(u64).range(1..=FOREVER))]
    pub count: u64,
}

/// What stands for no end, in seconds or outputs.
pub const FOREVER: u64 = 99_999_999;

impl Rounds {
    /// The positional parameters of [`script`].
    pub fn params(&self) -> Vec<String> {
        self.params_or(FOREVER)
    }

    /// The same for tools that show something every so many seconds unless they are told otherwise.
    pub fn params_or(&self, interval: u64) -> Vec<String> {
        vec![self.interval.unwrap_or(interval).to_string(), self.count.to_string()]
    }
}

/// A script that gathers, with what shows it: every `$1` seconds, `$2` times, and what is left at the end, all of
/// `maps` are printed, then a record that closes the round. What is printed begins anew each time; `kept` is for the
/// script alone, and is only cleared at the end.
pub fn script(gather: &str, maps: &[&str], kept: &[&str]) -> String {
    let each = |indent: &str, action: &str, maps: &[&str]| {
        maps.iter().fold(String::new(), |mut text, map| {
            // Writing to a String cannot fail.
            let _ = writeln!(text, "{indent}{action}(@{map});");
            text
        })
    };
    format!(
        "{gather}\ninterval:s:$1\n{{\n{}{}\tprint((round = 1));\n\t@rounds++;\n\tif (@rounds >= $2) \
         {{\n\t\texit();\n\t}}\n}}\n\nEND\n{{\n\tif (@rounds < $2) {{\n{}\t\tprint((round = 1));\n\t}}\n{}}}\n",
        each("\t", "print", maps),
        each("\t", "clear", maps),
        each("\t\t", "print", maps),
        each("\t", "clear", kept),
    )
}

#[cfg(test)]
mod tests {
    #[test]
    fn the_end_of_a_script_shows_what_is_left() {
        let script = super::script("BEGIN { @a = count(); @s = 1; }", &["a"], &["s"]);
        let expected = "\
BEGIN { @a = count(); @s = 1; }
interval:s:$1
{
	print(@a);
	clear(@a);
	print((round = 1));
	@rounds++;
	if (@rounds >= $2) {
		exit();
	}
}

END
{
	if (@rounds < $2) {
		print(@a);
		print((round = 1));
	}
	clear(@s);
}
";
        assert_eq!(script, expected);
    }
}
