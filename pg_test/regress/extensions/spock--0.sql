-- What is read of Spock: its table of the sequences in replication sets.
CREATE TABLE replication_set_seq (set_id oid NOT NULL, set_seqoid regclass NOT NULL, PRIMARY KEY (set_id, set_seqoid));
