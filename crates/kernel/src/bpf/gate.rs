//! The one place where bpf(2) is called: logged, and replaceable by a fake for the calling thread.

use std::cell::RefCell;

use super::attr::Plain;
use super::types::Cmd;
use crate::Errno;

/// Calls bpf(2) with `attr` and returns its result: a descriptor, a count, or zero.
///
/// # Safety
///
/// `attr` is the structure of `cmd`, and each address in it points to memory that is valid, for as long as the
/// call lasts, for what the command reads or writes there.
pub unsafe fn gate<A: Plain>(cmd: Cmd, attr: &mut A) -> Result<i64, Errno> {
    let result = match with_fake(cmd, attr) {
        Some(answer) => answer,
        None => {
            // SAFETY: `attr` is a plain structure of exactly this size; the caller vouches for the addresses in it.
            let ret = unsafe {
                libc::syscall(
                    libc::SYS_bpf,
                    cmd.0 as libc::c_long,
                    std::ptr::from_mut(attr),
                    size_of::<A>() as libc::c_ulong,
                )
            };
            if ret < 0 { Err(Errno::last()) } else { Ok(ret) }
        }
    };
    match &result {
        Ok(ret) => tracing::trace!(target: "skep::bpf", "{cmd} = {ret}"),
        Err(errno) => tracing::debug!(target: "skep::bpf", "{cmd} = -1 {errno}"),
    }
    result
}

/// What a fake kernel answers: it sees the command and the bytes of its structure, and may write into them.
pub type Fake = Box<dyn FnMut(Cmd, &mut [u8]) -> Result<i64, Errno>>;

thread_local! {
    static FAKE: RefCell<Option<Fake>> = const { RefCell::new(None) };
}

/// Sends the bpf(2) calls of this thread to `fake` until the guard is dropped.
///
/// Meant for tests of what happens when the kernel refuses. A fake that returns descriptors must return real
/// ones, because their owners close them.
#[must_use]
pub fn install_fake(fake: Fake) -> FakeGuard {
    FAKE.set(Some(fake));
    FakeGuard { _not_send: std::marker::PhantomData }
}

/// Restores the real kernel when dropped.
#[derive(Debug)]
pub struct FakeGuard {
    // The fake belongs to the thread that installed it.
    _not_send: std::marker::PhantomData<*const ()>,
}

impl Drop for FakeGuard {
    fn drop(&mut self) {
        FAKE.set(None);
    }
}

fn with_fake<A: Plain>(cmd: Cmd, attr: &mut A) -> Option<Result<i64, Errno>> {
    // `try_with` and not `with`: destructors of other thread locals may still close or query objects.
    FAKE.try_with(|fake| {
        // A fake that itself comes here talks to the real kernel.
        let mut fake = fake.try_borrow_mut().ok()?;
        let fake = fake.as_mut()?;
        // SAFETY: a plain structure is initialised bytes throughout, and every byte pattern is a valid one.
        let bytes =
            unsafe { std::slice::from_raw_parts_mut(std::ptr::from_mut(attr).cast::<u8>(), size_of::<A>()) };
        Some(fake(cmd, bytes))
    })
    .ok()
    .flatten()
}
