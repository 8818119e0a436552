//! Unpacking archives into a sandbox. An archive comes from anywhere: nothing in it may be placed outside, whether by its
//! name, by a link, or by a link placed before.

use super::{create, make_inside};
use std::{
    fs::{self, File, Permissions},
    io::{self, BufReader, Read},
    os::unix::fs::PermissionsExt,
    path::{Component, Path, PathBuf},
};

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    Tar,
    TarGz,
    TarBz2,
    TarXz,
    Gz,
    Zip,
}

impl Kind {
    /// By the file's name, as Mesos does.
    pub fn of(name: &Path) -> Option<Kind> {
        let name = name.file_name()?.to_str()?;
        let endings = [
            (".tar.gz", Kind::TarGz),
            (".tgz", Kind::TarGz),
            (".tar.bz2", Kind::TarBz2),
            (".tbz2", Kind::TarBz2),
            (".tar.xz", Kind::TarXz),
            (".txz", Kind::TarXz),
            (".tar", Kind::Tar),
            (".gz", Kind::Gz),
            (".zip", Kind::Zip),
        ];
        endings.iter().find(|(ending, _)| name.ends_with(ending)).map(|(_, kind)| *kind)
    }
}

/// Unpacks `archive` into `into`; at most `max_bytes` come out of it.
pub fn unpack(
    kind: Kind,
    archive: &Path,
    into: &Path,
    max_bytes: u64,
    cancelled: &dyn Fn() -> bool,
) -> Result<(), String> {
    let unpack = Unpack { into, cancelled, left: std::cell::Cell::new(max_bytes) };
    let file = BufReader::with_capacity(128 << 10, File::open(archive).map_err(|error| error.to_string())?);
    let done = match kind {
        Kind::Tar => unpack.tar(file),
        Kind::TarGz => unpack.tar(flate2::bufread::MultiGzDecoder::new(file)),
        Kind::TarBz2 => unpack.tar(bzip2::bufread::MultiBzDecoder::new(file)),
        Kind::TarXz => unpack.tar(lzma_rust2::XzReader::new(file, true)),
        Kind::Gz => {
            let name = archive.file_stem().unwrap_or_default();
            unpack.file(&mut flate2::bufread::MultiGzDecoder::new(file), &into.join(name), 0o644)
        }
        Kind::Zip => unpack.zip(file),
    };
    done.map_err(|error| error.to_string())
}

struct Unpack<'a> {
    into: &'a Path,
    cancelled: &'a dyn Fn() -> bool,
    left: std::cell::Cell<u64>,
}

impl Unpack<'_> {
    fn tar(&self, reader: impl Read) -> io::Result<()> {
        let mut archive = tar::Archive::new(Bounded { inner: reader, unpack: self });
        for entry in archive.entries()? {
            let mut entry = entry?;
            let name = self.inside(&entry.path()?)?;
            if name.as_os_str().is_empty() {
                continue;
            }
            let mode = entry.header().mode().unwrap_or(0o644) & 0o777;
            let kind = entry.header().entry_type();
            if kind.is_dir() {
                let path = make_inside(self.into, &name)?;
                fs::set_permissions(path, Permissions::from_mode(mode | 0o700))?;
                continue;
            }
            let path = self.place(&name)?;
            if kind.is_symlink() {
                let target = entry.link_name()?.ok_or(io::ErrorKind::InvalidData)?;
                self.link(&name, &target, &path)?;
            } else if kind.is_hard_link() {
                let target = self.inside(&entry.link_name()?.ok_or(io::ErrorKind::InvalidData)?)?;
                let target = self.place(&target)?;
                if !fs::symlink_metadata(&target)?.is_file() {
                    return Err(refused(&name, "is a hard link to something that is no file"));
                }
                remove(&path)?;
                fs::hard_link(target, path)?;
            } else if kind.is_file() || kind.is_contiguous() || kind.is_gnu_sparse() {
                let mut file = create(&path, mode)?;
                io::copy(&mut entry, &mut file)?;
            } else if !kind.is_pax_global_extensions() {
                return Err(refused(&name, "is a device or of an unknown kind"));
            }
        }
        Ok(())
    }

    fn zip(&self, reader: BufReader<File>) -> io::Result<()> {
        let mut archive = zip::ZipArchive::new(reader)?;
        for index in 0..archive.len() {
            let mut entry = archive.by_index(index)?;
            let name = self.inside(Path::new(entry.name()))?;
            if name.as_os_str().is_empty() {
                continue;
            }
            if entry.is_dir() {
                make_inside(self.into, &name)?;
                continue;
            }
            let path = self.place(&name)?;
            if entry.is_symlink() {
                let mut target = String::new();
                (&mut entry).take(4096).read_to_string(&mut target)?;
                self.link(&name, Path::new(&target), &path)?;
                continue;
            }
            let mode = entry.unix_mode().map_or(0o644, |mode| mode & 0o777);
            self.file(&mut entry, &path, mode)?;
        }
        Ok(())
    }

    fn file(&self, from: &mut dyn Read, path: &Path, mode: u32) -> io::Result<()> {
        let mut file = create(path, mode)?;
        io::copy(&mut Bounded { inner: from, unpack: self }, &mut file).map(drop)
    }

    /// The name without `.`; one that climbs or starts at the root is refused.
    fn inside(&self, name: &Path) -> io::Result<PathBuf> {
        let mut clean = PathBuf::new();
        for part in name.components() {
            match part {
                Component::Normal(part) => clean.push(part),
                Component::CurDir => {}
                _ => return Err(refused(name, "would be placed outside the sandbox")),
            }
        }
        Ok(clean)
    }

    /// The path of `name`, its directories made and none of them a link.
    fn place(&self, name: &Path) -> io::Result<PathBuf> {
        let directory = make_inside(self.into, name.parent().unwrap_or(Path::new("")))?;
        Ok(directory.join(name.file_name().ok_or(io::ErrorKind::InvalidData)?))
    }

    /// A symbolic link may point anywhere inside; nothing is ever written through it.
    fn link(&self, name: &Path, target: &Path, path: &Path) -> io::Result<()> {
        let mut depth = name.components().count().saturating_sub(1) as i64;
        for part in target.components() {
            match part {
                Component::Normal(_) => depth += 1,
                Component::CurDir => {}
                Component::ParentDir => depth -= 1,
                _ => depth = -1,
            }
            if depth < 0 {
                return Err(refused(name, "is a link that points outside the sandbox"));
            }
        }
        remove(path)?;
        std::os::unix::fs::symlink(target, path)
    }
}

