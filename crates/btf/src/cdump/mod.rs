//! Types as a C header that a compiler accepts, as `vmlinux.h` is one.
//!
//! Three things make a header of a bag of types. *Order*: what is embedded must be defined before (`order`), in
//! the order of names where one wants to compare headers (`sort`). *Declarations*: what is only pointed to gets a
//! forward declaration, and names that several types share get numbers. *Layout*: BTF says where members lie, so
//! padding and packing are spelled out where the compiler would not arrive at the same places (`padding`).

mod emit;
mod order;
mod padding;
mod sort;

use std::mem;

use rustc_hash::FxHashMap;

use crate::error::Error;
use crate::format::TypeId;
use crate::reader::Btf;
use crate::types::Type;

/// A header being written.
#[derive(Debug)]
pub struct CDump<'a> {
    btf: &'a Btf,
    states: Vec<State>,
    /// How often a tag of a struct, union or enum has been given away.
    tags: FxHashMap<&'a str, u32>,
    /// The same for typedefs and enumerators, which share another name space.
    idents: FxHashMap<&'a str, u32>,
    /// What is to be defined next, in order.
    queue: Vec<TypeId>,
    out: String,
    /// How much more may be done, so that types made to fan out end with an error.
    budget: u64,
}

/// What has happened to a type.
#[derive(Clone, Copy, Debug, Default)]
struct State {
    order: Progress,
    emit: Progress,
    /// A declaration without definition has been written.
    declared: bool,
    /// Another type refers to it.
    referenced: bool,
    named: bool,
    /// If above 1, the number behind its name.
    duplicate: u32,
    /// Its size, once it has been worked out.
    bits: Option<u32>,
    /// Its alignment in bytes, likewise; within, `None` for what has no values.
    alignment: Option<Option<u32>>,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum Progress {
    #[default]
    Open,
    Under,
    Done,
}

/// How deep types may nest.
const MAX_DEPTH: usize = 256;

impl Btf {
    /// Begins a C header of these types.
    pub fn c_dump(&self) -> CDump<'_> {
        let mut states = vec![State::default(); self.len() + 1];
        if let Some(void) = states.first_mut() {
            void.order = Progress::Done;
            void.emit = Progress::Done;
        }
        let mut dump = CDump {
            btf: self,
            states,
            tags: FxHashMap::default(),
            idents: FxHashMap::default(),
            queue: Vec::new(),
            out: String::new(),
            budget: (1 << 24) + 64 * self.len() as u64,
        };
        dump.mark_referenced();
        dump
    }
}

impl<'a> CDump<'a> {
    /// Writes the definition of a type and of everything it needs, as far as that is not written yet.
    ///
    /// # Errors
    ///
    /// For types that cannot be written in C: those that contain themselves, or nest without end.
    pub fn define(&mut self, id: TypeId) -> Result<(), Error> {
        self.queue.clear();
        self.order(id, false, 0)?;
        for id in mem::take(&mut self.queue) {
            self.emit_type(id, TypeId::VOID, 0)?;
        }
        Ok(())
    }

    /// Writes all types in the order of their ids.
    pub fn define_all(&mut self) -> Result<(), Error> {
        self.btf.ids().try_for_each(|id| self.define(id))
    }

    /// Writes all types in the order of their names, so that headers of two kernels can be compared.
    pub fn define_sorted(&mut self) -> Result<(), Error> {
        self.out.reserve(self.btf.len() * 24);
        for id in sort::ranked(self.btf) {
            self.define(id)?;
        }
        for id in sort::unranked(self) {
            self.define(id)?;
        }
        Ok(())
    }

    /// Writes a declaration of something called `name`, without a semicolon. Types must have been defined.
    pub fn declare(&mut self, id: TypeId, name: &str) -> Result<(), Error> {
        self.emit_declaration(id, name, 0, 0)
    }

    /// Writes text of the caller's own.
    pub fn text(&mut self, text: &str) {
        self.out.push_str(text);
    }

    /// What has been written since this was last called.
    pub fn take(&mut self) -> String {
        mem::take(&mut self.out)
    }

    fn state(&mut self, id: TypeId) -> Result<&mut State, Error> {
        self.states.get_mut(id.0 as usize).ok_or(Error::NoSuchType(id))
    }

    fn get(&self, id: TypeId) -> Result<Type<'a>, Error> {
        self.btf.get(id).ok_or(Error::NoSuchType(id))
    }

    /// Counts a step and a level down.
    fn step(&mut self, id: TypeId, depth: usize) -> Result<(), Error> {
        self.budget = self.budget.checked_sub(1).ok_or(Error::TooLarge(id))?;
        if depth > MAX_DEPTH { Err(Error::TooDeep(id)) } else { Ok(()) }
    }

    /// Anonymous enums that something refers to are written there and not by themselves.
    fn mark_referenced(&mut self) {
        let mut mark = |id: TypeId| {
            if let Some(state) = self.states.get_mut(id.0 as usize) {
                state.referenced = true;
            }
        };
        for (_, ty) in self.btf.types() {
            match ty {
                Type::Ptr { target }
                | Type::Typedef { target, .. }
                | Type::Volatile { target }
                | Type::Const { target }
                | Type::Restrict { target }
                | Type::Func { proto: target, .. }
                | Type::Var { target, .. }
                | Type::DeclTag { target, .. }
                | Type::TypeTag { target, .. } => mark(target),
                Type::Array(array) => {
                    mark(array.index);
                    mark(array.element);
                }
                Type::Struct(of) | Type::Union(of) => of.members().for_each(|member| mark(member.ty)),
                Type::FuncProto(of) => of.params().for_each(|param| mark(param.ty)),
                Type::DataSec(of) => of.vars().for_each(|var| mark(var.var)),
                Type::Void
                | Type::Int(_)
                | Type::Enum(_)
                | Type::Fwd { .. }
                | Type::Float { .. }
                | Type::Unknown { .. } => {}
            }
        }
    }
}

#[cfg(test)]
mod tests;
