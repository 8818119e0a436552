//! Waiting for several descriptors at once, for programs without an async runtime.

use crate::check;
use std::{io, time::Duration};

/// Waits until one of `polled` is ready, for `sleep` at most; what they are ready for is then written in them. A signal
/// ends the wait, too.
pub fn wait(polled: &mut [libc::pollfd], sleep: Duration) -> io::Result<()> {
    let timeout = libc::timespec {
        tv_sec: libc::time_t::try_from(sleep.as_secs()).unwrap_or(libc::time_t::MAX),
        tv_nsec: libc::c_long::from(sleep.subsec_nanos() as i32),
    };
    let count = libc::nfds_t::try_from(polled.len()).unwrap_or_default();
    // SAFETY: the pointer and the count describe `polled`; the signal mask is left as it is.
    match check(unsafe { libc::ppoll(polled.as_mut_ptr(), count, &timeout, std::ptr::null()) }) {
        Ok(_) => Ok(()),
        Err(error) if error.kind() == io::ErrorKind::Interrupted => {
            for one in polled {
                one.revents = 0;
            }
            Ok(())
        }
        Err(error) => Err(error),
    }
}
