//! Tests of keys that need a server and cannot be written in SQL.
#![allow(clippy::unwrap_used, clippy::expect_used)]

#[pgrx::pg_schema]
mod tests {
    use keyspace::keys::{Instant, UuidV7Layout};
    use pgrx::prelude::*;

    use super::super::generate;

    /// Runs a query with a text argument that returns one row of numbers.
    fn numbers<const N: usize>(query: &str, argument: &str) -> [i64; N] {
        Spi::connect(|client| {
            let row = client.select(query, Some(1), &[argument.into()]).unwrap().first();
            std::array::from_fn(|n| row.get(n + 1).unwrap().expect("a number"))
        })
    }

    #[pg_test]
    fn derived_keys_are_those_of_the_vectors() {
        let lines = include_str!("../../crates/keyspace/vectors/derived_keys.csv");
        let [all, right] = numbers(
            "WITH v AS (
                 SELECT split_part(l, ',', 1) AS kind, split_part(l, ',', 3)::timestamptz AS ts,
                        split_part(l, ',', 4)::bigint AS id, split_part(l, ',', 5) AS salt, split_part(l, ',', 6) AS key
                 FROM regexp_split_to_table(btrim($1, E'\\n'), E'\\n') WITH ORDINALITY t (l, n) WHERE n > 1)
             SELECT count(*), count(*) FILTER (WHERE CASE kind
                 WHEN 'uuid' THEN uuidv7_from_timestamp(ts, id, salt)::text = key
                     AND (salt <> '' OR uuidv7_from_timestamp(ts, id)::text = key)
                     AND uuidv7_to_id(key::uuid, salt) = id AND uuidv7_to_timestamp(key::uuid) = ts
                 WHEN 'ulid' THEN ulid_from_timestamp(ts, id, salt)::text = key
                     AND (salt <> '' OR ulid_from_timestamp(ts, id)::text = key)
                     AND ulid_to_id(key::ulid, salt) = id AND ulid_to_timestamp(key::ulid) = ts
                 END) FROM v",
            lines,
        );
        assert_eq!((all, right), (2_188, 2_188));
    }

    #[pg_test]
    fn undated_keys_are_those_of_the_vectors() {
        let lines = include_str!("../../crates/keyspace/vectors/undated_keys.csv");
        let [all, right] = numbers(
            "WITH v AS (
                 SELECT split_part(l, ',', 1) AS kind, split_part(l, ',', 2)::bigint AS id,
                        split_part(l, ',', 3) AS salt, split_part(l, ',', 4) AS key
                 FROM regexp_split_to_table(btrim($1, E'\\n'), E'\\n') WITH ORDINALITY t (l, n) WHERE n > 1)
             SELECT count(*), count(*) FILTER (WHERE key = CASE kind
                 WHEN 'uuid' THEN key_migration_uuid(NULL, id, salt)::text
                 WHEN 'ulid' THEN key_migration_ulid(NULL, id, salt)::text
                 END) FROM v",
            lines,
        );
        assert_eq!((all, right), (222, 222));
    }

    #[pg_test]
    fn undated_values_are_those_of_the_vectors() {
        let lines = include_str!("../../crates/keyspace/vectors/undated_values.csv");
        let [all, right] = numbers(
            "WITH v AS (
                 SELECT split_part(l, ',', 1) || ' of ' || split_part(l, ',', 2) AS kind,
                        split_part(l, ',', 3) AS value, split_part(l, ',', 4) AS salt, split_part(l, ',', 5) AS key
                 FROM regexp_split_to_table(btrim($1, E'\\n'), E'\\n') WITH ORDINALITY t (l, n) WHERE n > 1)
             SELECT count(*), count(*) FILTER (WHERE key = CASE kind
                 WHEN 'uuid of uuid' THEN key_migration_uuid(NULL, value::uuid, salt)::text
                 WHEN 'uuid of text' THEN key_migration_uuid(NULL, value, salt)::text
                 WHEN 'ulid of uuid' THEN key_migration_ulid(NULL, value::uuid, salt)::text
                 WHEN 'ulid of text' THEN key_migration_ulid(NULL, value, salt)::text
                 END) FROM v",
            lines,
        );
        assert_eq!((all, right), (282, 282));
    }

    #[pg_test]
    fn hashed_keys_are_those_of_the_vectors() {
        let lines = include_str!("../../crates/keyspace/vectors/hashed_keys.csv");
        let [all, right] = numbers(
            "WITH v AS (
                 SELECT split_part(l, ',', 1) || ' of ' || split_part(l, ',', 4) AS kind,
                        split_part(l, ',', 3)::timestamptz AS ts, split_part(l, ',', 5) AS value,
                        split_part(l, ',', 6) AS salt, split_part(l, ',', 7) AS key
                 FROM regexp_split_to_table(btrim($1, E'\\n'), E'\\n') WITH ORDINALITY t (l, n) WHERE n > 1)
             SELECT count(*), count(*) FILTER (WHERE key = CASE kind
                 WHEN 'uuid of bigint' THEN uuidv7_from_timestamp_hashed(ts, value::bigint, salt)::text
                 WHEN 'uuid of uuid' THEN uuidv7_from_timestamp_hashed(ts, value::uuid, salt)::text
                 WHEN 'uuid of text' THEN uuidv7_from_timestamp_hashed(ts, value, salt)::text
                 WHEN 'ulid of bigint' THEN ulid_from_timestamp_hashed(ts, value::bigint, salt)::text
                 WHEN 'ulid of uuid' THEN ulid_from_timestamp_hashed(ts, value::uuid, salt)::text
                 WHEN 'ulid of text' THEN ulid_from_timestamp_hashed(ts, value, salt)::text
                 END) FROM v",
            lines,
        );
        assert_eq!((all, right), (252, 252));
    }

    #[pg_test]
    fn trap_k06_foreign_uuids_give_null() {
        let [found] = numbers(
            "SELECT count(uuidv7_to_timestamp(u)) + count(uuidv7_to_id(u)) + count(uuidv7_to_id(u, $1))
             FROM (SELECT gen_random_uuid() AS u FROM generate_series(1, 10000)) r",
            "salt",
        );
        assert_eq!(found, 0);
    }

    #[pg_test]
    fn trap_k11_binary_copy_brings_every_ulid_back() {
        let file = std::env::temp_dir().join(format!("pg_keyspace_binary_copy_{}", std::process::id()));
        let path = file.to_str().unwrap();
        Spi::run("CREATE TEMP TABLE before (n bigint, id ulid)").unwrap();
        Spi::run("INSERT INTO before SELECT n, ulid() FROM generate_series(1, 1000) n").unwrap();
        Spi::run(
            "INSERT INTO before VALUES (0, '00000000000000000000000000'), (-1, '7ZZZZZZZZZZZZZZZZZZZZZZZZZ')",
        )
        .unwrap();
        Spi::run("CREATE TEMP TABLE after (LIKE before)").unwrap();
        Spi::run(&format!("COPY before TO '{path}' WITH (FORMAT binary)")).unwrap();
        Spi::run(&format!("COPY after FROM '{path}' WITH (FORMAT binary)")).unwrap();
        std::fs::remove_file(&file).unwrap();
        let [same] = numbers(
            "SELECT count(*) FROM before JOIN after USING (n, id) WHERE n < length($1)",
            &" ".repeat(2_000),
        );
        assert_eq!(same, 1_002);
    }

    #[pg_test]
    fn trap_k16_a_long_or_compressed_salt_is_read_whole() {
        let [different, same] = numbers(
            "WITH s AS (SELECT repeat($1, 50000) AS salt), stored AS (SELECT salt, salt || '' AS again FROM s)
             SELECT count(*) FILTER (WHERE uuidv7_from_timestamp('epoch'::timestamptz, 1, salt) <> uuidv7_from_timestamp('epoch'::timestamptz, 1, salt || 'x')),
                    count(*) FILTER (WHERE uuidv7_from_timestamp('epoch'::timestamptz, 1, salt) = uuidv7_from_timestamp('epoch'::timestamptz, 1, again))
             FROM stored",
            "salt ",
        );
        assert_eq!((different, same), (1, 1));
        Spi::run("CREATE TEMP TABLE salts (salt text)").unwrap();
        Spi::run("INSERT INTO salts SELECT repeat('salt ', 50000)").unwrap();
        let [stored] = numbers(
            "SELECT count(*) FROM salts
             WHERE pg_column_size(salt) < 10000
               AND uuidv7_from_timestamp('epoch'::timestamptz, 1, salt) = uuidv7_from_timestamp('epoch'::timestamptz, 1, repeat($1, 50000))",
            "salt ",
        );
        assert_eq!(stored, 1, "compressed on disk");
    }

    /// The first random bits that a forked process takes. `known_to_postgres` says whether the
    /// process knows its own id, as PostgreSQL's processes do.
    fn first_bits_after_fork(known_to_postgres: bool) -> uuid::Uuid {
        let mut pipe = [0; 2];
        // SAFETY: the child uses nothing but this module's state, and exits at once by _exit, which
        // runs no clean-up of the server.
        unsafe {
            assert_eq!(libc::pipe(pipe.as_mut_ptr()), 0);
            let child = libc::fork();
            assert!(child >= 0);
            if child == 0 {
                if known_to_postgres {
                    pg_sys::MyProcPid = libc::getpid();
                }
                let bytes = generate::random_at::<UuidV7Layout>(Instant::MIN).into_bytes();
                libc::write(pipe[1], bytes.as_ptr().cast(), 16);
                libc::_exit(0);
            }
            let mut bytes = [0; 16];
            assert_eq!(libc::read(pipe[0], bytes.as_mut_ptr().cast(), 16), 16);
            libc::waitpid(child, std::ptr::null_mut(), 0);
            libc::close(pipe[0]);
            libc::close(pipe[1]);
            uuid::Uuid::from_bytes(bytes)
        }
    }

    #[pg_test]
    fn trap_k01_processes_forked_from_a_seeded_one_share_no_stream() {
        generate::random_at::<UuidV7Layout>(Instant::MIN);
        let (first, second) = (first_bits_after_fork(true), first_bits_after_fork(true));
        let copies = (first_bits_after_fork(false), first_bits_after_fork(false));
        let own = generate::random_at::<UuidV7Layout>(Instant::MIN);
        assert_eq!(copies.0, own, "without the check a copy of the process takes the same bits");
        assert_eq!(copies.1, own);
        assert_ne!(first, second);
        assert_ne!(first, own);
        assert_ne!(second, own);
    }

    #[pg_test]
    fn trap_k08_ties_by_the_thousand_stay_in_order() {
        let keys: Vec<_> = (0..1_000_000).map(|_| generate::uuidv7()).collect();
        assert!(keys.windows(2).all(|pair| pair[0] < pair[1]));
        let keys: Vec<_> = (0..1_000_000).map(|_| generate::ulid()).collect();
        assert!(keys.windows(2).all(|pair| pair[0] < pair[1]));
    }

    /// Every line `SELECT ...; -- result` of the reference must be true.
    #[pg_test]
    fn the_examples_of_the_reference_hold() {
        Spi::run("SET timezone = 'UTC'; SET datestyle = 'ISO'").unwrap();
        let mut examples = 0;
        for line in include_str!("../../docs/reference/keys.md").lines() {
            if let Some((query, expected)) = line.split_once("; -- ").filter(|_| line.starts_with("SELECT "))
            {
                let found = Spi::connect(|client| {
                    let row = client.select(&format!("SELECT ({query})::text"), None, &[]).unwrap().first();
                    row.get::<String>(1).unwrap().unwrap_or_else(|| "NULL".to_owned())
                });
                assert_eq!(found, expected, "{query}");
                examples += 1;
            }
        }
        assert!(examples >= 20, "{examples} examples found");
    }
}
