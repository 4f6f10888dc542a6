//! All types of a program, and where its functions find their parameters.

use std::ops::ControlFlow;

use gimli::UnitRef;
use skep_btf::{BtfBuilder, Linkage, Param, TypeId};

use super::convert::{Converter, Known};
use super::params::{self, Class, Place};
use super::{DebugInfo, Entry, Slice};
use crate::error::Result;

/// The types of a program as BTF, and its functions.
#[derive(Clone, Debug, Default)]
pub struct Types {
    /// BTF in this machine's byte order: struct, union and enum types by name, and each function.
    pub btf: Vec<u8>,
    /// Sorted by address.
    pub functions: Vec<FunctionTypes>,
}

/// What is known of one function.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FunctionTypes {
    /// Address of its first instruction, as the program is linked.
    pub address: u64,
    /// The function in the BTF.
    pub id: TypeId,
    /// Where the parameters are at that instruction, in order.
    pub places: Vec<Place>,
}

impl DebugInfo {
    /// Reads all types. With `only`, those of the compilation units in which one of these addresses lies: the whole
    /// of a large program takes seconds.
    pub fn types(&self, only: Option<&[u64]>) -> Result<Types> {
        let mut builder = BtfBuilder::new();
        let mut known = Known::default();
        let mut functions = Vec::new();
        self.visit_whole::<()>(|unit| {
            if only.is_some_and(|only| !holds(unit, only)) {
                return Ok(ControlFlow::Continue(()));
            }
            let mut converter = Converter::new(unit, &mut builder, &mut known);
            let mut entries = unit.entries();
            while let Some(entry) = entries.next_dfs()? {
                match entry.tag() {
                    gimli::DW_TAG_subprogram => {
                        if let Some(address) = begin(&converter, entry)? {
                            functions.extend(function(&mut converter, entry, address));
                        }
                    }
                    gimli::DW_TAG_structure_type
                    | gimli::DW_TAG_class_type
                    | gimli::DW_TAG_union_type
                    | gimli::DW_TAG_enumeration_type
                    | gimli::DW_TAG_typedef => {
                        converter.ty(entry.offset());
                    }
                    _ => {}
                }
            }
            converter.finish();
            Ok(ControlFlow::Continue(()))
        })?;
        functions.sort_by_key(|function: &FunctionTypes| function.address);
        functions.dedup_by_key(|function| function.address);
        Ok(Types { btf: builder.finish(), functions })
    }
}

/// Whether one of some addresses lies in the code of a unit.
fn holds(unit: UnitRef<'_, Slice<'_>>, addresses: &[u64]) -> bool {
    let Ok(mut ranges) = unit.unit_ranges() else { return false };
    while let Ok(Some(range)) = ranges.next() {
        if addresses.iter().any(|address| (range.begin..range.end).contains(address)) {
            return true;
        }
    }
    false
}

/// The address of a function's first instruction; `None` for one that is only declared or inlined.
fn begin<'d>(converter: &Converter<'_, 'd, '_>, entry: &Entry<'d>) -> gimli::Result<Option<u64>> {
    let unit = converter.unit;
    for name in [gimli::DW_AT_low_pc, gimli::DW_AT_entry_pc] {
        if let Some(value) = entry.attr_value(name)
            && let Some(address) = unit.attr_address(value)?
        {
            return Ok(Some(address));
        }
    }
    // A function that was taken apart begins where its first part does.
    Ok(if entry.attr_value(gimli::DW_AT_ranges).is_some() {
        unit.die_ranges(entry)?.next()?.map(|range| range.begin)
    } else {
        None
    })
}

fn function<'d>(
    converter: &mut Converter<'_, 'd, '_>,
    entry: &Entry<'d>,
    address: u64,
) -> Option<FunctionTypes> {
    let name = converter.name(entry)?;
    let result = converter.type_of(entry);
    let mut params = Vec::new();
    let mut classes = Vec::new();
    let mut variadic = false;
    for child in converter.children(entry.offset()) {
        match child.tag() {
            gimli::DW_TAG_formal_parameter => {
                let name = converter.name(&child).unwrap_or_default();
                let written = params::at_entry(converter.unit, &child, address);
                let ty = converter.type_of(&child);
                let by_reference = params::is_reference(converter.unit, &child);
                classes.push(if by_reference { Class::Reference } else { converter.class(ty) });
                params.push((name, ty, written));
            }
            gimli::DW_TAG_unspecified_parameters => variadic = true,
            _ => {}
        }
    }
    let by_convention = params::by_convention(converter.class(result), &classes);
    let places = params
        .iter()
        .zip(by_convention)
        .map(|((_, _, written), by_convention)| written.clone().unwrap_or(by_convention))
        .collect();
    let mut listed: Vec<Param<'_>> =
        params.iter().map(|(name, ty, _)| Param { name: name.as_str(), ty: *ty }).collect();
    if variadic {
        listed.push(Param { name: "", ty: TypeId::VOID });
    }
    let proto = converter.builder.func_proto(result, &listed);
    let id = converter.builder.func(&name, proto, Linkage::Global);
    Some(FunctionTypes { address, id, places })
}
