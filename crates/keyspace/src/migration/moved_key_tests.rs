//! Primary keys that move at the cut-over.

#![allow(clippy::unwrap_used, clippy::expect_used)]

use super::facts::{Dependent, Facts, Index};
use super::foreign_keys;
use super::tests::{AUDIT, ORDERS, cut_over, foreign_key, index, roll_back, shop, statements, verified};
use super::{Options, Phase, Scope, cutover, plan, settle};

/// The shop when everything but the cut-over is done.
fn ready() -> (Facts, Options) {
    let (mut facts, mut options) = verified();
    options.move_primary_key = true;
    facts.tables[0].indexes.push(Index { is_unique: true, ..index(15, "orders_pkey_old", &[1], false) });
    facts.tables[1].indexes.push(Index { is_unique: true, ..index(25, "Audit_pkey_old", &[1, 2], false) });
    (facts, options)
}

/// The catalogs after the cut-over.
fn moved() -> (Facts, Options) {
    let (mut facts, mut options) = ready();
    options.cut_over = true;
    let [orders, audit] = &mut facts.tables[..] else { panic!() };
    orders.columns[0].name = "id_old".to_owned();
    orders.columns[2].name = "replaces_old".to_owned();
    orders.columns[3].name = "id".to_owned();
    orders.columns[4].name = "replaces".to_owned();
    audit.columns[0].name = "order_id_old".to_owned();
    audit.columns[2].name = "order_id".to_owned();
    let primary = |oid, name, columns: &[i16]| index(oid, name, columns, true);
    orders.indexes = vec![
        primary(13, "orders_pkey", &[4]),
        index(12, "orders_replaces_idx_old", &[3], false),
        index(14, "orders_replaces_idx", &[5], false),
        Index { is_unique: true, ..index(15, "orders_pkey_old", &[1], false) },
    ];
    audit.indexes = vec![
        primary(22, "Audit_pkey", &[3, 2]),
        Index { is_unique: true, ..index(25, "Audit_pkey_old", &[1, 2], false) },
    ];
    facts.foreign_keys = vec![
        foreign_key("orders_replaces_fkey", (ORDERS, &[5]), (ORDERS, &[4])),
        foreign_key("Audit_order_id_fkey", (AUDIT, &[3]), (ORDERS, &[4])),
    ];
    for reference in &mut facts.references {
        reference.declared = false;
    }
    foreign_keys::declare(&mut facts, &options);
    (facts, options)
}

fn places(statements: &[String], wanted: &[&str]) -> Vec<usize> {
    let place = |wanted: &&str| {
        let place = statements.iter().position(|statement| statement == wanted);
        place.unwrap_or_else(|| panic!("no {wanted} in {statements:#?}"))
    };
    wanted.iter().map(place).collect()
}

#[test]
fn fault_c21_the_index_that_keeps_old_ids_unique_is_built_last_and_dropped_if_not_needed() {
    let (facts, options) = (shop(), Options { move_primary_key: true, ..super::tests::options() });
    let indexed = statements(&facts, &options, Phase::Indexed);
    places(&indexed, &["CREATE UNIQUE INDEX CONCURRENTLY orders_pkey_old ON shop.orders USING btree (id)"]);
    let order = places(
        &indexed,
        &[
            "CREATE UNIQUE INDEX CONCURRENTLY \"Audit_pkey_new\" ON shop.\"Audit\" USING btree (order_id_new, no)",
            "CREATE UNIQUE INDEX CONCURRENTLY \"Audit_pkey_old\" ON shop.\"Audit\" USING btree (order_id, no)",
        ],
    );
    assert!(order.is_sorted());
    let (mut facts, mut options) = ready();
    assert_eq!(statements(&facts, &options, Phase::Indexed), Vec::<String>::new());
    facts.tables[0].indexes[4].is_valid = false;
    let again = statements(&facts, &options, Phase::Indexed);
    assert_eq!(again[0], "DROP INDEX CONCURRENTLY shop.orders_pkey_old");
    assert!(again[1].starts_with("CREATE UNIQUE INDEX CONCURRENTLY orders_pkey_old "));
    options.move_primary_key = false;
    let dropped = statements(&facts, &options, Phase::Indexed);
    assert_eq!(dropped.len(), 2, "{dropped:?}");
    assert!(dropped.iter().all(|statement| statement.starts_with("DROP INDEX CONCURRENTLY ")));
    let removed = cutover::remove(&facts, &options);
    places(&removed, &["DROP INDEX shop.orders_pkey_old", "DROP INDEX shop.\"Audit_pkey_old\""]);
}

#[test]
fn fault_c21_primary_keys_and_foreign_keys_move_at_the_cut_over() {
    let (facts, options) = ready();
    let all = cut_over(&facts, &options);
    let order = places(
        &all,
        &[
            "ALTER TABLE shop.\"Audit\" DROP CONSTRAINT \"Audit_order_id_fkey\"",
            "ALTER TABLE shop.orders DROP CONSTRAINT orders_pkey",
            "ALTER TABLE shop.orders ADD CONSTRAINT orders_pkey PRIMARY KEY USING INDEX orders_pkey_new",
            "ALTER TABLE shop.\"Audit\" DROP CONSTRAINT \"Audit_pkey\"",
            "ALTER TABLE shop.\"Audit\" ADD CONSTRAINT \"Audit_pkey\" PRIMARY KEY USING INDEX \"Audit_pkey_new\"",
            "ALTER TABLE shop.\"Audit\" RENAME CONSTRAINT \"Audit_order_id_fkey_new\" TO \"Audit_order_id_fkey\"",
        ],
    );
    assert!(order.is_sorted(), "{all:#?}");
    assert!(!all.iter().any(|statement| statement.contains("fkey_old") || statement.contains("pkey_old")));
}

