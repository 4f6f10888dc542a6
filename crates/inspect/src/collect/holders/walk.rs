//! The walk over all open files: loads the program, runs it, reads its records.

use std::os::fd::{AsFd, OwnedFd};

use skep_btf::Kind;
use skep_kernel::bpf::{self, AttachType, ObjectKind, ProgSpec, ProgType};

use super::Holders;
use super::program::{Offsets, RECORD, WALK, part, program};

/// Who holds objects of a kind; the error says why the kernel does not tell.
pub(super) fn holders(kind: ObjectKind) -> Result<Holders, String> {
    let btf = super::super::kernel_btf().ok_or("the kernel does not tell its types")?;
    let walk = btf.find(Kind::Func, WALK).ok_or_else(|| format!("the kernel has no {WALK}"))?;
    let insns = program(&Offsets::find(&btf, walk, kind)?, kind);
    let spec = ProgSpec {
        expected_attach_type: AttachType::TRACE_ITER,
        attach_btf_id: walk.0,
        ..ProgSpec::new(ProgType::TRACING, "skep_holders", &insns)
    };
    let prog = load(&spec)?;
    let run = || {
        let link = bpf::link_create_iter(prog.as_fd())?;
        skep_kernel::walk::output(bpf::iter_create(link.as_fd())?)
    };
    let records = run().map_err(|error| error.to_string())?;
    let mut holders = Holders::default();
    for record in records.chunks_exact(RECORD) {
        holders.take(record);
    }
    Ok(holders)
}

/// Loads the program, with all that the verifier has to say where somebody wants to hear it.
fn load(spec: &ProgSpec<'_>) -> Result<OwnedFd, String> {
    if !tracing::enabled!(tracing::Level::DEBUG) {
        return bpf::prog_load(spec).map_err(|error| error.to_string());
    }
    const EVERYTHING: u32 = 1 | 2 | 4;
    let loaded = bpf::prog_load_logged(&ProgSpec { log_level: EVERYTHING, ..*spec });
    let log = loaded.as_ref().map_or_else(|error| &error.log, |loaded| &loaded.log);
    tracing::debug!("the verifier about the program that looks for holders:\n{log}");
    loaded.map(|loaded| loaded.fd).map_err(|error| error.to_string())
}

impl Holders {
    fn take(&mut self, record: &[u8]) {
        let bytes = |at: usize, len: usize| record.get(at..at + len).unwrap_or_default();
        let number = |at: usize| bytes(at, 4).try_into().map_or(0, u32::from_ne_bytes);
        let id = number(part::ID);
        let comm = bytes(part::COMM, part::COMM_LEN);
        let comm = comm.split(|&byte| byte == 0).next().unwrap_or_default();
        self.processes.insert(id, number(part::PID) as i32, &String::from_utf8_lossy(comm));
        if number(part::HAS_COOKIE) != 0 {
            let cookie = bytes(part::COOKIE, 8).try_into().map_or(0, u64::from_ne_bytes);
            self.cookies.insert(id, cookie);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn records_are_read() {
        let mut record = [0u8; RECORD];
        let mut put = |at: usize, bytes: &[u8]| record[at..at + bytes.len()].copy_from_slice(bytes);
        put(part::ID, &77u32.to_ne_bytes());
        put(part::PID, &5u32.to_ne_bytes());
        put(part::HAS_COOKIE, &1u32.to_ne_bytes());
        put(part::COOKIE, &4660u64.to_ne_bytes());
        put(part::COMM, b"a name\0left");
        let mut holders = Holders::default();
        // The same process twice, by two descriptors.
        holders.take(&record);
        holders.take(&record);
        let of_link = holders.of(77);
        assert_eq!(of_link.len(), 1);
        assert_eq!((of_link[0].pid, of_link[0].comm.as_str()), (5, "a name"));
        assert_eq!(holders.cookie_of(77), Some(4660));
        assert_eq!(holders.cookie_of(78), None);
        assert!(holders.of(78).is_empty());
    }
}
