CREATE FUNCTION keyspace_internal.interleaved_sequences_status() RETURNS TABLE (
    sequence regclass,
    in_order boolean,
    findings text[],
    next_value bigint,
    increment bigint,
    values_left bigint,
    percent_used numeric,
    last_value bigint,
    fed_columns text[],
    node integer,
    nodes integer
)
    LANGUAGE c VOLATILE PARALLEL UNSAFE STRICT
    AS 'MODULE_PATHNAME', 'interleaved_sequences_status_wrapper';
CREATE VIEW @extschema@.interleaved_sequences AS
SELECT s.sequence, s.in_order, s.findings, s.next_value, s.increment, s.values_left, s.percent_used, s.last_value,
       s.fed_columns, s.node, s.nodes
FROM keyspace_internal.interleaved_sequences_status() s;
GRANT SELECT ON @extschema@.interleaved_sequences TO PUBLIC;

COMMENT ON FUNCTION keyspace_internal.interleaved_sequences_status() IS 'rows of the view interleaved_sequences';
COMMENT ON VIEW @extschema@.interleaved_sequences IS
'every sequence, and whether it keeps to the class of the node; does not read tables, does not wait for locks or keep them, and works on a standby';
COMMENT ON COLUMN @extschema@.interleaved_sequences.sequence IS 'the sequence';
COMMENT ON COLUMN @extschema@.interleaved_sequences.in_order IS 'whether it generates only values of the class of the node, now and after a restart; NULL if there is no node, or if it could not be determined';
COMMENT ON COLUMN @extschema@.interleaved_sequences.findings IS 'problems and warnings: see the reference';
COMMENT ON COLUMN @extschema@.interleaved_sequences.next_value IS 'the next value';
COMMENT ON COLUMN @extschema@.interleaved_sequences.increment IS 'the increment';
COMMENT ON COLUMN @extschema@.interleaved_sequences.values_left IS 'number of values left, up to the limit of the sequence or of the narrowest column that it feeds';
COMMENT ON COLUMN @extschema@.interleaved_sequences.percent_used IS 'percentage of its range that is used';
COMMENT ON COLUMN @extschema@.interleaved_sequences.last_value IS 'the last value that it generated; NULL if it was never called';
COMMENT ON COLUMN @extschema@.interleaved_sequences.fed_columns IS 'columns that take their values from it';
COMMENT ON COLUMN @extschema@.interleaved_sequences.node IS 'the node of this database; NULL if it has none';
COMMENT ON COLUMN @extschema@.interleaved_sequences.nodes IS 'the number of nodes';
