-- Findings that somebody has looked at and accepts. As in the table of nodes, the rows belong to one
-- server and database, and are not dumped.
CREATE TABLE keyspace_internal.interleaved_acknowledgement (
    system_identifier bigint NOT NULL,
    database oid NOT NULL,
    sequence oid NOT NULL,
    finding text NOT NULL,
    reason text NOT NULL,
    role oid NOT NULL,
    acknowledged_at timestamp with time zone NOT NULL DEFAULT pg_catalog.now(),
    PRIMARY KEY (system_identifier, database, sequence, finding)
);
COMMENT ON TABLE keyspace_internal.interleaved_acknowledgement IS
'findings that were acknowledged by acknowledge_interleaved_finding(), shown by the view interleaved_acknowledgements; never dumped; rows of other servers and databases are ignored';
COMMENT ON COLUMN keyspace_internal.interleaved_acknowledgement.system_identifier IS 'the server, as in pg_control_system()';
COMMENT ON COLUMN keyspace_internal.interleaved_acknowledgement.database IS 'the database, as in pg_database.oid';
COMMENT ON COLUMN keyspace_internal.interleaved_acknowledgement.sequence IS 'the sequence, as in pg_class.oid; 0 stands for the node as a whole';
COMMENT ON COLUMN keyspace_internal.interleaved_acknowledgement.finding IS 'the finding, as in check_interleaved_sequences()';
COMMENT ON COLUMN keyspace_internal.interleaved_acknowledgement.reason IS 'why it is accepted';
COMMENT ON COLUMN keyspace_internal.interleaved_acknowledgement.role IS 'the role that acknowledged it, as in pg_authid.oid';
COMMENT ON COLUMN keyspace_internal.interleaved_acknowledgement.acknowledged_at IS 'when that was';

CREATE VIEW @extschema@.interleaved_acknowledgements WITH (security_barrier = true) AS
SELECT CASE WHEN a.sequence OPERATOR(pg_catalog.<>) 0::pg_catalog.oid THEN a.sequence::pg_catalog.regclass END AS sequence,
       a.finding,
       a.reason,
       pg_catalog.pg_get_userbyid(a.role) AS role,
       a.acknowledged_at
FROM keyspace_internal.interleaved_acknowledgement a
WHERE a.system_identifier OPERATOR(pg_catalog.=) (SELECT c.system_identifier FROM pg_catalog.pg_control_system() c)
  AND a.database OPERATOR(pg_catalog.=) (SELECT d.oid FROM pg_catalog.pg_database d
                                         WHERE d.datname OPERATOR(pg_catalog.=) pg_catalog.current_database())
  -- Rows of dropped sequences are deleted by a later set-up.
  AND (a.sequence OPERATOR(pg_catalog.=) 0::pg_catalog.oid
       OR EXISTS (SELECT FROM pg_catalog.pg_class c
                  WHERE c.oid OPERATOR(pg_catalog.=) a.sequence
                    AND c.relkind OPERATOR(pg_catalog.=) 'S'::pg_catalog."char"));
GRANT SELECT ON @extschema@.interleaved_acknowledgements TO PUBLIC;

COMMENT ON VIEW @extschema@.interleaved_acknowledgements IS
'findings of check_interleaved_sequences() that were acknowledged, with the reasons';
COMMENT ON COLUMN @extschema@.interleaved_acknowledgements.sequence IS 'the sequence; NULL stands for the node as a whole';
COMMENT ON COLUMN @extschema@.interleaved_acknowledgements.finding IS 'the finding';
COMMENT ON COLUMN @extschema@.interleaved_acknowledgements.reason IS 'why it is accepted';
COMMENT ON COLUMN @extschema@.interleaved_acknowledgements.role IS 'the role that acknowledged it';
COMMENT ON COLUMN @extschema@.interleaved_acknowledgements.acknowledged_at IS 'when that was';

CREATE FUNCTION @extschema@.acknowledge_interleaved_finding(
    sequence regclass,
    finding text,
    reason text
) RETURNS void
    LANGUAGE c VOLATILE PARALLEL UNSAFE CALLED ON NULL INPUT
    AS 'MODULE_PATHNAME', 'acknowledge_interleaved_finding_wrapper';

COMMENT ON FUNCTION @extschema@.acknowledge_interleaved_finding(regclass, text, text) IS
'accept a finding of check_interleaved_sequences() about a sequence, or about the node as a whole (NULL): the check reports it as info, with the reason; a reason of NULL takes that back';
