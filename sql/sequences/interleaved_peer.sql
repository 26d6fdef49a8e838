-- Which class other nodes have, and what their states have shown of each sequence, from which a set-up
-- computes how many ids they use.
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
COMMENT ON COLUMN keyspace_internal.interleaved_peer.sequence IS 'the sequence here, as in pg_class.oid; 0 stands for the node as a whole';
COMMENT ON COLUMN keyspace_internal.interleaved_peer.node IS 'the number of the other node in its last state; NULL if it was not set up';
COMMENT ON COLUMN keyspace_internal.interleaved_peer.nodes IS 'the number of classes in that state';
COMMENT ON COLUMN keyspace_internal.interleaved_peer.taken_at IS 'when that state was taken, by the clock of the other node';
COMMENT ON COLUMN keyspace_internal.interleaved_peer.seen_at IS 'when that state was first given to this node, by its own clock';
COMMENT ON COLUMN keyspace_internal.interleaved_peer.position IS 'the next value of the sequence in that state; 0 for the node as a whole';
COMMENT ON COLUMN keyspace_internal.interleaved_peer.rate IS 'ids that the other node used in a second, between two states; NULL if there was only one';

-- For the owner of the database, who may pass states, and so learns no more here than from them.
CREATE VIEW @extschema@.interleaved_peers WITH (security_barrier = true) AS
SELECT p.node,
       p.nodes,
       p.peer_system_identifier AS system_identifier,
       p.peer_database AS database,
       p.peer_timeline AS timeline,
       p.taken_at,
       p.seen_at
FROM keyspace_internal.interleaved_peer p
JOIN pg_catalog.pg_database d ON d.oid OPERATOR(pg_catalog.=) p.database
                             AND d.datname OPERATOR(pg_catalog.=) pg_catalog.current_database()
WHERE p.system_identifier OPERATOR(pg_catalog.=) (SELECT c.system_identifier FROM pg_catalog.pg_control_system() c)
  AND p.sequence OPERATOR(pg_catalog.=) 0::pg_catalog.oid
  AND pg_catalog.pg_has_role(d.datdba, 'USAGE'::pg_catalog.text);
GRANT SELECT ON @extschema@.interleaved_peers TO PUBLIC;

COMMENT ON VIEW @extschema@.interleaved_peers IS
'other nodes whose states were given to set-ups and checks here, with their last known class; rows only for the owner of the database';
COMMENT ON COLUMN @extschema@.interleaved_peers.node IS 'the number of the node in its last state; NULL if it was not set up';
COMMENT ON COLUMN @extschema@.interleaved_peers.nodes IS 'the number of classes in that state';
COMMENT ON COLUMN @extschema@.interleaved_peers.system_identifier IS 'its server, as in pg_control_system()';
COMMENT ON COLUMN @extschema@.interleaved_peers.database IS 'its database, as in pg_database.oid there';
COMMENT ON COLUMN @extschema@.interleaved_peers.timeline IS 'the timeline of its server, which distinguishes it from a promoted copy';
COMMENT ON COLUMN @extschema@.interleaved_peers.taken_at IS 'when that state was taken, by its clock';
COMMENT ON COLUMN @extschema@.interleaved_peers.seen_at IS 'when that state was first given to this node, by its own clock';
