//! Work that takes long does not keep those waiting who share its thread.

use tokio::runtime::{Handle, RuntimeFlavor};

/// Texts beyond this many bytes take longer to look through than others should wait for.
const LONG: usize = 16 * 1024;

/// Does work on a text of so many bytes. If it is long, tasks that share the thread go on elsewhere in the meantime.
pub(crate) fn aside<T>(bytes: usize, work: impl FnOnce() -> T) -> T {
    let many = Handle::try_current()
        .is_ok_and(|runtime| runtime.runtime_flavor() == RuntimeFlavor::MultiThread);
    if bytes > LONG && many {
        tokio::task::block_in_place(work)
    } else {
        work()
    }
}
