//! Unpacking archives into a sandbox. An archive comes from anywhere: nothing in it may be placed outside, whether by
//! its name, by a link, or by a link placed before; and it may take neither the disk nor our memory. As in Mesos its
//! name says whether it is one, and its content which.

use super::{
    budget::Budget,
    place::{Place, inside},
};
use std::{
    cell::Cell,
    fs::File,
    io::{self, BufRead, BufReader, Cursor, Read, Seek, SeekFrom},
    path::{Path, PathBuf},
    time::{Duration, SystemTime},
};

/// What the headers of one entry of a tar may take; they are held in memory.
const TAR_HEADERS_MAX: u64 = 1 << 20;
/// What the directory of a zip may take; it is held in memory, several times as large.
const ZIP_DIRECTORY_MAX: u64 = 64 << 20;
/// The memory that one xz block may ask for; `xz -9` needs 65 MB.
const XZ_MEMORY_KIB: u32 = 256 << 10;
/// How often an archive may be compressed over again.
const LAYERS_MAX: usize = 4;
const TAR_BLOCK: usize = 512;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// Many files, compressed or not.
    Archive,
    /// One file, compressed by gzip.
    Gz,
}

impl Kind {
    /// By the file's name, as Mesos does.
    pub fn of(name: &Path) -> Option<Kind> {
        const ARCHIVES: [&str; 8] = [".tar", ".tar.gz", ".tgz", ".tar.bz2", ".tbz2", ".tar.xz", ".txz", ".zip"];
        let name = name.file_name()?.to_str()?;
        if ARCHIVES.iter().any(|ending| name.ends_with(ending)) {
            return Some(Kind::Archive);
        }
        name.ends_with(".gz").then_some(Kind::Gz)
    }
}

/// Unpacks `file`, called `name`, into `place`.
pub fn unpack(kind: Kind, name: &Path, mut file: File, place: &Place, budget: &Budget<'_>) -> Result<(), String> {
    let unpack = Unpack { place, budget };
    file.seek(SeekFrom::Start(0)).map_err(text)?;
    match kind {
        Kind::Gz => {
            // Its place is the sandbox itself, as that of all that is unpacked.
            let stem = name.file_stem().map(PathBuf::from).unwrap_or_default();
            let mut content = flate2::bufread::MultiGzDecoder::new(buffered(file));
            unpack.file(&mut content, &stem, 0o644, None)
        }
        Kind::Archive => {
            let start = peek(&mut file)?;
            if start.starts_with(b"PK\x03\x04") || start.starts_with(b"PK\x05\x06") {
                return unpack.zip(file);
            }
            file.seek(SeekFrom::Start(0)).map_err(text)?;
            unpack.tar(decompressed(Box::new(buffered(file)))?)
        }
    }
}

fn buffered(file: File) -> BufReader<File> {
    BufReader::with_capacity(64 << 10, file)
}

/// The first block, or as much of it as there is.
fn peek(from: &mut dyn Read) -> Result<Vec<u8>, String> {
    let mut start = Vec::with_capacity(TAR_BLOCK);
    from.take(TAR_BLOCK as u64).read_to_end(&mut start).map_err(text)?;
    Ok(start)
}

/// What is in the compression, if there is any: a tar.
fn decompressed(mut from: Box<dyn BufRead>) -> Result<Box<dyn BufRead>, String> {
    for _ in 0..LAYERS_MAX {
        let start = peek(&mut from)?;
        let whole = Cursor::new(start.clone()).chain(from);
        from = match start.as_slice() {
            [0x1f, 0x8b, ..] => Box::new(BufReader::new(flate2::bufread::MultiGzDecoder::new(whole))),
            [b'B', b'Z', b'h', ..] => Box::new(BufReader::new(bzip2::bufread::MultiBzDecoder::new(whole))),
            [0xfd, b'7', b'z', b'X', b'Z', 0, ..] => {
                Box::new(BufReader::new(lzma_rust2::XzReader::new_mem_limit(whole, true, XZ_MEMORY_KIB)))
            }
            other if is_tar(other) => return Ok(Box::new(whole)),
            _ => return Err("it is neither a tar (plain, or in gzip, bzip2 or xz) nor a zip".to_owned()),
        };
    }
    Err(format!("it is compressed more than {LAYERS_MAX} times over"))
}

