-- What the states of other nodes have shown of each sequence, from which a set-up computes how many
-- ids they use.
CREATE TABLE keyspace_internal.interleaved_peer (
    system_identifier bigint NOT NULL,
    database oid NOT NULL,
    peer_system_identifier bigint NOT NULL,
    peer_database oid NOT NULL,
    peer_timeline integer NOT NULL,
    sequence oid NOT NULL,
    node integer,
    nodes integer,
    taken_at timestamp with time zone NOT NULL,
    seen_at timestamp with time zone NOT NULL,
    position bigint NOT NULL,
    rate double precision,
    PRIMARY KEY (system_identifier, database, peer_system_identifier, peer_database, peer_timeline, sequence)
);
COMMENT ON TABLE keyspace_internal.interleaved_peer IS
'last position of each sequence on other nodes, from the states given to set-ups and checks; never dumped; rows of other servers and databases are ignored';
COMMENT ON COLUMN keyspace_internal.interleaved_peer.system_identifier IS 'the server, as in pg_control_system()';
COMMENT ON COLUMN keyspace_internal.interleaved_peer.database IS 'the database, as in pg_database.oid';
COMMENT ON COLUMN keyspace_internal.interleaved_peer.peer_system_identifier IS 'the server of the other node';
COMMENT ON COLUMN keyspace_internal.interleaved_peer.peer_database IS 'the database of the other node';
COMMENT ON COLUMN keyspace_internal.interleaved_peer.peer_timeline IS 'the timeline of that server, which distinguishes it from a promoted copy';
COMMENT ON COLUMN keyspace_internal.interleaved_peer.sequence IS 'the sequence here, as in pg_class.oid';
COMMENT ON COLUMN keyspace_internal.interleaved_peer.node IS 'the number of the other node in its last state; NULL if it was not set up';
COMMENT ON COLUMN keyspace_internal.interleaved_peer.nodes IS 'the number of classes in that state';
COMMENT ON COLUMN keyspace_internal.interleaved_peer.taken_at IS 'when that state was taken, by the clock of the other node';
COMMENT ON COLUMN keyspace_internal.interleaved_peer.seen_at IS 'when that state was first given to this node, by its own clock';
COMMENT ON COLUMN keyspace_internal.interleaved_peer.position IS 'the next value of the sequence in that state';
COMMENT ON COLUMN keyspace_internal.interleaved_peer.rate IS 'ids that the other node used in a second, between two states; NULL if there was only one';