fn remove(path: &Path) -> io::Result<()> {
    match fs::remove_file(path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
        _ => Ok(()),
    }
}

fn refused(name: &Path, why: &str) -> io::Error {
    io::Error::other(format!("'{}' {why}", name.display()))
}

/// Counts what comes out of an archive, against bombs.
struct Bounded<'a, R> {
    inner: R,
    unpack: &'a Unpack<'a>,
}

impl<R: Read> Read for Bounded<'_, R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        if (self.unpack.cancelled)() {
            return Err(io::Error::other("the container was destroyed"));
        }
        let length = self.inner.read(buffer)?;
        let left = self.unpack.left.get().checked_sub(length as u64);
        self.unpack.left.set(left.ok_or_else(|| io::Error::other("it unpacks to more bytes than are allowed"))?);
        Ok(length)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Write;

    fn tar_with(build: impl FnOnce(&mut tar::Builder<Vec<u8>>)) -> Vec<u8> {
        let mut builder = tar::Builder::new(Vec::new());
        build(&mut builder);
        builder.into_inner().unwrap()
    }

    /// A header written by hand: the builder refuses what an attacker would write.
    fn entry(name: &str, kind: tar::EntryType, link: &str, content: &[u8]) -> Vec<u8> {
        let mut header = tar::Header::new_gnu();
        let raw = header.as_old_mut();
        raw.name[..name.len()].copy_from_slice(name.as_bytes());
        raw.linkname[..link.len()].copy_from_slice(link.as_bytes());
        header.set_entry_type(kind);
        header.set_size(content.len() as u64);
        header.set_mode(0o644);
        header.set_cksum();
        let mut out = header.as_bytes().to_vec();
        out.extend_from_slice(content);
        out.resize(out.len().div_ceil(512) * 512, 0);
        out
    }

    fn good() -> Vec<u8> {
        tar_with(|builder| {
            let mut header = tar::Header::new_gnu();
            header.set_size(5);
            header.set_mode(0o755);
            builder.append_data(&mut header.clone(), "d/run.sh", &b"hello"[..]).unwrap();
            let mut link = tar::Header::new_gnu();
            link.set_entry_type(tar::EntryType::Symlink);
            link.set_size(0);
            builder.append_link(&mut link, "d/link", "../d/run.sh").unwrap();
        })
    }

    fn try_unpack(name: &str, bytes: &[u8], max: u64) -> (tempfile::TempDir, Result<(), String>) {
        let sandbox = tempfile::tempdir().unwrap();
        let archive = sandbox.path().join(name);
        fs::write(&archive, bytes).unwrap();
        let kind = Kind::of(&archive).unwrap();
        let done = unpack(kind, &archive, sandbox.path(), max, &|| false);
        (sandbox, done)
    }

    #[test]
    fn every_kind_of_archive_is_unpacked() {
        let tar = good();
        let gz = |bytes: &[u8]| {
            let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
            encoder.write_all(bytes).unwrap();
            encoder.finish().unwrap()
        };
        let bz2 = {
            let mut encoder = bzip2::write::BzEncoder::new(Vec::new(), bzip2::Compression::fast());
            encoder.write_all(&tar).unwrap();
            encoder.finish().unwrap()
        };
        for (name, bytes) in [("a.tar", tar.clone()), ("a.tgz", gz(&tar)), ("a.tar.gz", gz(&tar)), ("a.tbz2", bz2)] {
            let (sandbox, done) = try_unpack(name, &bytes, 1 << 20);
            done.unwrap_or_else(|why| panic!("{name}: {why}"));
            assert_eq!(fs::read(sandbox.path().join("d/link")).unwrap(), b"hello", "{name}");
            let mode = fs::metadata(sandbox.path().join("d/run.sh")).unwrap().permissions().mode();
            assert_eq!(mode & 0o777, 0o755);
        }
        let (sandbox, done) = try_unpack("text.gz", &gz(b"plain"), 1 << 20);
        done.unwrap();
        assert_eq!(fs::read(sandbox.path().join("text")).unwrap(), b"plain");

        let mut writer = zip::ZipWriter::new(io::Cursor::new(Vec::new()));
        let options = zip::write::SimpleFileOptions::default().unix_permissions(0o755);
        writer.start_file("d/run.sh", options).unwrap();
        writer.write_all(b"hello").unwrap();
        let bytes = writer.finish().unwrap().into_inner();
        let (sandbox, done) = try_unpack("a.zip", &bytes, 1 << 20);
        done.unwrap();
        let mode = fs::metadata(sandbox.path().join("d/run.sh")).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o755);
    }

    #[test]
    fn xz_is_unpacked() {
        // `printf hi | xz` of a tar is long; a bare stream through the same decoder shows that it decodes.
        let sandbox = tempfile::tempdir().unwrap();
        let tar = sandbox.path().join("a.tar");
        fs::write(&tar, good()).unwrap();
        let Ok(done) = std::process::Command::new("xz").arg("-k").arg(&tar).status() else {
            println!("skipped: no xz on this machine");
            return;
        };
        assert!(done.success());
        let (sandbox, done) = try_unpack("a.tar.xz", &fs::read(sandbox.path().join("a.tar.xz")).unwrap(), 1 << 20);
        done.unwrap();
        assert_eq!(fs::read(sandbox.path().join("d/run.sh")).unwrap(), b"hello");
    }

    #[test]
    fn nothing_is_placed_outside() {
        use tar::EntryType as Type;
        let end = vec![0; 1024];
        let through_link =
            [entry("out", Type::Symlink, "/tmp", b""), entry("out/x", Type::Regular, "", b"evil"), end.clone()];
        let inner_link = [entry("in", Type::Symlink, "d", b""), entry("in/x", Type::Regular, "", b"evil"), end.clone()];
        let cases: [(&str, Vec<u8>); 6] = [
            ("outside the sandbox", [entry("../evil", Type::Regular, "", b"evil"), end.clone()].concat()),
            ("outside the sandbox", [entry("/tmp/evil", Type::Regular, "", b"evil"), end.clone()].concat()),
            ("points outside", through_link.concat()),
            ("in the way", inner_link.concat()),
            ("outside the sandbox", [entry("h", Type::Link, "../../etc/passwd", b""), end.clone()].concat()),
            ("device", [entry("dev", Type::Char, "", b""), end].concat()),
        ];
        for (wanted, bytes) in cases {
            let (_sandbox, done) = try_unpack("a.tar", &bytes, 1 << 20);
            let why = done.unwrap_err();
            assert!(why.contains(wanted), "{why}");
        }
    }

    #[test]
    fn a_zip_cannot_climb_out() {
        let mut writer = zip::ZipWriter::new(io::Cursor::new(Vec::new()));
        writer.start_file("../evil", zip::write::SimpleFileOptions::default()).unwrap();
        writer.write_all(b"evil").unwrap();
        let bytes = writer.finish().unwrap().into_inner();
        let (sandbox, done) = try_unpack("a.zip", &bytes, 1 << 20);
        assert!(done.is_err() || !sandbox.path().parent().unwrap().join("evil").exists());
    }

    #[test]
    fn a_bomb_is_stopped() {
        let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::best());
        encoder.write_all(&vec![0; 1 << 20]).unwrap();
        let (_sandbox, done) = try_unpack("bomb.gz", &encoder.finish().unwrap(), 1 << 16);
        assert!(done.unwrap_err().contains("more bytes"));
    }

    #[test]
    fn kinds_are_told_by_name() {
        let kind = |name: &str| Kind::of(Path::new(name));
        assert_eq!(kind("x/a.tar.bz2"), Some(Kind::TarBz2));
        assert_eq!(kind("a.txz"), Some(Kind::TarXz));
        assert_eq!(kind("a.txt"), None);
        assert_eq!(kind("tar"), None);
    }
}
