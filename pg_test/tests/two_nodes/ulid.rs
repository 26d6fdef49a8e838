//! Replication of columns of type ulid.

use pg_test::replication::Method;

use crate::pair::{DATABASE, MAKERS, Pair};

const LEAST: &str = "00000000000000000000000000";
const GREATEST: &str = "7ZZZZZZZZZZZZZZZZZZZZZZZZZ";
const SOME: &str = "01ARZ3NDEKTSV4RRFFQ69G5FAV";

/// In text format, and with native replication in binary format, too. pglogical chooses the format
/// itself.
#[test]
fn trap_k11_ulids_are_replicated_in_text_and_binary() {
    let pair = Pair::start();
    pair.execute("CREATE TABLE parcel (id ulid PRIMARY KEY, sender ulid, stops ulid[])");
    pair.replicate();
    let [mut one, mut two] = pair.clients();
    for binary in [false, true] {
        if pair.method == Method::Native {
            let set = format!("ALTER SUBSCRIPTION from_{} SET (binary = {binary})", MAKERS[0]);
            two.batch_execute(&set).unwrap();
        }
        one.batch_execute(&format!(
            "INSERT INTO parcel VALUES ('{LEAST}', NULL, '{{{SOME},NULL}}'), ('{SOME}', '{LEAST}', '{{}}'),
                                       ('{GREATEST}', '{SOME}', NULL)"
        ))
        .unwrap();
        pair.wait_until_applied();
        let all = "SELECT string_agg(p::text, ' ' ORDER BY id) FROM parcel AS p";
        let arrived: String = two.query_one(all, &[]).unwrap().get(0);
        assert_eq!(
            arrived,
            format!("({LEAST},,\"{{{SOME},NULL}}\") ({SOME},{LEAST},{{}}) ({GREATEST},{SOME},)"),
            "binary = {binary}"
        );
        // Rows are found by a key of this type.
        one.batch_execute(&format!(
            "UPDATE parcel SET sender = '{GREATEST}' WHERE id = '{LEAST}'; DELETE FROM parcel WHERE id <> '{LEAST}'"
        ))
        .unwrap();
        pair.wait_until_applied();
        let arrived: String = two.query_one(all, &[]).unwrap().get(0);
        assert_eq!(arrived, format!("({LEAST},{GREATEST},\"{{{SOME},NULL}}\")"), "binary = {binary}");
        one.batch_execute("DELETE FROM parcel").unwrap();
        pair.wait_until_applied();
    }
    assert_eq!(pair.conflicts(), 0);
    assert!(pair.is_equal());
    let binary: i64 = match pair.method {
        Method::Native => {
            two.query_one("SELECT count(*) FROM pg_subscription WHERE subbinary", &[]).unwrap().get(0)
        }
        Method::Pglogical => 1,
    };
    assert_eq!(binary, 1, "the second round was binary in database {DATABASE}");
}
