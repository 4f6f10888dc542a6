//! Functions of the script.

use skep_ui::Span;

use super::{Block, Local, LocalId};
use crate::ty::Ty;

/// Index into [`super::Probe::functions`].
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, PartialOrd, Ord)]
pub struct FunctionId(pub u32);

/// A function of the script, as it is for one program: what it may ask of the context depends on the caller.
#[derive(Clone, Debug)]
pub struct Function {
    /// As the script has it.
    pub name: String,
    /// The variables that begin with the arguments, in order.
    pub params: Vec<LocalId>,
    /// Type of the result; [`Ty::VOID`] if there is none.
    pub ret: Ty,
    /// Its variables, parameters included.
    pub locals: Vec<Local>,
    /// What it does. Each way through it ends in a `Return` with a value, unless there is no result.
    pub body: Block,
    /// From the keyword through the return type.
    pub span: Span,
}
