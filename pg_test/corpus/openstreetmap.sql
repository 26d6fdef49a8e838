-- A map in the manner of OpenStreetMap: bigint keys, a table of current rows and one of all versions
-- for each kind, composite keys, columns called "timestamp", enum types, references with a type.
CREATE TYPE format_enum AS ENUM ('html', 'markdown', 'text');
CREATE TYPE gpx_visibility_enum AS ENUM ('private', 'public', 'trackable', 'identifiable');
CREATE TYPE note_event_enum AS ENUM ('opened', 'closed', 'reopened', 'commented', 'hidden');
CREATE TYPE note_status_enum AS ENUM ('open', 'closed', 'hidden');
CREATE TYPE nwr_enum AS ENUM ('Node', 'Way', 'Relation');
CREATE TYPE user_status_enum AS ENUM ('pending', 'active', 'confirmed', 'suspended', 'deleted');
CREATE TABLE users (
    id bigserial NOT NULL,
    email character varying NOT NULL,
    pass_crypt character varying NOT NULL,
    creation_time timestamp without time zone NOT NULL,
    display_name character varying DEFAULT ''::character varying NOT NULL,
    data_public boolean DEFAULT false NOT NULL,
    description text DEFAULT ''::text NOT NULL,
    description_format format_enum DEFAULT 'markdown'::format_enum NOT NULL,
    status user_status_enum DEFAULT 'pending'::user_status_enum NOT NULL,
    changesets_count integer DEFAULT 0 NOT NULL,
    CONSTRAINT users_pkey PRIMARY KEY (id)
);
CREATE UNIQUE INDEX users_display_name_idx ON users (display_name);
CREATE INDEX users_display_name_lower_idx ON users (lower(display_name::text));
CREATE UNIQUE INDEX users_email_idx ON users (email);
CREATE TABLE changesets (
    id bigserial /* by hand: uuid DEFAULT public.uuidv7() */ NOT NULL,
    user_id bigint NOT NULL,
    created_at timestamp without time zone NOT NULL,
    min_lat integer,
    max_lat integer,
    min_lon integer,
    max_lon integer,
    closed_at timestamp without time zone NOT NULL,
    num_changes integer DEFAULT 0 NOT NULL,
    CONSTRAINT changesets_pkey PRIMARY KEY (id),
    CONSTRAINT changesets_user_id_fkey FOREIGN KEY (user_id) REFERENCES users (id)
);
CREATE INDEX changesets_bbox_idx ON changesets (min_lat, max_lat, min_lon, max_lon);
CREATE INDEX changesets_closed_at_idx ON changesets (closed_at);
CREATE INDEX changesets_user_id_created_at_idx ON changesets (user_id, created_at);
CREATE INDEX changesets_user_id_id_idx ON changesets (user_id, id);
CREATE TABLE changeset_tags (
    changeset_id bigint /* by hand: uuid */ NOT NULL,
    k character varying DEFAULT ''::character varying NOT NULL,
    v character varying DEFAULT ''::character varying NOT NULL,
    CONSTRAINT changeset_tags_pkey PRIMARY KEY (changeset_id, k),
    CONSTRAINT changeset_tags_id_fkey FOREIGN KEY (changeset_id) REFERENCES changesets (id)
);
CREATE TABLE changeset_comments (
    id serial NOT NULL,
    changeset_id bigint /* by hand: uuid */ NOT NULL,
    author_id bigint NOT NULL,
    body text NOT NULL,
    created_at timestamp without time zone NOT NULL,
    visible boolean NOT NULL,
    CONSTRAINT changeset_comments_pkey PRIMARY KEY (id),
    CONSTRAINT changeset_comments_author_id_fkey FOREIGN KEY (author_id) REFERENCES users (id),
    CONSTRAINT changeset_comments_changeset_id_fkey FOREIGN KEY (changeset_id) REFERENCES changesets (id)
);
CREATE INDEX changeset_comments_changeset_id_created_at_idx ON changeset_comments (changeset_id, created_at);
CREATE TABLE current_nodes (
    id bigserial NOT NULL,
    latitude integer NOT NULL,
    longitude integer NOT NULL,
    changeset_id bigint /* by hand: uuid */ NOT NULL,
    visible boolean NOT NULL,
    "timestamp" timestamp without time zone NOT NULL,
    tile bigint NOT NULL,
    version bigint NOT NULL,
    CONSTRAINT current_nodes_pkey PRIMARY KEY (id),
    CONSTRAINT current_nodes_changeset_id_fkey FOREIGN KEY (changeset_id) REFERENCES changesets (id)
);
CREATE INDEX current_nodes_tile_idx ON current_nodes (tile);
CREATE INDEX current_nodes_timestamp_idx ON current_nodes ("timestamp");
CREATE TABLE current_node_tags (
    node_id bigint NOT NULL,
    k character varying DEFAULT ''::character varying NOT NULL,
    v character varying DEFAULT ''::character varying NOT NULL,
    CONSTRAINT current_node_tags_pkey PRIMARY KEY (node_id, k),
    CONSTRAINT current_node_tags_id_fkey FOREIGN KEY (node_id) REFERENCES current_nodes (id)
);
CREATE TABLE nodes (
    node_id bigint NOT NULL,
    latitude integer NOT NULL,
    longitude integer NOT NULL,
    changeset_id bigint /* by hand: uuid */ NOT NULL,
    visible boolean NOT NULL,
    "timestamp" timestamp without time zone NOT NULL,
    tile bigint NOT NULL,
    version bigint NOT NULL,
    redaction_id integer,
    CONSTRAINT nodes_pkey PRIMARY KEY (node_id, version),
    CONSTRAINT nodes_changeset_id_fkey FOREIGN KEY (changeset_id) REFERENCES changesets (id)
);
CREATE INDEX nodes_changeset_id_idx ON nodes (changeset_id);
CREATE INDEX nodes_timestamp_idx ON nodes ("timestamp");
CREATE TABLE current_ways (
    id bigserial /* by hand: uuid DEFAULT public.uuidv7() */ NOT NULL,
    changeset_id bigint /* by hand: uuid */ NOT NULL,
    "timestamp" timestamp without time zone NOT NULL,
    visible boolean NOT NULL,
    version bigint NOT NULL,
    CONSTRAINT current_ways_pkey PRIMARY KEY (id),
    CONSTRAINT current_ways_changeset_id_fkey FOREIGN KEY (changeset_id) REFERENCES changesets (id)
);
CREATE INDEX current_ways_timestamp_idx ON current_ways ("timestamp");
CREATE TABLE current_way_nodes (
    way_id bigint /* by hand: uuid */ NOT NULL,
    node_id bigint NOT NULL,
    sequence_id bigint NOT NULL,
    CONSTRAINT current_way_nodes_pkey PRIMARY KEY (way_id, sequence_id),
    CONSTRAINT current_way_nodes_id_fkey FOREIGN KEY (way_id) REFERENCES current_ways (id),
    CONSTRAINT current_way_nodes_node_id_fkey FOREIGN KEY (node_id) REFERENCES current_nodes (id)
);
CREATE INDEX current_way_nodes_node_idx ON current_way_nodes (node_id);
CREATE TABLE current_relations (
    id bigserial NOT NULL,
    changeset_id bigint /* by hand: uuid */ NOT NULL,
    "timestamp" timestamp without time zone NOT NULL,
    visible boolean NOT NULL,
    version bigint NOT NULL,
    CONSTRAINT current_relations_pkey PRIMARY KEY (id),
    CONSTRAINT current_relations_changeset_id_fkey FOREIGN KEY (changeset_id) REFERENCES changesets (id)
);
CREATE TABLE current_relation_members (
    relation_id bigint NOT NULL,
    member_type nwr_enum NOT NULL,
    member_id bigint NOT NULL,
    member_role character varying NOT NULL,
    sequence_id integer DEFAULT 0 NOT NULL,
    CONSTRAINT current_relation_members_pkey PRIMARY KEY (relation_id, member_type, member_id, member_role, sequence_id),
    CONSTRAINT current_relation_members_id_fkey FOREIGN KEY (relation_id) REFERENCES current_relations (id)
);
CREATE INDEX current_relation_members_member_idx ON current_relation_members (member_type, member_id);
CREATE TABLE gpx_files (
    id bigserial NOT NULL,
    user_id bigint NOT NULL,
    visible boolean DEFAULT true NOT NULL,
    name character varying DEFAULT ''::character varying NOT NULL,
    size bigint,
    "timestamp" timestamp without time zone NOT NULL,
    visibility gpx_visibility_enum DEFAULT 'public'::gpx_visibility_enum NOT NULL,
    CONSTRAINT gpx_files_pkey PRIMARY KEY (id),
    CONSTRAINT gpx_files_user_id_fkey FOREIGN KEY (user_id) REFERENCES users (id)
);
CREATE TABLE gps_points (
    altitude double precision,
    trackid integer NOT NULL,
    latitude integer NOT NULL,
    longitude integer NOT NULL,
    gpx_id bigint NOT NULL,
    "timestamp" timestamp without time zone,
    CONSTRAINT gps_points_gpx_id_fkey FOREIGN KEY (gpx_id) REFERENCES gpx_files (id)
);
CREATE INDEX points_gpxid_idx ON gps_points (gpx_id);
CREATE TABLE notes (
    id bigserial NOT NULL,
    latitude integer NOT NULL,
    longitude integer NOT NULL,
    tile bigint NOT NULL,
    updated_at timestamp without time zone NOT NULL,
    created_at timestamp without time zone NOT NULL,
    status note_status_enum NOT NULL,
    user_id bigint,
    CONSTRAINT notes_pkey PRIMARY KEY (id)
);
CREATE INDEX notes_tile_status_idx ON notes (tile, status);
CREATE TABLE note_comments (
    id bigserial NOT NULL,
    note_id bigint NOT NULL,
    visible boolean NOT NULL,
    created_at timestamp without time zone NOT NULL,
    author_id bigint,
    body text,
    event note_event_enum,
    CONSTRAINT note_comments_pkey PRIMARY KEY (id),
    CONSTRAINT note_comments_note_id_fkey FOREIGN KEY (note_id) REFERENCES notes (id)
);
CREATE INDEX note_comments_note_id_idx ON note_comments (note_id);