/// Whether a tar may begin with this block: one of zeros ends it, and any other carries its sum.
fn is_tar(block: &[u8]) -> bool {
    if block.iter().all(|byte| *byte == 0) {
        return true;
    }
    let sum_at = 148..156;
    let sum: u64 = block
        .iter()
        .enumerate()
        .map(|(index, byte)| u64::from(if sum_at.contains(&index) { b' ' } else { *byte }))
        .sum();
    let field = block.get(sum_at).and_then(|field| std::str::from_utf8(field).ok()).unwrap_or_default();
    let field = field.trim_matches(|c: char| c == ' ' || c == '\0');
    block.len() == TAR_BLOCK && u64::from_str_radix(field, 8) == Ok(sum)
}

struct Unpack<'a> {
    place: &'a Place,
    budget: &'a Budget<'a>,
}

impl Unpack<'_> {
    fn tar(&self, from: impl Read) -> Result<(), String> {
        let headers_left = Cell::new(TAR_HEADERS_MAX);
        let meter =
            Meter { inner: from, headers_left: &headers_left, left: self.budget.bytes_max(), budget: self.budget };
        let mut archive = tar::Archive::new(meter);
        let mut entries = archive.entries().map_err(text)?;
        // Directories get their times once nothing is put into them any more.
        let mut directories = Vec::new();
        loop {
            headers_left.set(TAR_HEADERS_MAX);
            let Some(entry) = entries.next() else { break };
            let mut entry = entry.map_err(text)?;
            headers_left.set(u64::MAX);
            self.tar_entry(&mut entry, &mut directories)?;
            io::copy(&mut entry, &mut io::sink()).map_err(text)?;
        }
        self.date_directories(directories)
    }

    fn tar_entry(
        &self,
        entry: &mut tar::Entry<'_, impl Read>,
        directories: &mut Vec<(PathBuf, SystemTime)>,
    ) -> Result<(), String> {
        let kind = entry.header().entry_type();
        if kind.is_pax_global_extensions() {
            return Ok(());
        }
        let name = inside(&entry.path().map_err(text)?)?;
        if name.as_os_str().is_empty() {
            return Ok(());
        }
        self.budget.take_file()?;
        let placed = |error: io::Error| format!("'{}': {error}", name.display());
        let time = tar_time(entry);
        if kind.is_dir() {
            self.place.directory(&name).map_err(placed)?;
            directories.extend(time.map(|time| (name, time)));
            return Ok(());
        }
        if kind.is_symlink() || kind.is_hard_link() {
            let target =
                entry.link_name().map_err(text)?.ok_or_else(|| format!("'{}' links to nothing", name.display()))?;
            return match kind.is_symlink() {
                true => self.place.link(&name, &target).map_err(placed),
                false => self.place.hard_link(&name, &inside(&target)?).map_err(placed),
            };
        }
        if kind.is_file() || kind.is_contiguous() || kind.is_gnu_sparse() {
            let mode = entry.header().mode().unwrap_or(0o644) & 0o777;
            return self.file(entry, &name, mode, time);
        }
        Err(format!("'{}' is a device, a FIFO or of an unknown kind", name.display()))
    }

    fn zip(&self, mut file: File) -> Result<(), String> {
        let directory = zip_directory_bytes(&mut file).map_err(text)?;
        if directory > ZIP_DIRECTORY_MAX {
            return Err(format!("its directory takes {directory} bytes, more than the {ZIP_DIRECTORY_MAX} allowed"));
        }
        let mut archive = zip::ZipArchive::new(buffered(file)).map_err(|error| error.to_string())?;
        let mut directories = Vec::new();
        for index in 0..archive.len() {
            let mut entry = archive.by_index(index).map_err(|error| error.to_string())?;
            let name = inside(Path::new(entry.name()))?;
            if name.as_os_str().is_empty() {
                continue;
            }
            self.budget.take_file()?;
            let placed = |error: io::Error| format!("'{}': {error}", name.display());
            let time = zip_time(&entry);
            if entry.is_dir() {
                self.place.directory(&name).map_err(placed)?;
                directories.extend(time.map(|time| (name, time)));
            } else if entry.is_symlink() {
                let mut target = Vec::new();
                (&mut entry).take(4096).read_to_end(&mut target).map_err(text)?;
                let target = String::from_utf8(target).map_err(|_| format!("'{}' links to no text", name.display()))?;
                self.place.link(&name, Path::new(&target)).map_err(placed)?;
            } else {
                let mode = entry.unix_mode().map_or(0o644, |mode| mode & 0o777);
                self.file(&mut entry, &name, mode, time)?;
            }
        }
        self.date_directories(directories)
    }

    fn file(&self, from: &mut dyn Read, name: &Path, mode: u32, time: Option<SystemTime>) -> Result<(), String> {
        let placed = |error: io::Error| format!("'{}': {error}", name.display());
        let mut file = self.place.create(name, mode).map_err(placed)?;
        self.budget.copy(from, &mut file, &|error| error.to_string())?;
        time.map_or(Ok(()), |time| file.set_modified(time)).map_err(placed)
    }

    fn date_directories(&self, directories: Vec<(PathBuf, SystemTime)>) -> Result<(), String> {
        for (name, time) in directories.into_iter().rev() {
            let dated = self.place.directory(&name).map(File::from).and_then(|directory| directory.set_modified(time));
            dated.map_err(|error| format!("'{}': {error}", name.display()))?;
        }
        Ok(())
    }
}

