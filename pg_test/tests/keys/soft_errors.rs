//! Text that is not a ULID, if the caller wants a result instead of an error: PostgreSQL 16 and
//! later.

use crate::preload::{DATABASE, start};

#[test]
fn trap_k07_bad_text_can_be_tested_and_skipped() {
    let server = start(&[]);
    let major = server.tree().major();
    if major < 16 {
        println!("skipped: PostgreSQL {major} has no pg_input_is_valid");
        return;
    }
    let mut client = server.connect(DATABASE).unwrap();
    for (text, valid) in [
        ("01ARZ3NDEKTSV4RRFFQ69G5FAV", true),
        ("01arz3ndektsv4rrffq69g5fav", true),
        ("8ZZZZZZZZZZZZZZZZZZZZZZZZZ", false),
        ("01ARZ3NDEKTSV4RRFFQ69G5FAU", false),
        ("", false),
    ] {
        let row = client
            .query_one(
                "SELECT pg_input_is_valid($1, 'ulid'), message, sql_error_code FROM pg_input_error_info($1, 'ulid')",
                &[&text],
            )
            .unwrap();
        assert_eq!(row.get::<_, bool>(0), valid, "{text}");
        let found = (row.get::<_, Option<String>>(1), row.get::<_, Option<String>>(2));
        let message = format!("invalid input syntax for type ulid: \"{text}\"");
        let expected = if valid { (None, None) } else { (Some(message), Some("22P02".to_owned())) };
        assert_eq!(found, expected);
    }
    if major >= 17 {
        client.batch_execute("CREATE TABLE loaded (id ulid)").unwrap();
        let mut rows = client.copy_in("COPY loaded FROM STDIN (ON_ERROR ignore)").unwrap();
        std::io::Write::write_all(
            &mut rows,
            b"01ARZ3NDEKTSV4RRFFQ69G5FAV\nnonsense\n01ARZ3NDEKTSV4RRFFQ69G5FAW\n",
        )
        .unwrap();
        rows.finish().unwrap();
        assert_eq!(client.query_one("SELECT count(*) FROM loaded", &[]).unwrap().get::<_, i64>(0), 2);
    }
}