-- Rows
INSERT INTO users (email, pass_crypt, creation_time, display_name)
    SELECT 'm' || i || '@example.com', 'x', timestamp '2023-01-01' + i * interval '1 day', 'mapper ' || i FROM generate_series(1, 200) AS i;
INSERT INTO changesets (user_id, created_at, closed_at, min_lat)
    SELECT i % 200 + 1, t, t + interval '1 hour', i
    FROM generate_series(1, 1500) AS i, LATERAL (SELECT timestamp '2024-01-01' + i * interval '20 minutes' AS t) AS at;
INSERT INTO changeset_tags SELECT i % 1500 + 1, 'k' || i / 1500, 'v' || i FROM generate_series(1, 3000) AS i;
INSERT INTO changeset_comments (changeset_id, author_id, body, created_at, visible)
    SELECT i % 1500 + 1, i % 200 + 1, 'comment ' || i, '2024-03-01', true FROM generate_series(1, 900) AS i;
INSERT INTO current_nodes (latitude, longitude, changeset_id, visible, "timestamp", tile, version)
    SELECT i, i, i % 1500 + 1, true, timestamp '2024-01-01' + i * interval '1 minute', i % 1000, 1 FROM generate_series(1, 4000) AS i;
INSERT INTO current_node_tags SELECT i, 'highway', 'bus_stop' FROM generate_series(1, 1000) AS i;
INSERT INTO nodes SELECT id, latitude, longitude, changeset_id, visible, "timestamp", tile, version FROM current_nodes;
INSERT INTO current_ways (changeset_id, "timestamp", visible, version)
    SELECT i % 1500 + 1, timestamp '2024-01-01' + i * interval '3 minutes', true, 1 FROM generate_series(1, 1200) AS i;
