//! Maps with plain values: look up, store, add, delete.

use skep_isa::helpers::id;
use skep_lang::hir::{self, Expr};
use skep_lang::ty::Ty;

use super::Lower;
use super::func::Place;
use crate::artifact::{Action, Storage};
use crate::error::Error;
use crate::ir::{BinOp, BlockId, CmpOp, MapRef, Value, ValueTy, Width};

/// `BPF_ANY` and `BPF_NOEXIST` of bpf_map_update_elem.
const ANY: i64 = 0;
const NO_EXIST: i64 = 1;

impl Lower<'_> {
    pub(super) fn set_map(&mut self, map: hir::MapId, key: Option<&Expr>, value: &Expr) -> Result<(), Error> {
        let decl = self.map_decl(map);
        if let Some(place) = self.only_value(map) {
            if self.types.is_memory(decl.value) && super::memory::reads_map(value, map) {
                let size = self.types.size(decl.value);
                let object = self.func.object("copy", size, 8);
                let copy = self.func.object_place(object);
                self.write(value, copy, decl.value)?;
                self.func.copy(place, copy, size);
            } else {
                self.write(value, place, decl.value)?;
            }
            self.mark(map, place);
            return Ok(());
        }
        let key = self.key(map, key)?;
        let size = self.types.size(decl.value);
        let value_place = if self.types.is_memory(decl.value) && value.ty == decl.value {
            let place = self.memory(value)?;
            self.outside_context(place, size)
        } else {
            let object = self.func.object("value", size, 8);
            let place = self.func.object_place(object);
            self.write(value, place, decl.value)?;
            place
        };
        let value_addr = self.func.addr(value_place);
        self.update(map, key, value_addr, ANY);
        Ok(())
    }

    /// The value of a map without keys, which is always there and always in the
    /// same place. Not for aggregations: they have a value on each CPU.
    pub(super) fn only_value(&mut self, map: hir::MapId) -> Option<Place> {
        let (map, spec) = self.shared.user(map);
        (spec.storage == Storage::Array).then(|| self.func.map_value(map, 0))
    }

    /// Notes that the value of a map without keys was assigned.
    pub(super) fn mark(&mut self, map: hir::MapId, place: Place) {
        if let Some(mark) = self.shared.user(map).1.mark {
            let one = self.func.int(1);
            self.func.store(Width::W64, place.at(mark), one);
        }
    }

    pub(super) fn map_ref(&self, map: hir::MapId) -> MapRef {
        self.shared.user(map).0
    }

    /// The address of the key, in memory as the kernel compares it.
    pub(super) fn key(&mut self, map: hir::MapId, key: Option<&Expr>) -> Result<Value, Error> {
        let decl = self.map_decl(map);
        let place = match key {
            Some(key) if self.types.is_memory(key.ty) && key.ty == decl.key => self.memory(key)?,
            Some(key) => {
                let size = self.types.size(decl.key);
                let object = self.func.object("key", size, 8);
                let place = self.func.object_place(object);
                self.write(key, place, decl.key)?;
                place
            }
            None => {
                let object = self.func.object("key", 4, 4);
                let place = self.func.object_place(object);
                self.func.zero(place, 4);
                place
            }
        };
        let place = self.outside_context(place, self.types.size(decl.key));
        Ok(self.func.addr(place))
    }

    /// A place that helpers take keys and values from: the stack and maps, but not the context.
    fn outside_context(&mut self, place: Place, size: u32) -> Place {
        if !self.func.is_context(place) {
            return place;
        }
        let object = self.func.object("copy", size, 8);
        let copy = self.func.object_place(object);
        self.func.copy(copy, place, size);
        copy
    }

    pub(super) fn lookup(&mut self, map: MapRef, key: Value) -> Value {
        let map = self.func.map(map);
        self.func.call(id::MAP_LOOKUP_ELEM, &[map, key], ValueTy::Ptr)
    }

    /// Updates an entry and tells user space when that fails; an entry that
    /// another CPU just made is no failure.
    fn update(&mut self, map: hir::MapId, key: Value, value: Value, flags: i64) {
        let map = self.map_ref(map);
        let map = self.func.map(map);
        let flags_value = self.func.int(flags);
        let result = self.func.call(id::MAP_UPDATE_ELEM, &[map, key, value, flags_value], ValueTy::Int);
        let failed = self.func.new_block();
        let after = self.func.new_block();
        let zero = self.func.int(0);
        self.func.branch(CmpOp::Eq, result, zero, after, failed);
        self.func.enter(failed);
        if flags == NO_EXIST {
            let exists = self.func.int(-i64::from(EEXIST));
            let report = self.func.new_block();
            self.func.branch(CmpOp::Eq, result, exists, after, report);
            self.func.enter(report);
        }
        self.report_failure(id::MAP_UPDATE_ELEM, result);
        self.func.jump(after, &[]);
        self.func.enter(after);
    }

    /// Sends user space the negative errno that a helper gave.
    pub(super) fn report_failure(&mut self, helper: u32, result: Value) {
        let span = self.func.span();
        self.send_values(Action::HelperError { helper }, true, &[(result, Ty::I64)], span);
    }

    /// Tells that a key is not there, if the user wants to hear of that.
    fn report_missing(&mut self) {
        if self.program.config.runtime_warnings {
            let nothing = self.func.int(0);
            self.report_failure(id::MAP_LOOKUP_ELEM, nothing);
        }
    }

    /// A call of a helper that reads memory which may not be there; it tells of a failure if the user wants to hear
    /// of that. The result is the helper's.
    pub(super) fn call_reader(&mut self, helper: u32, args: &[Value]) -> Value {
        let result = self.func.call(helper, args, ValueTy::Int);
        if self.program.config.runtime_warnings {
            let (failed, after) = (self.func.new_block(), self.func.new_block());
            let zero = self.func.int(0);
            self.func.branch(CmpOp::SGe, result, zero, after, failed);
            self.func.enter(failed);
            self.report_failure(helper, result);
            self.func.jump(after, &[]);
            self.func.enter(after);
        }
        result
    }

    pub(super) fn map_get(&mut self, map: hir::MapId, key: Option<&Expr>) -> Result<Value, Error> {
        let ty = self.map_decl(map).value;
        if let Some(place) = self.only_value(map) {
            return Ok(self.load(ty, place));
        }
        let key = self.key(map, key)?;
        let entry = self.lookup(self.map_ref(map), key);
        let found = self.func.new_block();
        let missing = self.func.new_block();
        let (after, value) = self.func.new_join(ValueTy::Int);
        self.branch_on_null(entry, missing, found);
        self.func.enter(found);
        let loaded = self.load(ty, Place::aligned(entry));
        self.func.jump(after, &[loaded]);
        self.func.enter(missing);
        self.report_missing();
        let zero = self.func.int(0);
        self.func.jump(after, &[zero]);
        self.func.enter(after);
        Ok(value)
    }

    /// Where the value of an entry is, or zeroes.
    pub(super) fn map_get_place(&mut self, map: hir::MapId, key: Option<&Expr>) -> Result<Place, Error> {
        if let Some(place) = self.only_value(map) {
            return Ok(place);
        }
        let key = self.key(map, key)?;
        let entry = self.lookup(self.map_ref(map), key);
        let found = self.func.new_block();
        let missing = self.func.new_block();
        let (after, place) = self.func.new_join(ValueTy::Ptr);
        self.branch_on_null(entry, missing, found);
        self.func.enter(found);
        self.func.jump(after, &[entry]);
        self.func.enter(missing);
        self.report_missing();
        let (constants, offset) = self.shared.zeroes();
        let zeroes = self.func.map_value(constants, offset);
        let zeroes = self.func.addr(zeroes);
        self.func.jump(after, &[zeroes]);
        self.func.enter(after);
        Ok(Place::aligned(place))
    }

    pub(super) fn branch_on_null(&mut self, addr: Value, null: BlockId, found: BlockId) {
        let zero = self.func.null();
        self.func.branch(CmpOp::Eq, addr, zero, null, found);
    }

    /// `@x[k] += by`, where nobody looks at the result.
    pub(super) fn map_add(&mut self, map: hir::MapId, key: Option<&Expr>, by: &Expr) -> Result<(), Error> {
        let by = self.scalar(by)?;
        self.map_add_value(map, key, by)
    }

    pub(super) fn map_add_value(
        &mut self,
        map: hir::MapId,
        key: Option<&Expr>,
        by: Value,
    ) -> Result<(), Error> {
        let ty = self.map_decl(map).value;
        if let Some(place) = self.only_value(map) {
            self.add_in_place(ty, place, by);
            self.mark(map, place);
            return Ok(());
        }
        // A new entry starts from zero and is added to like any other, so that
        // nothing is lost when two CPUs make it at once.
        let key = self.key(map, key)?;
        let after = self.func.new_block();
        let entry = self.entry_or_new(map, key, after);
        self.add_in_place(ty, entry, by);
        self.func.jump(after, &[]);
        self.func.enter(after);
        Ok(())
    }

    fn add_in_place(&mut self, ty: Ty, place: Place, by: Value) {
        let (width, signed) = self.access(ty);
        if width.bytes() >= 4 {
            self.func.atomic_add(width, place, by);
        } else {
            let before = self.func.load(width, signed, place);
            let after = self.func.bin(BinOp::Add, before, by);
            self.func.store(width, place, after);
        }
    }

    /// The entry of a map (of an aggregating one: on this CPU), made of zeroes if it
    /// is not there. Where that fails, the program goes on at `otherwise`.
    pub(super) fn entry_or_new(&mut self, map: hir::MapId, key: Value, otherwise: BlockId) -> Place {
        let map_ref = self.map_ref(map);
        let entry = self.lookup(map_ref, key);
        if self.shared.user(map).1.storage == Storage::PerCpuArray {
            let found = self.func.new_block();
            self.branch_on_null(entry, otherwise, found);
            self.func.enter(found);
            return Place::aligned(entry);
        }
        let found = self.func.new_block();
        let missing = self.func.new_block();
        let made = self.func.new_block();
        let (after, place) = self.func.new_join(ValueTy::Ptr);
        self.branch_on_null(entry, missing, found);
        self.func.enter(found);
        self.func.jump(after, &[entry]);
        self.func.enter(missing);
        let (constants, offset) = self.shared.zeroes();
        let zeroes = self.func.map_value(constants, offset);
        let zeroes = self.func.addr(zeroes);
        self.update(map, key, zeroes, NO_EXIST);
        let entry = self.lookup(map_ref, key);
        self.branch_on_null(entry, otherwise, made);
        self.func.enter(made);
        self.func.jump(after, &[entry]);
        self.func.enter(after);
        Place::aligned(place)
    }

    pub(super) fn delete(&mut self, map: hir::MapId, key: Option<&Expr>) -> Result<Value, Error> {
        if let Some(place) = self.only_value(map) {
            let spec = self.shared.user(map).1;
            let (size, mark) = (spec.value_size, spec.mark.unwrap_or(0));
            let was_set = self.func.load(Width::W64, false, place.at(mark));
            self.func.zero(place, size);
            return Ok(was_set);
        }
        let key_addr = self.key(map, key)?;
        let (map_ref, spec) = self.shared.user(map);
        if spec.storage == Storage::PerCpuArray {
            // A program cannot reach the other CPUs' values: user space clears all of them.
            let span = self.func.span();
            self.clear(map, span)?;
            return Ok(self.func.int(1));
        }
        let map_value = self.func.map(map_ref);
        let result = self.func.call(id::MAP_DELETE_ELEM, &[map_value, key_addr], ValueTy::Int);
        let zero = self.func.int(0);
        Ok(self.func.cmp(CmpOp::Eq, result, zero))
    }

    /// Whether there is such a key; then the variable gets its value.
    pub(super) fn find(
        &mut self,
        map: hir::MapId,
        key: &Expr,
        local: hir::LocalId,
        value: &Expr,
    ) -> Result<Value, Error> {
        let key = self.key(map, Some(key))?;
        let entry = self.lookup(self.map_ref(map), key);
        let found = self.func.new_block();
        let missing = self.func.new_block();
        let (after, result) = self.func.new_join(ValueTy::Int);
        self.branch_on_null(entry, missing, found);
        self.func.enter(found);
        let at = Place::aligned(entry);
        let outer = self.entry.replace((at, at));
        self.set_local(local, value)?;
        self.entry = outer;
        let one = self.func.int(1);
        self.func.jump(after, &[one]);
        self.func.enter(missing);
        let zero = self.func.int(0);
        self.func.jump(after, &[zero]);
        self.func.enter(after);
        Ok(result)
    }

    /// How many keys there are: as many as the kernel comes by on its way through the map.
    pub(super) fn map_len(&mut self, map: hir::MapId) -> Value {
        let map = self.func.map(self.shared.user(map).0);
        let function = self.shared.passer_by(self.func.span());
        let function = self.func.func_addr(function);
        let zero = self.func.int(0);
        self.func.call(id::FOR_EACH_MAP_ELEM, &[map, function, zero, zero], ValueTy::Int)
    }

    pub(super) fn has_key(&mut self, map: hir::MapId, key: &Expr) -> Result<Value, Error> {
        let key = self.key(map, Some(key))?;
        let entry = self.lookup(self.map_ref(map), key);
        let found = self.func.new_block();
        let missing = self.func.new_block();
        let (after, value) = self.func.new_join(ValueTy::Int);
        self.branch_on_null(entry, missing, found);
        for (block, result) in [(found, 1), (missing, 0)] {
            self.func.enter(block);
            let result = self.func.int(result);
            self.func.jump(after, &[result]);
        }
        self.func.enter(after);
        Ok(value)
    }
}

/// Number of the error "already there" in the kernel, on every architecture.
const EEXIST: i32 = 17;
