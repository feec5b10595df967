use super::*;

const POLICY: Policy =
    Policy { entries: 10, extended_header: 1000, extended_headers: 2000, takes: |key| key == "mtime" };

/// A header with a checksum that is right, then data, and what fills its last block.
fn entry(name: &str, kind: EntryType, data: &[u8]) -> Vec<u8> {
    let mut header = Header::new_ustar();
    header.set_entry_type(kind);
    header.set_mode(0o4755);
    header.set_uid(0);
    header.set_gid(42);
    header.set_mtime(1);
    header.set_size(data.len() as u64);
    header.as_old_mut().name[..name.len()].copy_from_slice(name.as_bytes());
    header.set_cksum();
    [header.as_bytes(), data, &vec![0; data.len().next_multiple_of(BLOCK) - data.len()]].concat()
}

fn extended(records: &[(&str, &[u8])]) -> Vec<u8> {
    let one = |(key, value): &(&str, &[u8])| pax::encode(&[((*key).to_owned(), value.to_vec())].into());
    entry("h", EntryType::XHeader, &records.iter().flat_map(one).collect::<Vec<_>>())
}

fn read(archive: &[Vec<u8>]) -> Result<Vec<Member>, String> {
    let bytes = archive.concat();
    let mut from = &*bytes;
    let mut reader = Reader::new(&mut from, POLICY);
    std::iter::from_fn(|| reader.next_member().map_err(|error| error.to_string()).transpose()).collect()
}

#[test]
fn members_are_read_with_what_headers_before_them_say() {
    let records = [("path", "ő".as_bytes()), ("SCHILY.xattr.user.x", b"a\nb"), ("mtime", b"7")];
    let archive = [
        entry("g", EntryType::XGlobalHeader, b"16 comment=abcd\n"),
        entry("d/", EntryType::Directory, b""),
        extended(&records),
        entry("cut", EntryType::Regular, b"abc"),
        entry("@", EntryType::GNULongName, b"long\0"),
        entry("cut", EntryType::Fifo, b""),
    ];
    let members = read(&archive).unwrap();
    let found: Vec<_> = members.iter().map(|member| (member.path.as_str(), &member.kind)).collect();
    assert_eq!(found, [("d/", &Kind::Directory), ("ő", &Kind::File), ("long", &Kind::Special(b'6'))]);
    let file = &members[1];
    assert_eq!(file.attributes.xattrs["user.x"], b"a\nb");
    assert_eq!((file.attributes.mode, file.attributes.gid, file.mtime().unwrap()), (0o4755, 42, 1));
    assert_eq!(file.records, [("mtime".to_owned(), b"7".to_vec())].into());
    let bytes = archive.concat();
    let begin = usize::try_from(file.position).unwrap();
    assert_eq!(&bytes[begin..][..3], b"abc");
}

#[test]
fn the_bytes_of_a_member_are_read_or_passed_over() {
    let archive = [entry("a", EntryType::Regular, &[1; 700]), entry("b", EntryType::Regular, &[2; 512])];
    for count in [0, 1, 600, 700] {
        let bytes = archive.concat();
        let mut from = &*bytes;
        let mut reader = Reader::new(&mut from, POLICY);
        reader.next_member().unwrap().unwrap();
        reader.read_exact(&mut vec![0; count]).unwrap();
        assert_eq!(reader.next_member().unwrap().unwrap().path, "b", "{count}");
        let mut content = Vec::new();
        reader.read_to_end(&mut content).unwrap();
        assert_eq!(content, [2; 512]);
        assert!(reader.next_member().unwrap().is_none());
    }
}

#[test]
fn what_readers_understand_differently_is_refused() {
    let file = || entry("a", EntryType::Regular, b"");
    let refused = |before: &[Vec<u8>]| read(&[before, &[file()]].concat()).unwrap_err();
    let long = |name: &[u8]| entry("@", EntryType::GNULongName, name);
    assert_eq!(refused(&[extended(&[("mtime", b"1")]), extended(&[])]), "`h`: it has two extended headers");
    assert_eq!(
        refused(&[extended(&[("path", b"x"), ("path", b"y")])]),
        "`h`: its extended headers have `path` twice"
    );
    assert_eq!(refused(&[long(b"x\0"), long(b"y\0")]), "`@`: it has two long names");
    assert!(refused(&[extended(&[("path", b"x")]), long(b"y\0")]).contains("two long names"));
    assert!(refused(&[long(b"y\0"), extended(&[("path", b"x")])]).contains("twice"));
    assert!(refused(&[extended(&[("uid", b"1")])]).contains("`uid`, which is not supported"));
    assert!(refused(&[extended(&[("SCHILY.xattr.", b"1")])]).contains("not supported"));
    assert!(refused(&[entry("g", EntryType::XGlobalHeader, b"10 path=a\n")]).contains("global"));
    assert!(refused(&[long(b"a\0b\0")]).contains("a name holds a NUL"));
    assert!(refused(&[long(b"\xff\0")]).contains("a name is not UTF-8"));
    assert!(refused(&[long(&[b'x'; 1001])]).contains("limit 1000"));
    assert!(read(&[extended(&[])]).unwrap_err().contains("followed by nothing"));
    let mut changed = file();
    changed[0] = b'b';
    assert_eq!(read(&[changed]).unwrap_err(), "the checksum of a header is wrong");
    assert_eq!(read(&[file(), vec![0; 1024], file()]).unwrap_err(), "data follows the end of the archive");
}