INSERT INTO current_way_nodes SELECT i % 1200 + 1, i, i / 1200 FROM generate_series(1, 4000) AS i;
INSERT INTO current_relations (changeset_id, "timestamp", visible, version)
    SELECT i, timestamp '2024-01-01' + i * interval '1 hour', true, 1 FROM generate_series(1, 200) AS i;
INSERT INTO current_relation_members SELECT i % 200 + 1, (ARRAY['Node', 'Way'])[i % 2 + 1]::nwr_enum, i, 'outer', i / 200 FROM generate_series(1, 800) AS i;
INSERT INTO gpx_files (user_id, name, "timestamp") SELECT i, 'track ' || i, '2024-02-01' FROM generate_series(1, 100) AS i;
INSERT INTO gps_points (trackid, latitude, longitude, gpx_id) SELECT 1, i, i, i % 100 + 1 FROM generate_series(1, 500) AS i;
INSERT INTO notes (latitude, longitude, tile, updated_at, created_at, status, user_id)
    SELECT i, i, i, '2024-03-01', '2024-02-01', 'open', i % 200 + 1 FROM generate_series(1, 200) AS i;
INSERT INTO note_comments (note_id, visible, created_at, author_id, body, event)
    SELECT i % 200 + 1, true, '2024-02-01', i % 200 + 1, 'note ' || i, 'opened' FROM generate_series(1, 400) AS i;
ANALYZE;