#[test]
fn fault_c21_a_rollback_moves_them_back() {
    let (facts, options) = moved();
    assert!(facts.references.iter().all(|reference| reference.declared), "by the foreign keys on keys");
    let all = roll_back(&facts, &options);
    let order = places(
        &all,
        &[
            "ALTER TABLE shop.\"Audit\" DROP CONSTRAINT \"Audit_order_id_fkey\"",
            "ALTER TABLE shop.orders DROP CONSTRAINT orders_pkey",
            "ALTER TABLE shop.orders RENAME COLUMN id_old TO id",
            "ALTER TABLE shop.orders ADD CONSTRAINT orders_pkey PRIMARY KEY USING INDEX orders_pkey_old",
            "ALTER TABLE shop.\"Audit\" ADD CONSTRAINT \"Audit_pkey\" PRIMARY KEY USING INDEX \"Audit_pkey_old\"",
            "ALTER TABLE shop.\"Audit\" ADD CONSTRAINT \"Audit_order_id_fkey\" FOREIGN KEY (order_id) REFERENCES shop.orders (id) NOT VALID",
            "COMMENT ON CONSTRAINT \"Audit_order_id_fkey\" ON shop.\"Audit\" IS '(moved by a key migration, and not validated yet)'",
        ],
    );
    assert!(order.is_sorted(), "{all:#?}");
    // It is then validated without blocking writers; until then the reference counts as declared.
    let (mut facts, options) = ready();
    facts.foreign_keys.retain(|key| !key.name.ends_with("_new"));
    facts.foreign_keys[1].validated = false;
    facts.foreign_keys[1].comment =
        Some("known (moved by a key migration, and not validated yet)".to_owned());
    facts.references[0].declared = false;
    foreign_keys::declare(&mut facts, &options);
    assert!(facts.references[0].declared);
    let steps = settle::steps(&Scope::new(&facts, &options).unwrap());
    let [step] = &steps[..] else { panic!("{steps:?}") };
    assert_eq!(
        step.statements,
        [
            "ALTER TABLE shop.\"Audit\" VALIDATE CONSTRAINT \"Audit_order_id_fkey\"",
            "COMMENT ON CONSTRAINT \"Audit_order_id_fkey\" ON shop.\"Audit\" IS 'known'",
        ]
    );
    assert_eq!(step.lock.map(super::step::Lock::name), Some("SHARE UPDATE EXCLUSIVE"));
    let unmark = "COMMENT ON CONSTRAINT \"Audit_order_id_fkey\" ON shop.\"Audit\" IS 'known'";
    places(&cutover::remove(&facts, &options), &[unmark]);
}

#[test]
fn fault_c21_a_rollback_is_refused_if_the_primary_key_cannot_move_back() {
    let (mut facts, options) = moved();
    let error = |facts: &Facts| {
        cutover::roll_back(&Scope::new(facts, &options).unwrap()).unwrap_err().detail.unwrap()
    };
    facts.tables[0].indexes[0].constraint.as_mut().unwrap().dependents = vec!["view v".to_owned()];
    assert_eq!(error(&facts), "It is needed by view v.");
    facts.tables[0].indexes.pop();
    assert_eq!(error(&facts), "The unique index on the old ids is missing, or not valid.");
}

#[test]
fn fault_c21_primary_keys_that_stay_are_announced() {
    let why = |change: &dyn Fn(&mut Facts)| {
        let (mut facts, options) = ready();
        change(&mut facts);
        let plan = plan::plan(&facts, &options).unwrap();
        let found = plan.findings.iter().find(|finding| finding.error.message.contains("does not move"));
        let all = cut_over(&facts, &options);
        let stays = !all.iter().any(|statement| statement.contains("DROP CONSTRAINT orders_pkey"));
        (found.and_then(|finding| finding.error.hint.clone()).unwrap_or_default(), stays)
    };
    assert_eq!(why(&|_| ()), (String::new(), false));
    let (hint, stays) =
        why(&|facts| facts.tables[0].indexes[0].constraint.as_mut().unwrap().deferrable = true);
    assert!(stays && hint.contains("it is deferrable"), "{hint}");
    let view = |facts: &mut Facts| {
        facts.tables[0].indexes[0].constraint.as_mut().unwrap().dependents = vec!["view v".to_owned()];
    };
    let (hint, stays) = why(&view);
    assert!(stays && hint.contains("needed by view v"), "{hint}");
    let published = |facts: &mut Facts| {
        let (kind, name) = ("publication".to_owned(), "some".to_owned());
        facts.tables[0].dependents.push(Dependent { kind, name, column: 1 });
    };
    let (hint, stays) = why(&published);
    assert!(stays && hint.contains("publication \"some\""), "{hint}");
    // The primary key of the other table has a reference in it, whose key may come late.
    let (hint, stays) = why(&|facts| {
        facts.foreign_keys[1].deferrable = true;
        facts.foreign_keys[3].deferrable = true;
    });
    assert!(!stays && hint.contains("rows may lack \"order_id_new\""), "{hint}");
}
