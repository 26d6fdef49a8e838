-- What keys are measured against: functions of bench/baseline.
CREATE FUNCTION baseline_floor() RETURNS uuid LANGUAGE c VOLATILE STRICT PARALLEL SAFE
    AS 'keyspace_baseline', 'baseline_floor';
CREATE FUNCTION baseline_locked() RETURNS uuid LANGUAGE c VOLATILE STRICT PARALLEL SAFE
    AS 'keyspace_baseline', 'baseline_locked';
CREATE FUNCTION baseline_locked_briefly() RETURNS uuid LANGUAGE c VOLATILE STRICT PARALLEL SAFE
    AS 'keyspace_baseline', 'baseline_locked_briefly';