fn text(error: io::Error) -> String {
    error.to_string()
}

/// When the file was changed last: whole seconds, or with a fraction where an extended header says so.
fn tar_time(entry: &mut tar::Entry<'_, impl Read>) -> Option<SystemTime> {
    let mut told = None;
    if let Ok(Some(extensions)) = entry.pax_extensions() {
        told = extensions.flatten().find(|extension| extension.key() == Ok("mtime"));
    }
    let extended = told.and_then(|extension| extension.value().ok()?.parse::<f64>().ok());
    match extended {
        Some(seconds) => Duration::try_from_secs_f64(seconds).ok().and_then(since_epoch),
        None => since_epoch(Duration::from_secs(entry.header().mtime().ok()?)),
    }
}

fn zip_time<R: Read>(entry: &zip::read::ZipFile<'_, R>) -> Option<SystemTime> {
    let exact = entry.extra_data_fields().find_map(|field| match field {
        zip::ExtraField::ExtendedTimestamp(times) => times.mod_time(),
        _ => None,
    });
    let seconds = match exact {
        Some(seconds) => u64::from(seconds),
        None => {
            let time = entry.last_modified()?;
            let days = days_since_epoch(time.year().into(), time.month().into(), time.day().into())?;
            let clock = u64::from(time.hour()) * 3600 + u64::from(time.minute()) * 60 + u64::from(time.second());
            days * 86_400 + clock
        }
    };
    since_epoch(Duration::from_secs(seconds))
}

/// No file system keeps more than 34 bits of seconds.
fn since_epoch(time: Duration) -> Option<SystemTime> {
    let last = Duration::from_secs((1 << 34) - 1);
    SystemTime::UNIX_EPOCH.checked_add(time.min(last))
}

/// The days from 1970 to this one of the Gregorian calendar.
fn days_since_epoch(year: u64, month: u64, day: u64) -> Option<u64> {
    // Counted in years that begin with March, so that the day that comes and goes is their last.
    let (year, month) = if month > 2 { (year, month - 3) } else { (year.checked_sub(1)?, month + 9) };
    let days = year * 365 + year / 4 - year / 100 + year / 400 + (month * 153 + 2) / 5 + day.checked_sub(1)?;
    days.checked_sub(719_468)
}

/// How many bytes the directory of a zip takes, as its end says.
fn zip_directory_bytes(file: &mut File) -> io::Result<u64> {
    const END: [u8; 4] = *b"PK\x05\x06";
    const END_64: [u8; 4] = *b"PK\x06\x06";
    const TAIL: u64 = 65_535 + 22;
    let length = file.seek(SeekFrom::End(0))?;
    file.seek(SeekFrom::Start(length.saturating_sub(TAIL)))?;
    let mut tail = Vec::new();
    file.take(TAIL).read_to_end(&mut tail)?;
    file.seek(SeekFrom::Start(0))?;
    // A comment may hold what looks like another end: the worst counts.
    let worst = |sign: [u8; 4], at: usize, width: usize| {
        let ends = tail.windows(sign.len()).enumerate().filter(|(_, window)| *window == sign);
        ends.filter_map(|(end, _)| number(tail.get(end + at..end + at + width)?)).max()
    };
    match (worst(END, 12, 4), worst(END_64, 40, 8)) {
        // Then the other record tells, right in front of this one.
        (Some(0xffff_ffff), Some(long)) => Ok(long),
        (Some(short), _) => Ok(short),
        (None, _) => Err(io::Error::new(io::ErrorKind::InvalidData, "the zip has no end")),
    }
}

fn number(bytes: &[u8]) -> Option<u64> {
    (bytes.len() <= 8).then(|| bytes.iter().rev().fold(0, |number, byte| number << 8 | u64::from(*byte)))
}

