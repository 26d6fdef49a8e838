-- What is read of Spock: its tables of the sequences and tables in replication sets, of subscriptions, and of the tables
-- that these have copied.
CREATE TABLE replication_set_seq (set_id oid NOT NULL, set_seqoid regclass NOT NULL, PRIMARY KEY (set_id, set_seqoid));
CREATE TABLE replication_set_table (set_id oid NOT NULL, set_reloid regclass NOT NULL, PRIMARY KEY (set_id, set_reloid));
CREATE TABLE subscription (sub_id oid NOT NULL PRIMARY KEY, sub_name name NOT NULL UNIQUE);
CREATE TABLE local_sync_status (sync_subid oid NOT NULL, sync_nspname name, sync_relname name);
