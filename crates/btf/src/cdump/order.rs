//! Which types must be defined before a type can be.
//!
//! A reference is strong where the referred type is embedded and weak where a pointer leads to it: a struct or
//! union behind a pointer need not be defined, but a typedef must be before it is used in any way.

use super::{CDump, Progress};
use crate::error::Error;
use crate::format::TypeId;
use crate::types::Type;

impl CDump<'_> {
    /// Puts into the queue what must be defined for `id`, and `id` itself if it has a definition.
    ///
    /// True if something that has been or will be defined is strongly needed, so that a typedef may follow it.
    pub(super) fn order(&mut self, id: TypeId, through_pointer: bool, depth: usize) -> Result<bool, Error> {
        self.step(id, depth)?;
        let (progress, referenced) = {
            let state = self.state(id)?;
            (state.order, state.referenced)
        };
        if progress == Progress::Done {
            return Ok(true);
        }
        let ty = self.get(id)?;
        let named = !ty.name().is_empty();
        if progress == Progress::Under {
            // A circle that a forward declaration opens.
            return match ty {
                Type::Struct(_) | Type::Union(_) if through_pointer && named => Ok(false),
                _ => Err(Error::TooDeep(id)),
            };
        }
        let below = depth + 1;
        match ty {
            Type::Ptr { target } => {
                let result = self.order(target, true, below);
                self.state(id)?.order = Progress::Done;
                result
            }
            Type::Array(array) => self.order(array.element, false, below),
            Type::Volatile { target }
            | Type::Const { target }
            | Type::Restrict { target }
            | Type::TypeTag { target, .. } => self.order(target, through_pointer, below),
            Type::Struct(of) | Type::Union(of) => {
                if through_pointer && named {
                    return Ok(false);
                }
                self.state(id)?.order = Progress::Under;
                for member in of.members() {
                    self.order(member.ty, false, below)?;
                }
                self.finish(id, named)
            }
            Type::Enum(_) | Type::Fwd { .. } => self.finish(id, named || !referenced),
            Type::Typedef { target, .. } => {
                // While it is looked at, a circle of nothing but typedefs must end somewhere.
                let strong = self.order(target, through_pointer, below)?;
                if through_pointer && !strong {
                    return Ok(false);
                }
                self.finish(id, true)
            }
            Type::FuncProto(of) => {
                let mut strong = self.order(of.result, through_pointer, below)?;
                for param in of.params() {
                    strong |= self.order(param.ty, through_pointer, below)?;
                }
                Ok(strong)
            }
            Type::Void
            | Type::Int(_)
            | Type::Float { .. }
            | Type::Func { .. }
            | Type::Var { .. }
            | Type::DataSec(_)
            | Type::DeclTag { .. }
            | Type::Unknown { .. } => {
                self.state(id)?.order = Progress::Done;
                Ok(false)
            }
        }
    }

    fn finish(&mut self, id: TypeId, to_be_defined: bool) -> Result<bool, Error> {
        // A typedef may have been put there through a pointer meanwhile.
        let state = self.state(id)?;
        let done = state.order == Progress::Done;
        state.order = Progress::Done;
        if to_be_defined && !done {
            self.queue.push(id);
        }
        Ok(true)
    }
}
