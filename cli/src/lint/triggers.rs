//! Triggers and rules that fire for rows that replication applies.

use super::finding::Check;
use super::query::Query;

/// Triggers that fire again.
pub const TRIGGER: Check = Check {
    name: "trigger-under-apply",
    reason: "The trigger fires on the node where the row is written, and again on each node where replication applies it: counters count twice, and rows that it writes elsewhere exist twice.",
    hint: "If its effects are replicated, too: ALTER TABLE ... ENABLE TRIGGER ..., without ALWAYS or REPLICA. If it only repairs or checks the row itself, it may stay.",
};

/// Rules that apply again.
pub const RULE: Check = Check {
    name: "rule-under-apply",
    reason: "Replication applies rows without rules, other tools write them by statements, for which the rule would apply again.",
    hint: "ALTER TABLE ... ENABLE RULE ..., without ALWAYS or REPLICA, or replace the rule by a trigger.",
};

/// Event triggers that fire again.
pub const EVENT_TRIGGER: Check = Check {
    name: "event-trigger-under-apply",
    reason: "The event trigger also fires for DDL that a replication tool applies.",
    hint: "ALTER EVENT TRIGGER ... ENABLE, unless it is meant to fire for such DDL.",
};

pub const QUERIES: [Query; 3] = [
    Query {
        check: &TRIGGER,
        // The triggers of extensions, ours among them, are made for it.
        sql: "
    SELECT 'warning' AS severity, m.name AS object,
           format('trigger %I is ENABLE %s, calls %s', t.tgname, CASE t.tgenabled WHEN 'A' THEN 'ALWAYS' ELSE 'REPLICA' END,
                  t.tgfoid::regprocedure) AS detail
    FROM mine m JOIN pg_trigger t ON t.tgrelid = m.oid
    WHERE t.tgenabled IN ('A', 'R') AND NOT t.tgisinternal AND t.tgparentid = 0
      AND NOT EXISTS (SELECT FROM pg_depend d
                      WHERE d.classid = 'pg_proc'::regclass AND d.objid = t.tgfoid AND d.deptype = 'e')",
    },
    Query {
        check: &RULE,
        sql: "
    SELECT 'warning' AS severity, m.name AS object,
           format('rule %I is ENABLE %s', r.rulename, CASE r.ev_enabled WHEN 'A' THEN 'ALWAYS' ELSE 'REPLICA' END) AS detail
    FROM mine m JOIN pg_rewrite r ON r.ev_class = m.oid WHERE r.ev_enabled IN ('A', 'R')",
    },
    Query {
        check: &EVENT_TRIGGER,
        sql: "
    SELECT 'warning' AS severity, quote_ident(e.evtname) AS object,
           format('is ENABLE %s on %s', CASE e.evtenabled WHEN 'A' THEN 'ALWAYS' ELSE 'REPLICA' END, e.evtevent) AS detail
    FROM pg_event_trigger e
    WHERE e.evtenabled IN ('A', 'R')
      AND NOT EXISTS (SELECT FROM pg_depend d
                      WHERE d.classid = 'pg_event_trigger'::regclass AND d.objid = e.oid AND d.deptype = 'e')",
    },
];
