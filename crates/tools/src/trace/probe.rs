//! A probe as BCC's `trace` takes it: `SPEC[(SIGNATURE)] [(PREDICATE)] ["FORMAT", EXPRESSION, ...]`.

use std::fmt::Write as _;

use super::expression::{self, Names, Parameter};
use super::format::Message;
use crate::spec::Spec;

/// One probe.
#[derive(Clone, Debug)]
pub struct Probe {
    spec: Spec,
    params: Vec<Parameter>,
    predicate: Option<String>,
    /// What is printed when it is hit.
    pub message: Message,
    expressions: Vec<String>,
}

impl Probe {
    /// Reads one.
    ///
    /// # Errors
    ///
    /// A sentence about what is wrong.
    pub fn parse(text: &str) -> Result<Probe, String> {
        let text = text.trim();
        let end = text.find([' ', '\t', '(', '"']).unwrap_or(text.len());
        let (spec, mut rest) = text.split_at(end);
        let spec = Spec::parse(spec)?;
        let mut params = Vec::new();
        if rest.starts_with('(') {
            let (signature, after) = parenthesised(rest)?;
            if matches!(spec, Spec::Tracepoint { .. } | Spec::Usdt { .. }) {
                return Err(
                    "tracepoints and USDT probes take no signature: put a space before a filter".into()
                );
            }
            for part in expression::at_commas(signature).iter().filter(|part| !part.trim().is_empty()) {
                params.push(expression::parameter(part)?);
            }
            rest = after;
        }
        rest = rest.trim_start();
        let mut predicate = None;
        if rest.starts_with('(') {
            let (inner, after) = parenthesised(rest)?;
            predicate = Some(inner.to_owned());
            rest = after.trim_start();
        }
        let (mut message, mut expressions) = (Message::default(), Vec::new());
        if !rest.is_empty() {
            let parts = expression::at_commas(rest);
            let [format, rest @ ..] = parts.as_slice() else { return Err("a message is needed".into()) };
            let format = format.trim();
            let Some(inner) = format.strip_prefix('"').and_then(|format| format.strip_suffix('"')) else {
                return Err(format!("a message in quotes is needed instead of '{format}'"));
            };
            message = Message::parse(inner)?;
            expressions = rest.iter().map(|part| part.trim().to_owned()).collect();
            let wanted = message.conversions().count();
            if expressions.len() != wanted {
                let given = expressions.len();
                return Err(format!("the message has {wanted} conversions, but {given} values follow"));
            }
        }
        Ok(Probe { spec, params, predicate, message, expressions })
    }

    /// What tables call it.
    pub fn function(&self) -> &str {
        match &self.spec {
            Spec::Kernel { function, .. } | Spec::User { function, .. } => function,
            Spec::Tracepoint { event, .. } => event,
            Spec::Usdt { probe, .. } => probe,
        }
    }

    /// How many values it sends.
    pub fn values(&self) -> usize {
        self.expressions.len()
    }

    /// Its clause of the script. It sends its `number`, who hit it, the `extra` fields and its values, `a0` and so on.
    ///
    /// # Errors
    ///
    /// A sentence about an expression that is wrong.
    pub fn clause(&self, number: usize, extra: &str) -> Result<String, String> {
        let names: Vec<String> = self.params.iter().map(|param| param.name.clone()).collect();
        let argument = |n: u32| self.argument(n);
        let names = Names { params: &names, argument: &argument };
        let mut body = String::new();
        for (at, param) in (1..).zip(&self.params) {
            let value = format!("({}){}", param.ty, self.argument(at));
            let value = if param.user { format!("uptr({value})") } else { value };
            // Writing to a String cannot fail.
            let _ = writeln!(body, "\t${} = {value};", param.name);
        }
        let mut fields = String::new();
        for (at, (expression, conversion)) in
            self.expressions.iter().zip(self.message.conversions()).enumerate()
        {
            let value = conversion.value_of(&expression::translate(expression, &names)?);
            let _ = write!(fields, ", a{at} = {value}");
        }
        let record = format!("print((probe = {number}, who = WHO{extra}{fields}));");
        let action = match &self.predicate {
            Some(predicate) => {
                let condition = expression::translate(predicate, &names)?;
                format!("\tif ({condition}) {{\n\t\t{record}\n\t}}\n")
            }
            None => format!("\t{record}\n"),
        };
        Ok(format!("{}\n/ WANTED /\n{{\n{body}{action}}}\n", self.spec.attach_point()))
    }

    /// How the n-th argument is read. System calls of x86-64 get theirs in the registers of the one who calls.
    fn argument(&self, n: u32) -> String {
        const REGISTERS: [&str; 6] = ["di", "si", "dx", "r10", "r8", "r9"];
        let index = n.saturating_sub(1);
        match &self.spec {
            Spec::Kernel { function, .. } if function.starts_with("__x64_sys_") => {
                let register = REGISTERS.get(index as usize).unwrap_or(&"r9");
                format!("((struct pt_regs *)arg0)->{register}")
            }
            _ => format!("arg{index}"),
        }
    }
}

/// What stands in the parentheses at the beginning, and what follows them.
fn parenthesised(text: &str) -> Result<(&str, &str), String> {
    let end = expression::balanced(text).ok_or_else(|| format!("'{text}' has no closing parenthesis"))?;
    let inner = text.get(1..end - 1).unwrap_or_default();
    Ok((inner, text.get(end..).unwrap_or_default()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn clause(text: &str) -> String {
        Probe::parse(text).and_then(|probe| probe.clause(0, "")).unwrap_or_else(|error| error)
    }

    #[test]
    fn each_part_is_optional() {
        assert_eq!(
            clause("do_sys_openat2"),
            "kprobe:do_sys_openat2\n/ WANTED /\n{\n\tprint((probe = 0, who = WHO));\n}\n"
        );
        let whole = clause(
            r#"p::tcp_sendmsg(struct sock *sk, struct msghdr *msg, size_t size) (size > 100) "%d to %x", size, sk->__sk_common.skc_dport"#,
        );
        let expected = "kprobe:tcp_sendmsg\n/ WANTED /\n{\n\t$sk = (struct sock*)arg0;\n\
                        \t$msg = (struct msghdr*)arg1;\n\t$size = (size_t)arg2;\n\tif ($size>100) {\n\
                        \t\tprint((probe = 0, who = WHO, a0 = (uint64)($size), \
                        a1 = (uint64)($sk->__sk_common.skc_dport)));\n\t}\n}\n";
        assert_eq!(whole, expected);
        assert!(clause(r#"r::f (retval < 0) "%d", retval"#).contains("if (retval<0)"));
        assert!(clause(r#"c:open (arg2 == 42) "%s %d", arg1, arg2"#).contains("a0 = str(arg0)"));
        assert!(clause("f(int a, char __user *b)").contains("\t$b = uptr((int8*)arg1);\n"));
        assert!(clause("f+0x10").starts_with("kprobe:f+0x10\n"));
        assert!(clause("t:a:b (args->x > 1)").contains("if (args->x>1)"));
        assert!(
            clause(r#"__x64_sys_openat "%s", arg2@user"#).contains("str(uptr(((struct pt_regs *)arg0)->si))")
        );
    }

    #[test]
    fn what_is_wrong_is_told() {
        for wrong in
            ["", "f (arg1", "f \"%d\"", "f \"%d\", arg1, arg2", "f message", "t:a:b(int x)", "f(int)"]
        {
            assert!(Probe::parse(wrong).is_err(), "{wrong}");
        }
        assert!(clause("f (arg9)").contains("arg1 to arg6"));
    }
}
