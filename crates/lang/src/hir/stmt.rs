//! What programs do: statements.

use serde::{Deserialize, Serialize};
use skep_ui::Span;

use super::{Expr, Format, LocalId, MapId};

/// Statements in order.
#[derive(Clone, Debug, Default)]
pub struct Block {
    /// Run from first to last.
    pub stmts: Vec<Stmt>,
}

/// A statement.
#[derive(Clone, Debug)]
pub struct Stmt {
    /// What it does.
    pub kind: StmtKind,
    /// Its text in the script.
    pub span: Span,
}

/// What a statement does.
#[derive(Clone, Debug)]
pub enum StmtKind {
    /// Evaluate for the effects (`$x++`, `delete(@m, 1)`).
    Expr(Expr),
    /// `$x = e`; the types are equal.
    SetLocal {
        /// Which.
        local: LocalId,
        /// The new value.
        value: Expr,
    },
    /// `@x[k] = e`; the types are the map's.
    SetMap {
        /// Which.
        map: MapId,
        /// The key; `None` for a map without keys.
        key: Option<Expr>,
        /// The new value.
        value: Expr,
    },
    /// `@x[k] = count()` and its like.
    Aggregate {
        /// Which; its value type tells the aggregation.
        map: MapId,
        /// The key; `None` for a map without keys.
        key: Option<Expr>,
        /// The sample as a 64-bit integer; `None` for `count()`.
        sample: Option<Expr>,
    },
    /// `if (c) { } else { }`
    If {
        /// Of type `bool`.
        cond: Expr,
        /// When true.
        then: Block,
        /// When false.
        otherwise: Block,
    },
    /// A nested block.
    Block(Block),
    /// `for ($i : a..b) { }`: the ends are evaluated once.
    ForRange {
        /// The variable. What the body makes of it does not change how often the body runs.
        local: LocalId,
        /// The first value, of the variable's type.
        start: Expr,
        /// The first value that is not reached, of the variable's type.
        end: Expr,
        /// What is done for each.
        body: Block,
    },
    /// `for ($kv : @m) { }`
    ForMap {
        /// Which map; it has keys.
        map: MapId,
        /// The variable.
        local: LocalId,
        /// Its value, of its type, made of [`ExprKind::EntryKey`] and [`ExprKind::EntryValue`].
        entry: Expr,
        /// What is done for each.
        body: Block,
    },
    /// `while (c) { }`
    While {
        /// Of type `bool`.
        cond: Expr,
        /// What is done as long as it holds.
        body: Block,
    },
    /// `unroll (n) { }`
    Unroll {
        /// How often, from 1 to 100.
        count: u32,
        /// What is done.
        body: Block,
    },
    /// Statements that the compiler makes a function of its own, because a clause has so many. Only it makes these.
    Part(Block),
    /// Leave the loop.
    Break,
    /// On with the next round of the loop.
    Continue,
    /// Leave the probe or function. The value is a function's result; that of a probe, an integer, is what the kernel
    /// gets from programs that are run by hand.
    Return(Option<Expr>),
    /// `printf`, `errorf`, `warnf`: the values travel, user space formats.
    Printf {
        /// Where the text goes.
        to: PrintTo,
        /// The parsed format.
        format: Format,
        /// One value for each conversion that takes one, of the type that
        /// travels: integers are 64 bits wide here.
        args: Vec<Expr>,
    },
    /// `print(@m)`, `print(@m, top, div)`: user space reads the map.
    PrintMap {
        /// Which.
        map: MapId,
        /// How many entries at most; 0 for all.
        top: u32,
        /// What values are divided by; 0 or 1 for nothing.
        div: u32,
    },
    /// `print(e)`, also of one entry of an aggregating map when the expression is an [`ExprKind::AggEntry`].
    PrintValue(Expr),
    /// `clear(@m)`: user space removes all entries.
    Clear(MapId),
    /// `zero(@m)`: user space sets all values to zero.
    Zero(MapId),
    /// `time(fmt)`: user space prints the wall clock.
    Time {
        /// strftime format.
        format: String,
    },
    /// `exit(code)`: the end, after this run of this probe returned here.
    Exit {
        /// Exit status of the process.
        code: Expr,
    },
}

/// Where a formatted text goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum PrintTo {
    /// Standard output (or `-o`).
    Output,
    /// Standard error, with the place in the script: `errorf`.
    Error,
    /// Standard error, with the place in the script: `warnf`.
    Warning,
    /// Standard error, as a warning under the script's line: something in the script went wrong
    /// when it ran.
    Fault,
    /// The text is the path of a file whose beginning is printed: `cat`.
    Cat,
    /// The text is a command for the shell, whose output is printed: `system`.
    System,
    /// The values are the bytes of a packet, its whole length, and the time in nanoseconds since 1970; the text is the
    /// file that it goes to: `skboutput`.
    Packet,
    /// The value is an address that is not watched any longer: `unwatch`.
    Unwatch,
    /// Whoever reads the file that a walk is pinned to. It is the kernel that formats, so there are fewer formats: flags
    /// `-+ 0` and a width for integers and texts, a precision for texts, no octal numbers.
    Reader,
    /// The values are texts up to the first that cannot be read, and the format is what stands between them: `join`.
    Join,
}
