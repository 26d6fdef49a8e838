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

COMMENT ON FUNCTION keyspace_internal.interleaved_sequences_status() IS 'what the view interleaved_sequences shows';
COMMENT ON VIEW @extschema@.interleaved_sequences IS
'every sequence, and whether it keeps to the class of the node; reads no table, waits for nobody, keeps no lock, works on a standby';
COMMENT ON COLUMN @extschema@.interleaved_sequences.sequence IS 'the sequence';
COMMENT ON COLUMN @extschema@.interleaved_sequences.in_order IS 'whether it gives values of the class of the node only, now and after a restart; NULL where there is no node, or where it could not be seen';
COMMENT ON COLUMN @extschema@.interleaved_sequences.findings IS 'what is wrong or to be minded: see the reference';
COMMENT ON COLUMN @extschema@.interleaved_sequences.next_value IS 'the value that it gives next';
COMMENT ON COLUMN @extschema@.interleaved_sequences.increment IS 'by how much it steps';
COMMENT ON COLUMN @extschema@.interleaved_sequences.values_left IS 'how many values are left, up to the limit of the sequence or of the narrowest column that it feeds';
COMMENT ON COLUMN @extschema@.interleaved_sequences.percent_used IS 'how much of its range lies behind it, in percent';
COMMENT ON COLUMN @extschema@.interleaved_sequences.last_value IS 'the value that it gave last, NULL where it was never called';
COMMENT ON COLUMN @extschema@.interleaved_sequences.fed_columns IS 'the columns that take their values from it';
COMMENT ON COLUMN @extschema@.interleaved_sequences.node IS 'the node of this database, NULL where it has none';
COMMENT ON COLUMN @extschema@.interleaved_sequences.nodes IS 'the number of nodes';
