//! Reading the entries of an open directory a part at a time, so that one with millions of them takes no memory.

use crate::check_long;
use std::{
    ffi::{CStr, CString},
    io,
    os::fd::{AsRawFd, OwnedFd},
};

const BUFFER_BYTES: usize = 16 << 10;

#[derive(Debug)]
pub(crate) struct Entries {
    pub fd: OwnedFd,
    /// What getdents64 gave, and how far it is read.
    buffer: Vec<u8>,
    filled: usize,
    read: usize,
    /// Where the kernel goes on after the last entry that was read.
    offset: i64,
}

impl Entries {
    pub fn new(fd: OwnedFd) -> Entries {
        Entries { fd, buffer: Vec::new(), filled: 0, read: 0, offset: 0 }
    }

    /// The name of the next entry.
    pub fn next(&mut self) -> io::Result<Option<CString>> {
        // A record of linux_dirent64: 8 bytes inode, 8 offset, 2 its length, 1 type, then the name with a zero byte.
        const NAME: usize = 19;
        loop {
            if self.read >= self.filled {
                self.buffer.resize(BUFFER_BYTES, 0);
                let (fd, to) = (self.fd.as_raw_fd(), self.buffer.as_mut_ptr());
                // SAFETY: the pointer and the length describe the buffer.
                let count = check_long(unsafe { libc::syscall(libc::SYS_getdents64, fd, to, BUFFER_BYTES) });
                match count {
                    // A directory that was removed by somebody else has no entries any more.
                    Err(error) if error.raw_os_error() == Some(libc::ENOENT) => return Ok(None),
                    Err(error) => return Err(error),
                    Ok(0) => return Ok(None),
                    Ok(count) => (self.read, self.filled) = (0, count as usize),
                }
            }
            let broken = || io::Error::from(io::ErrorKind::InvalidData);
            let rest = self.buffer.get(self.read..self.filled).ok_or_else(broken)?;
            let length = match rest.get(16..18) {
                Some(&[low, high]) => usize::from(u16::from_ne_bytes([low, high])),
                _ => return Err(broken()),
            };
            let offset = rest.get(8..16).and_then(|bytes| bytes.try_into().ok()).map(i64::from_ne_bytes);
            let name =
                rest.get(NAME..length).and_then(|name| CStr::from_bytes_until_nul(name).ok()).ok_or_else(broken)?;
            self.read += length;
            self.offset = offset.ok_or_else(broken)?;
            if name != c"." && name != c".." {
                return Ok(Some(name.to_owned()));
            }
        }
    }

    /// Where another one goes on that is made of the same directory.
    pub fn offset(&self) -> i64 {
        self.offset
    }

    pub fn go_on_at(&mut self, offset: i64) -> io::Result<()> {
        // SAFETY: takes numbers only.
        check_long(unsafe { libc::lseek(self.fd.as_raw_fd(), offset, libc::SEEK_SET) } as libc::c_long)?;
        (self.filled, self.read, self.offset) = (0, 0, offset);
        Ok(())
    }
}
