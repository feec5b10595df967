//! Tells the filesystem of a device by its superblock, so that the right one is asked first: an attempt with a wrong
//! type fails as "busy" where the device is mounted already, and the kernel loads only the module it is asked for.

use std::fs::File;
use std::os::unix::fs::FileExt;
use std::path::Path;

/// Where a superblock says what it is.
const MAGIC: [(u64, &[u8], &str); 10] = [
    (0, b"XFSB", "xfs"),
    (0x10040, b"_BHRfS_M", "btrfs"),
    (0, b"hsqs", "squashfs"),
    (1024, &[0xE2, 0xE1, 0xF5, 0xE0], "erofs"),
    (1024, &[0x10, 0x20, 0xF5, 0xF2], "f2fs"),
    (32769, b"CD001", "iso9660"),
    (3, b"EXFAT   ", "exfat"),
    (3, b"NTFS    ", "ntfs3"),
    (82, b"FAT32   ", "vfat"),
    (54, b"FAT1", "vfat"),
];

/// The filesystem type of a device, where it is one that is known here.
pub(crate) fn fstype(device: &Path) -> Option<&'static str> {
    use std::os::unix::fs::FileTypeExt;
    // Opening anything else may block, or mean something.
    if !device.metadata().ok()?.file_type().is_block_device() {
        return None;
    }
    let device = File::open(device).ok()?;
    recognise(|offset, bytes| device.read_exact_at(bytes, offset).is_ok())
}

/// The same, for whatever `read` reads; it says whether there was enough to fill the buffer.
fn recognise(read: impl Fn(u64, &mut [u8]) -> bool) -> Option<&'static str> {
    let found = MAGIC.iter().find(|(offset, magic, _)| {
        let mut bytes = [0; 8];
        read(*offset, &mut bytes[..magic.len()]) && bytes[..magic.len()] == **magic
    });
    found.map(|(.., fstype)| *fstype).or_else(|| ext(read))
}

/// ext2, ext3 or ext4, by the features in use (Documentation/filesystems/ext4/super.rst of the kernel).
fn ext(read: impl Fn(u64, &mut [u8]) -> bool) -> Option<&'static str> {
    let mut block = [0; 0x68];
    if !read(1024, &mut block) || block[0x38..0x3A] != [0x53, 0xEF] {
        return None;
    }
    let word = |at: usize| u32::from_le_bytes([block[at], block[at + 1], block[at + 2], block[at + 3]]);
    let (compatible, incompatible, read_only) = (word(0x5C), word(0x60), word(0x64));
    // What ext3 knows: file types, recovery, meta block groups; sparse superblocks, large files, hashed directories.
    if incompatible & !0x16 != 0 || read_only & !0x7 != 0 {
        return Some("ext4");
    }
    Some(if compatible & 0x4 != 0 { "ext3" } else { "ext2" })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn with(parts: &[(usize, &[u8])]) -> Option<&'static str> {
        let mut image = vec![0; 0x11000];
        for (offset, bytes) in parts {
            image[*offset..offset + bytes.len()].copy_from_slice(bytes);
        }
        recognise(|offset, bytes| {
            let offset = usize::try_from(offset).unwrap();
            image.get(offset..offset + bytes.len()).is_some_and(|from| {
                bytes.copy_from_slice(from);
                true
            })
        })
    }

    #[test]
    fn superblocks_are_recognised() {
        let magic: (usize, &[u8]) = (1024 + 0x38, &[0x53, 0xEF]);
        assert_eq!(with(&[]), None);
        assert_eq!(with(&[magic]), Some("ext2"));
        assert_eq!(with(&[magic, (1024 + 0x5C, &[4])]), Some("ext3"));
        assert_eq!(with(&[magic, (1024 + 0x5C, &[4]), (1024 + 0x60, &[0x42])]), Some("ext4"));
        assert_eq!(with(&[magic, (1024 + 0x64, &[8])]), Some("ext4"));
        assert_eq!(with(&[(0, b"XFSB")]), Some("xfs"));
        assert_eq!(with(&[(0x10040, b"_BHRfS_M")]), Some("btrfs"));
        assert_eq!(with(&[(54, b"FAT16   ")]), Some("vfat"));
        assert_eq!(recognise(|_, _| false), None);
        assert_eq!(fstype(Path::new("/etc/passwd")), None);
    }
}