/// Counts what comes out of the compression, against bombs.
struct Meter<'a, R> {
    inner: R,
    /// While headers are read: how much they may still take.
    headers_left: &'a Cell<u64>,
    left: u64,
    budget: &'a Budget<'a>,
}

impl<R: Read> Read for Meter<'_, R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        self.budget.check_wanted().map_err(io::Error::other)?;
        let count = self.inner.read(buffer)?;
        let left = self.left.checked_sub(count as u64);
        self.left = left.ok_or_else(|| io::Error::other(self.budget.too_large("what it unpacks to is")))?;
        let left = self.headers_left.get().checked_sub(count as u64);
        self.headers_left.set(left.ok_or_else(|| io::Error::other("its headers are too long"))?);
        Ok(count)
    }
}

#[cfg(test)]
mod tests {
    use super::{super::budget::Bound, *};
    use std::{fs, io::Write, os::unix::fs::PermissionsExt, time::UNIX_EPOCH};

    const LONG_AGO: u64 = 1_000_000_000;

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
            header.set_mtime(LONG_AGO);
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
        let place = Place::new(kernel::files::open_directory(sandbox.path()).unwrap());
        let kind = Kind::of(&archive).unwrap();
        let done = unpack(
            kind,
            Path::new(name),
            File::open(&archive).unwrap(),
            &place,
            &Budget::new(Bound { bytes: max, why: "allowed" }, &|| false),
        );
        (sandbox, done)
    }

    fn gz(bytes: &[u8]) -> Vec<u8> {
        let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
        encoder.write_all(bytes).unwrap();
        encoder.finish().unwrap()
    }

    #[test]
    fn every_kind_of_archive_is_unpacked() {
        let tar = good();
        let bz2 = {
            let mut encoder = bzip2::write::BzEncoder::new(Vec::new(), bzip2::Compression::fast());
            encoder.write_all(&tar).unwrap();
            encoder.finish().unwrap()
        };
        // Only whether it is an archive is told by the name.
        let cases = [
            ("a.tar", tar.clone()),
            ("a.tgz", gz(&tar)),
            ("a.tar.gz", gz(&tar)),
            ("a.tbz2", bz2.clone()),
            ("a.tar.xz", tar.clone()),
            ("a.zip", gz(&tar)),
            ("b.tar.gz", bz2),
            ("b.tgz", gz(&gz(&tar))),
        ];
        for (name, bytes) in cases {
            let (sandbox, done) = try_unpack(name, &bytes, 1 << 20);
            done.unwrap_or_else(|why| panic!("{name}: {why}"));
            assert_eq!(fs::read(sandbox.path().join("d/link")).unwrap(), b"hello", "{name}");
            let mode = fs::metadata(sandbox.path().join("d/run.sh")).unwrap().permissions().mode();
            assert_eq!(mode & 0o777, 0o755);
            let changed = fs::metadata(sandbox.path().join("d/run.sh")).unwrap().modified().unwrap();
            assert_eq!(changed, UNIX_EPOCH + Duration::from_secs(LONG_AGO), "{name}");
        }
        let (sandbox, done) = try_unpack("text.gz", &gz(b"plain"), 1 << 20);
        done.unwrap();
        assert_eq!(fs::read(sandbox.path().join("text")).unwrap(), b"plain");

        for method in [zip::CompressionMethod::Deflated, zip::CompressionMethod::Stored, zip::CompressionMethod::Bzip2]
        {
            let mut writer = zip::ZipWriter::new(io::Cursor::new(Vec::new()));
            let time = zip::DateTime::from_date_and_time(2001, 9, 9, 1, 46, 40).unwrap();
            let options = zip::write::SimpleFileOptions::default()
                .unix_permissions(0o755)
                .compression_method(method)
                .last_modified_time(time);
            writer.start_file("d/run.sh", options).unwrap();
            writer.write_all(b"hello").unwrap();
            let bytes = writer.finish().unwrap().into_inner();
            let (sandbox, done) = try_unpack("a.zip", &bytes, 1 << 20);
            done.unwrap();
            let metadata = fs::metadata(sandbox.path().join("d/run.sh")).unwrap();
            assert_eq!(metadata.permissions().mode() & 0o777, 0o755);
            assert_eq!(metadata.modified().unwrap(), UNIX_EPOCH + Duration::from_secs(LONG_AGO));
        }
    }

    #[test]
    fn xz_is_unpacked() {
        // `printf hi | xz` of a tar is long; a bare stream through the same decoder shows that it decodes.
        let sandbox = tempfile::tempdir().unwrap();
        let tar = sandbox.path().join("a.tar");
        fs::write(&tar, good()).unwrap();
        let Ok(done) = std::process::Command::new("xz").arg("-k").arg(&tar).status() else {
            testkit::skip("needs xz (apt-get install xz-utils)");
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
        let up = [entry("up", Type::Symlink, "..", b""), entry("up/x", Type::Regular, "", b"evil"), end.clone()];
        let cases: [(&str, Vec<u8>); 6] = [
            ("outside the sandbox", [entry("../evil", Type::Regular, "", b"evil"), end.clone()].concat()),
            ("outside the sandbox", [entry("/tmp/evil", Type::Regular, "", b"evil"), end.clone()].concat()),
            ("in the way", through_link.concat()),
            ("in the way", up.concat()),
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
    fn links_are_kept_and_those_inside_lead_where_they_point() {
        use tar::EntryType as Type;
        let bytes = [
            entry("usr/lib", Type::Directory, "", b""),
            entry("lib", Type::Symlink, "usr/lib", b""),
            entry("lib/x.conf", Type::Regular, "", b"x"),
            entry("bin/python", Type::Symlink, "/usr/bin/python3", b""),
            entry("again", Type::Link, "lib/x.conf", b""),
            vec![0; 1024],
        ];
        let (sandbox, done) = try_unpack("a.tar", &bytes.concat(), 1 << 20);
        done.unwrap();
        assert_eq!(fs::read(sandbox.path().join("usr/lib/x.conf")).unwrap(), b"x");
        assert_eq!(fs::read(sandbox.path().join("again")).unwrap(), b"x");
        assert_eq!(fs::read_link(sandbox.path().join("bin/python")).unwrap(), Path::new("/usr/bin/python3"));
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
    fn bombs_are_stopped() {
        let zeros = vec![0; 1 << 20];
        let (_sandbox, done) = try_unpack("bomb.gz", &gz(&zeros), 1 << 16);
        assert!(done.unwrap_err().contains("larger than the 65536 bytes"));
        let in_tar = gz(&[entry("zeros", tar::EntryType::Regular, "", &zeros), vec![0; 1024]].concat());
        let (_sandbox, done) = try_unpack("bomb.tgz", &in_tar, 1 << 16);
        assert!(done.unwrap_err().contains("what it unpacks to is larger than"));
        // A name is held in memory.
        let name = vec![b'n'; 2 << 20];
        let in_name = gz(&[entry("name", tar::EntryType::GNULongName, "", &name), vec![0; 1024]].concat());
        let (_sandbox, done) = try_unpack("bomb.tgz", &in_name, 1 << 30);
        assert!(done.unwrap_err().contains("headers are too long"));
    }

    #[test]
    fn a_zip_with_too_large_a_directory_is_not_read() {
        let mut end = b"PK\x05\x06".to_vec();
        end.resize(22, 0);
        end[12..16].copy_from_slice(&0x7fff_ffff_u32.to_le_bytes());
        let (_sandbox, done) = try_unpack("a.zip", &end, 1 << 20);
        assert!(done.unwrap_err().contains("its directory takes"));
    }

    #[test]
    fn what_is_no_archive_says_so() {
        let (_sandbox, done) = try_unpack("a.tar.gz", b"<html>not found</html>", 1 << 20);
        assert!(done.unwrap_err().contains("neither a tar"));
        let (_sandbox, done) = try_unpack("empty.tar", b"", 1 << 20);
        done.unwrap();
    }

    #[test]
    fn days_are_counted_as_the_calendar_does() {
        let days =
            [(1970, 1, 1, 0), (1970, 3, 1, 59), (2000, 2, 29, 11_016), (2000, 3, 1, 11_017), (2001, 9, 9, 11_574)];
        for (year, month, day, wanted) in days {
            assert_eq!(days_since_epoch(year, month, day), Some(wanted), "{year}-{month}-{day}");
        }
    }

    #[test]
    fn kinds_are_told_by_name() {
        let kind = |name: &str| Kind::of(Path::new(name));
        assert_eq!(kind("x/a.tar.bz2"), Some(Kind::Archive));
        assert_eq!(kind("a.txz"), Some(Kind::Archive));
        assert_eq!(kind("a.gz"), Some(Kind::Gz));
        assert_eq!(kind("a.txt"), None);
        assert_eq!(kind("tar"), None);
    }
}
