-- The migrations of each server and database. Only the settings of the owner and the progress of
-- the backfill are stored. Everything else is read from the catalogs, so nothing stored can
-- contradict them.
CREATE TABLE keyspace_internal.key_migration (
    system_identifier bigint NOT NULL,
    database oid NOT NULL,
    relation oid NOT NULL,
    target text NOT NULL CHECK (target IN ('uuid', 'ulid', 'bigint')),
    new_suffix text NOT NULL,
    old_suffix text NOT NULL,
    fire_triggers boolean NOT NULL,
    move_primary_key boolean NOT NULL,
    nodes integer[] NOT NULL DEFAULT '{}',
    batch_pages integer NOT NULL CHECK (batch_pages > 0),
    pause interval NOT NULL,
    lock_timeout interval NOT NULL,
    retries integer NOT NULL CHECK (retries >= 0),
    paused boolean NOT NULL DEFAULT false,
    max_standby_lag interval,
    max_slot_wal bigint CHECK (max_slot_wal > 0),
    max_archive_files integer CHECK (max_archive_files > 0),
    max_wal_rate bigint CHECK (max_wal_rate > 0),
    min_free_disk bigint CHECK (min_free_disk > 0),
    max_overdue_tables integer CHECK (max_overdue_tables > 0),
    throttle_query text,
    throttle_role oid,
    throttled_by text,
    pid integer,
    tries integer NOT NULL DEFAULT 0,
    last_error text,
    created_at timestamp with time zone NOT NULL DEFAULT pg_catalog.clock_timestamp(),
    verified_at timestamp with time zone,
    cut_over_at timestamp with time zone,
    was_cut_over boolean NOT NULL DEFAULT false,
    finalized_at timestamp with time zone,
    PRIMARY KEY (system_identifier, database, relation)
);
-- A migration is identified by the table of its first key.
CREATE TABLE keyspace_internal.key_migration_key (
    system_identifier bigint NOT NULL,
    database oid NOT NULL,
    migration oid NOT NULL,
    relation oid NOT NULL,
    number integer NOT NULL CHECK (number > 0),
    key_attribute smallint NOT NULL,
    time_source text NOT NULL,
    salt text NOT NULL,
    include_columns name[] NOT NULL,
    PRIMARY KEY (system_identifier, database, relation),
    FOREIGN KEY (system_identifier, database, migration) REFERENCES keyspace_internal.key_migration ON DELETE CASCADE
);
CREATE TABLE keyspace_internal.key_migration_column (
    system_identifier bigint NOT NULL,
    database oid NOT NULL,
    migration oid NOT NULL,
    relation oid NOT NULL,
    attribute smallint NOT NULL,
    new_attribute smallint,
    declared boolean NOT NULL,
    key_relation oid NOT NULL,
    known_triggers oid[] NOT NULL,
    -- Which rows refer to the key: those with one of these values in the type column, and without old
    -- ids that mean none.
    type_attribute smallint,
    type_values text[] NOT NULL DEFAULT '{}',
    null_values text[] NOT NULL DEFAULT '{}',
    PRIMARY KEY (system_identifier, database, relation, attribute),
    FOREIGN KEY (system_identifier, database, migration) REFERENCES keyspace_internal.key_migration ON DELETE CASCADE
);
CREATE TABLE keyspace_internal.key_migration_table (
    system_identifier bigint NOT NULL,
    database oid NOT NULL,
    migration oid NOT NULL,
    relation oid NOT NULL,
    file oid NOT NULL,
    verified_file oid,
    attached text,
    page bigint NOT NULL,
    pages bigint NOT NULL,
    behind int8multirange NOT NULL DEFAULT '{}',
    filled_rows bigint NOT NULL DEFAULT 0,
    busy_time interval NOT NULL DEFAULT '0',
    view_name name,
    started_at timestamp with time zone NOT NULL DEFAULT pg_catalog.clock_timestamp(),
    updated_at timestamp with time zone NOT NULL DEFAULT pg_catalog.clock_timestamp(),
    finished_at timestamp with time zone,
    PRIMARY KEY (system_identifier, database, relation),
    FOREIGN KEY (system_identifier, database, migration) REFERENCES keyspace_internal.key_migration ON DELETE CASCADE
);
-- Tables in which a transaction in the role of a replica has changed rows in a way that its triggers
-- could not correct, so that their values have to be compared again. A transaction has one row for a
-- table, and waits for no other.
CREATE TABLE keyspace_internal.key_migration_mark (
    system_identifier bigint NOT NULL,
    database oid NOT NULL,
    migration oid NOT NULL,
    relation oid NOT NULL,
    transaction xid8 NOT NULL DEFAULT pg_catalog.pg_current_xact_id(),
    PRIMARY KEY (system_identifier, database, relation, transaction)
);
-- The nodes of a migration on several nodes: what this node has done, and the last states of the others.
CREATE TABLE keyspace_internal.key_migration_node (
    system_identifier bigint NOT NULL,
    database oid NOT NULL,
    migration oid NOT NULL,
    node integer NOT NULL CHECK (node > 0),
    progress jsonb,
    agreement text,
    state jsonb,
    stored_at timestamp with time zone NOT NULL DEFAULT pg_catalog.clock_timestamp(),
    -- The library reads it by its number.
    is_closed boolean NOT NULL DEFAULT false,
    unequal_parts jsonb,
    PRIMARY KEY (system_identifier, database, migration, node),
    FOREIGN KEY (system_identifier, database, migration) REFERENCES keyspace_internal.key_migration ON DELETE CASCADE,
    CHECK ((progress IS NULL) OPERATOR(pg_catalog.<>) (state IS NULL))
);
CREATE TABLE keyspace_internal.key_migration_step (
    system_identifier bigint NOT NULL,
    database oid NOT NULL,
    migration oid NOT NULL,
    step bigint NOT NULL,
    relation oid,
    action text NOT NULL,
    statements text[] NOT NULL,
    started_at timestamp with time zone NOT NULL,
    ended_at timestamp with time zone NOT NULL,
    lock_wait interval,
    lock_held interval,
    tries integer NOT NULL DEFAULT 0,
    PRIMARY KEY (system_identifier, database, migration, step)
);

COMMENT ON TABLE keyspace_internal.key_migration IS
'key migrations, shown by the view key_migration_progress; never dumped; rows of other servers and databases are ignored';
COMMENT ON TABLE keyspace_internal.key_migration_key IS
'keys of key migrations; never dumped; rows of other servers and databases are ignored';
COMMENT ON TABLE keyspace_internal.key_migration_column IS
'columns of key migrations: old ids, and keys next to them; never dumped; rows of other servers and databases are ignored';
COMMENT ON TABLE keyspace_internal.key_migration_table IS
'progress of the backfill of each table; never dumped; rows of other servers and databases are ignored';
COMMENT ON TABLE keyspace_internal.key_migration_mark IS
'tables of key migrations whose values have to be compared again, because replication has changed rows; never dumped; rows of other servers and databases are ignored';
COMMENT ON TABLE keyspace_internal.key_migration_node IS
'nodes that migrate keys together: what this node has done, and what it knows of the others; never dumped; rows of other servers and databases are ignored';
COMMENT ON TABLE keyspace_internal.key_migration_step IS
'log of key migrations, shown by the view key_migration_log; never dumped; rows of other servers and databases are ignored';
