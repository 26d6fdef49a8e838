//! Dumps and restores columns of type ulid.

use std::process::Stdio;

use crate::preload::{DATABASE, start};

const SCHEMA: &str = "
    CREATE TABLE parcel (id ulid PRIMARY KEY DEFAULT ulid(), sender ulid REFERENCES parcel, stops ulid[],
                         CHECK (id >= '00000000000000000000000000'::ulid)) PARTITION BY RANGE (id);
    CREATE TABLE parcel_old PARTITION OF parcel FOR VALUES FROM (MINVALUE) TO ('01HK153X000000000000000000');
    CREATE TABLE parcel_new PARTITION OF parcel FOR VALUES FROM ('01HK153X000000000000000000') TO (MAXVALUE);
    CREATE INDEX parcel_sender ON parcel USING hash (sender);
    CREATE INDEX parcel_time ON parcel USING brin (id ulid_minmax_multi_ops);
    CREATE VIEW recent AS SELECT id::timestamptz AS at, max(sender) AS sender FROM parcel GROUP BY id;
    INSERT INTO parcel VALUES ('00000000000000000000000000', NULL, '{7ZZZZZZZZZZZZZZZZZZZZZZZZZ,NULL}'),
                              ('7ZZZZZZZZZZZZZZZZZZZZZZZZZ', '00000000000000000000000000', '{}');
    INSERT INTO parcel (id) SELECT ulid_from_timestamp('2023-12-01'::timestamptz + n * interval '1 hour', n)
    FROM generate_series(1, 2000) n;";

const CONTENTS: &str =
    "SELECT md5(string_agg(tableoid::regclass::text || p::text, ' ' ORDER BY id)) FROM parcel AS p";

#[test]
fn trap_k11_a_dump_restores_tables_with_ulids() {
    let server = start(&[]);
    let mut client = server.connect(DATABASE).unwrap();
    client.batch_execute(SCHEMA).unwrap();
    let before: String = client.query_one(CONTENTS, &[]).unwrap().get(0);
    for (format, extension) in [("plain", "sql"), ("custom", "dump")] {
        let file = server.socket_dir().join(format!("parcel.{extension}"));
        let dump = server
            .tree()
            .command("pg_dump")
            .arg(format!("--dbname={}", server.conninfo(DATABASE)))
            .args(["--format", format, "--file"])
            .arg(&file)
            .stdin(Stdio::null())
            .output()
            .unwrap();
        assert!(dump.status.success(), "{}", String::from_utf8_lossy(&dump.stderr));
        client.batch_execute(&format!("CREATE DATABASE restored_{format} TEMPLATE template0")).unwrap();
        let target = server.conninfo(&format!("restored_{format}"));
        let mut restore = match format {
            "plain" => {
                let mut psql = server.tree().command("psql");
                psql.args(["--no-psqlrc", "--quiet", "--set=ON_ERROR_STOP=1", "--dbname", &target, "--file"]);
                psql
            }
            _ => {
                let mut restore = server.tree().command("pg_restore");
                restore.args(["--exit-on-error", "--dbname", &target]);
                restore
            }
        };
        let restored = restore.arg(&file).stdin(Stdio::null()).output().unwrap();
        assert!(restored.status.success(), "{}", String::from_utf8_lossy(&restored.stderr));
        let mut client = server.connect(&format!("restored_{format}")).unwrap();
        let after: String = client.query_one(CONTENTS, &[]).unwrap().get(0);
        assert_eq!(before, after, "{format}");
        // The default, the key and the view still work.
        client.batch_execute("INSERT INTO parcel DEFAULT VALUES").unwrap();
        let rows: i64 = client.query_one("SELECT count(*) FROM recent", &[]).unwrap().get(0);
        assert_eq!(rows, 2_003);
    }
}
