//! The binary format of ulid, which is that of uuid: exactly 16 bytes.

use std::io::Write;

use crate::preload::{DATABASE, start};

/// A row with one column in the binary format of COPY.
fn file(value: &[u8]) -> Vec<u8> {
    let mut file = b"PGCOPY\n\xff\r\n\0\0\0\0\0\0\0\0\0\0\x01".to_vec();
    file.extend(u32::try_from(value.len()).unwrap().to_be_bytes());
    file.extend(value);
    file.extend(b"\xff\xff");
    file
}

#[test]
fn trap_k09_sixteen_bytes_are_read_most_significant_first_and_others_are_refused() {
    let server = start(&[]);
    let mut client = server.connect(DATABASE).unwrap();
    client.batch_execute("CREATE TABLE t (id ulid)").unwrap();
    let mut load = |value: &[u8]| {
        let mut copy = client.copy_in("COPY t FROM STDIN (FORMAT binary)").unwrap();
        copy.write_all(&file(value)).unwrap();
        copy.finish()
            .map_err(|error| error.as_db_error().expect("the server's error").code().code().to_owned())
    };
    let bytes =
        [0x01, 0x56, 0x3e, 0x3a, 0xb5, 0xd3, 0xd6, 0x76, 0x4c, 0x61, 0xef, 0xb9, 0x93, 0x02, 0xbd, 0x5b];
    assert_eq!(load(&bytes), Ok(1));
    assert_eq!(load(&[0xff; 16]), Ok(1));
    // As for a uuid: the message is too short or too long.
    for (length, code) in [(0, "08P01"), (1, "08P01"), (15, "08P01"), (17, "22P03"), (26, "22P03")] {
        assert_eq!(load(&vec![0x30; length]), Err(code.to_owned()), "{length} bytes");
    }
    let texts: String =
        client.query_one("SELECT string_agg(id::text, ' ' ORDER BY id) FROM t", &[]).unwrap().get(0);
    assert_eq!(texts, "01ARZ3NDEKTSV4RRFFQ69G5FAV 7ZZZZZZZZZZZZZZZZZZZZZZZZZ");
}
